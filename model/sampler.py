"""Sampling of training triples: by user, or by pair.

`train.sampling` chooses for the models of one negative, `BATCHES`. InvRL and DMRL have several
negatives and are always trained by pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from model.data import Batch, Interactions

Sampling: TypeAlias = Literal["users", "pairs"]


def user_uniform(
    interactions: Interactions, batch_size: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield the batches of one epoch: distinct users, one positive and one negative each.

    The scheme of the MCLN authors' code (load_data.py), from NGCF. It weights users equally, as
    HR and NDCG do; shuffling the pairs would not.

    Args:
        interactions: the training pairs.
        batch_size: triples per batch, at most the number of users with a pair.
        generator: on the CPU.

    Yields:
        P // batch_size + 1 batches.
    """
    size = min(batch_size, len(interactions.active_users))
    for _ in range(len(interactions) // batch_size + 1):
        users = _choose_users(interactions, size, generator)
        yield Batch(
            users,
            _positives(interactions, users, generator),
            uninteracted(interactions, users, generator),
            uninteracted(interactions, users, generator),
        )


def pair_uniform(
    interactions: Interactions,
    batch_size: int,
    generator: torch.Generator,
    *,
    negatives: int,
    reject: bool = True,
) -> Iterator[Batch]:
    """Yield the batches of one pass over the shuffled pairs, with several negatives each.

    Args:
        interactions: the training pairs.
        batch_size: pairs per batch; the last batch may be smaller.
        generator: on the CPU.
        negatives: n, items drawn for each pair.
        reject: whether to redraw items of the user's training list. InvRL's code does not.

    Yields:
        Batches whose `negatives` are (B, n).
    """
    order = torch.randperm(len(interactions), generator=generator)
    for rows in order.split(batch_size):
        users = interactions.users[rows]
        shape = (len(users), negatives)
        if reject:
            repeated = users.repeat_interleave(negatives)
            drawn = uninteracted(interactions, repeated, generator).view(shape)
        else:
            drawn = interactions.draw_items(shape, generator)
        others = uninteracted(interactions, users, generator)
        yield Batch(users, interactions.items[rows], drawn, others)


def pairs(
    interactions: Interactions, batch_size: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield the batches of one pass over the shuffled pairs, with one negative each.

    The scheme of MMRec and RecBole. It weights users by the number of their items.

    Args:
        interactions: the training pairs.
        batch_size: pairs per batch; the last batch may be smaller.
        generator: on the CPU.

    Yields:
        Batches whose `negatives` are (B,).
    """
    for batch in pair_uniform(interactions, batch_size, generator, negatives=1):
        yield replace(batch, negatives=batch.negatives.squeeze(1))


def uninteracted(
    interactions: Interactions, users: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw one item for each user, uniformly from outside the user's training list.

    New items of a split with cold items are never drawn, see `Interactions`.

    Args:
        interactions: the training pairs.
        users: (B,) int64.
        generator: on the CPU.

    Returns:
        (B,) int64 items.
    """
    items = interactions.draw_items(users.shape, generator)
    while True:
        hits = interactions.contains(users, items).nonzero().squeeze(1)
        if not len(hits):
            return items
        items[hits] = interactions.draw_items(hits.shape, generator)


def popular(interactions: Interactions, users: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one item for each user by popularity, from outside the user's training list.

    Args:
        interactions: the training pairs.
        users: (B,) int64.
        generator: on the CPU.

    Returns:
        (B,) int64 items, each in proportion to its number of pairs among those outside the
        user's list. If this fails for users who have nearly all items, all (B,) items are
        redrawn uniformly.
    """
    drawn = torch.randint(len(interactions), users.shape, generator=generator)
    items = interactions.items[drawn]
    for _ in range(100):
        hits = interactions.contains(users, items).nonzero().squeeze(1)
        if not len(hits):
            return items
        drawn = torch.randint(len(interactions), hits.shape, generator=generator)
        items[hits] = interactions.items[drawn]
    return uninteracted(interactions, users, generator)


def _choose_users(interactions: Interactions, size: int, generator: torch.Generator) -> Tensor:
    order = torch.randperm(len(interactions.active_users), generator=generator)
    return interactions.active_users[order[:size]]


def _positives(interactions: Interactions, users: Tensor, generator: torch.Generator) -> Tensor:
    counts = interactions.counts[users]
    # float64: float32 would round up to the count for users with very long lists.
    share = torch.rand(users.shape, generator=generator, dtype=torch.float64)
    return interactions.items[interactions.starts[users] + (share * counts).long()]


BATCHES: dict[Sampling, Callable[..., Iterator[Batch]]] = {
    "users": user_uniform,
    "pairs": pairs,
}
