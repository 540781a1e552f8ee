from dataclasses import replace

import pytest
import torch
import toy
from torch import nn

from model.parts.content import scale
from model.parts.modality_graph import ModalityNodes
from model.recommenders.mgat import MGAT
from model.recommenders.mmgcn import MMGCN
from model.sampler import user_uniform

SETTINGS = {
    "dim": 8, "layers": 3, "content_dim": 8, "feature_norm": "none", "concat": True, "l2": 0.1,
}  # fmt: skip


def graphs(features=None, **changes):
    settings = SETTINGS | {"learn_ids": True} | changes
    content = toy.features() if features is None else features
    return MMGCN(toy.interactions(), content, generator=toy.generator(), **settings).graphs


def nodes_with_absent_items():
    feature = toy.features()["visual"].clone()
    feature[[2, 5]] = 0.0
    nodes = ModalityNodes(feature, 3, nn.Linear(12, 4), 4)
    nn.init.normal_(nodes.users, generator=toy.generator())
    nn.init.normal_(nodes.project.weight, generator=toy.generator())
    nn.init.zeros_(nodes.project.bias)
    return nodes


def test_layer_0_is_users_above_projected_items_in_rows_of_length_1():
    nodes = nodes_with_absent_items()
    nn.init.ones_(nodes.project.bias)
    present = [i for i in range(20) if i not in (2, 5)]

    layer = nodes()

    for user in range(3):
        torch.testing.assert_close(layer[user], nodes.users[user] / nodes.users[user].norm())
    for item in present:
        projected = nodes.project.weight @ nodes.feature[item] + 1.0
        torch.testing.assert_close(layer[3 + item], projected / projected.norm())


def test_absent_items_are_zero_rows_whatever_the_bias():
    nodes = nodes_with_absent_items()
    nn.init.ones_(nodes.project.bias)

    assert not nodes()[[3 + 2, 3 + 5]].any()


def test_items_without_content_have_a_finite_gradient_at_a_zero_bias():
    """The direction of a zero vector has no gradient; through eps it would be 1e12."""
    nodes = nodes_with_absent_items()

    (nodes() * torch.arange(1.0, 5.0)).sum().backward()

    assert nodes.project.bias.grad.isfinite().all()
    assert nodes.project.bias.grad.abs().max() < 1e4


def test_wide_features_are_cut_to_content_dim_and_narrow_ones_keep_their_width():
    model = graphs()

    assert model.nodes["visual"]().shape == (50, 8)
    assert model.nodes["textual"]().shape == (50, 6)


def test_biases_start_at_zero_and_matrices_do_not():
    for name, parameter in graphs().named_parameters():
        assert parameter.any() == (parameter.dim() > 1), name


def test_requested_rows_are_rows_of_the_full_result():
    """The last layer is computed for the rows alone."""
    model = graphs()
    rows = torch.tensor([31, 4, 49, 4])

    everything, some = model(torch.arange(50)), model(rows)

    assert [len(layers) for layers in some] == [3, 3]
    for all_layers, layers in zip(everything, some, strict=True):
        for full, part in zip(all_layers, layers, strict=True):
            torch.testing.assert_close(full[rows], part)


def test_the_rows_of_a_batch_are_its_users_positives_and_negatives():
    model = graphs()
    batch = next(user_uniform(toy.interactions(), 4, toy.generator()))
    batch = replace(batch, users=torch.arange(4), negatives=torch.arange(4, 8))

    users, positives, negatives = model.rows_of(batch).chunk(3)

    assert users.tolist() == [0, 1, 2, 3]
    assert (positives - toy.N_USERS).tolist() == batch.positives.tolist()
    assert negatives.tolist() == [34, 35, 36, 37]


def test_the_penalty_is_on_ids_of_the_batch_and_its_users_tables():
    model = graphs()
    batch = next(user_uniform(toy.interactions(), 4, toy.generator()))

    rows = model.penalised(batch)

    expected = [
        model.identity[batch.users],
        model.identity[30 + batch.positives],
        model.identity[30 + batch.negatives],
        model.nodes["visual"].users[batch.users],
        model.nodes["textual"].users[batch.users],
    ]
    assert len(rows) == 5
    assert all(torch.equal(a, b) for a, b in zip(rows, expected, strict=True))


def test_no_modality_is_an_error():
    with pytest.raises(ValueError, match="at least one modality"):
        graphs({})


@pytest.mark.parametrize("model", [MMGCN, MGAT])
def test_features_are_scaled_before_they_enter_the_graph(model):
    feature = toy.features()["visual"]
    made = model(
        toy.interactions(),
        {"visual": feature},
        generator=toy.generator(),
        **toy.SETTINGS[model.__name__.lower()] | {"feature_norm": "half_whitened"},
    )

    kept = made.graphs.nodes["visual"].feature
    torch.testing.assert_close(kept, scale(feature, "half_whitened"))
    assert not torch.allclose(kept, feature)
