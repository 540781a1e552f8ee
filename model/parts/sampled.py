"""Inner products of users with a few items each, as products with a sparse matrix.

Gathering the items would copy (B, K, D) elements, forward and backward: with 50 negatives per
pair this takes ten times as long.

Shapes: I items, B users of a batch, K items of each, D dimensions.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def sampled_scores(users: Tensor, items: Tensor, index: Tensor) -> Tensor:
    """Return the inner product of each user with its items.

    Args:
        users: (B, D).
        items: (I, D).
        index: (B, K) int64 items, repeats allowed.

    Returns:
        (B, K), differentiable in both.
    """
    return _Scores.apply(users, items, index)


def spread(values: Tensor, users: Tensor, index: Tensor, n_items: int) -> Tensor:
    """Add value_bk * user_b to the row of item index_bk, for all (b, k).

    This is the gradient of `sampled_scores` in the items if `values` is that in the scores.

    Args:
        values: (B, K).
        users: (B, D), constant: they get no gradient.
        index: (B, K) int64.
        n_items: I.

    Returns:
        (I, D), differentiable in the values.
    """
    return _Spread.apply(values, users, index, n_items)


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, users: Tensor, items: Tensor, index: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(users, items, index)
        return _sampled(users, items, index)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:  # type: ignore[override]
        users, items, index = ctx.saved_tensors
        to_users = None
        if ctx.needs_input_grad[0]:
            to_users = _matrix(index, gradient, len(items)) @ items
        return to_users, _transposed(gradient, users, index, len(items)), None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, users: Tensor, index: Tensor, n_items: int) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(users, index)
        return _transposed(values, users, index, n_items)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        users, index = ctx.saved_tensors
        return _sampled(users, gradient.contiguous(), index), None, None, None


def _sampled(users: Tensor, items: Tensor, index: Tensor) -> Tensor:
    if index.shape[1] > len(items):  # torch refuses more values than the matrix has places
        return (users @ items.T).gather(1, index)
    pattern = _matrix(index, users.new_zeros(index.shape), len(items))
    scores = torch.sparse.sampled_addmm(pattern, users, items.T, beta=0.0)
    return scores.values().view(index.shape)


def _matrix(index: Tensor, values: Tensor, n_items: int) -> Tensor:
    starts = torch.arange(0, index.numel() + 1, index.shape[1], device=index.device)
    return _csr(starts, index.flatten(), values.flatten(), (len(index), n_items))


def _transposed(values: Tensor, users: Tensor, index: Tensor, n_items: int) -> Tensor:
    items, order = index.flatten().sort(stable=True)
    starts = torch.searchsorted(items, torch.arange(n_items + 1, device=items.device))
    values, rows = values.flatten()[order], order // index.shape[1]
    return _csr(starts, rows, values, (n_items, len(users))) @ users


def _csr(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        # torch announces on every first use that CSR is in beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        # Columns are neither sorted nor distinct; products do not require it.
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
