import pytest
import torch

from model.data import Interactions
from model.parts.edges import Edges


def interactions():
    """User 0 took items 0, 0 again and 1, user 1 item 1; user 2 and item 2 are alone."""
    return Interactions(
        torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), n_users=3, n_items=3
    )


NEIGHBOURS = {0: [3, 4], 1: [4], 2: [], 3: [0], 4: [0, 1], 5: []}


def nodes(width=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, width, generator=generator, dtype=torch.double)


def values(edges, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(edges.sources), generator=generator, dtype=torch.double)


def ends(edges):
    return list(zip(edges.receivers.tolist(), edges.sources.tolist(), strict=True))


def test_each_distinct_pair_is_an_edge_both_ways_sorted_by_receiver():
    edges = Edges(interactions())

    assert ends(edges) == [(i, j) for i, around in NEIGHBOURS.items() for j in around]
    assert edges.degree.tolist() == [2, 1, 0, 1, 2, 0]


def test_reverse_is_the_place_of_the_opposite_edge():
    edges = Edges(interactions())

    pairs = ends(edges)

    assert [pairs[e] for e in edges.reverse.tolist()] == [(j, i) for i, j in pairs]


def test_dots_are_inner_products_of_receiver_and_source():
    edges, x, y = Edges(interactions()), nodes(seed=0), nodes(seed=1)

    expected = torch.stack([x[i] @ y[j] for i, j in ends(edges)])

    torch.testing.assert_close(edges.dots(x, y), expected)


def test_softmax_is_that_of_each_receivers_edges():
    edges = Edges(interactions())
    scores = values(edges)

    softmax = edges.softmax(scores)

    for node, around in NEIGHBOURS.items():
        mine = edges.receivers == node
        assert mine.sum() == len(around)
        torch.testing.assert_close(softmax[mine], scores[mine].softmax(0))


def test_softmax_survives_scores_whose_exponentials_do_not():
    edges = Edges(interactions())
    scores = torch.full((len(edges.sources),), -1e4)
    scores[0] = 1e4

    softmax = edges.softmax(scores)

    assert softmax.tolist() == pytest.approx([1.0, 0.0, 1.0, 1.0, 0.5, 0.5])


def test_sum_weighs_the_neighbours_and_is_zero_without_any():
    edges, x = Edges(interactions()), nodes()
    weights = values(edges)

    expected = torch.zeros_like(x)
    for weight, (i, j) in zip(weights, ends(edges), strict=True):
        expected[i] += weight * x[j]

    torch.testing.assert_close(edges.sum(weights, x), expected)
    assert not edges.sum(weights, x)[[2, 5]].any()


def test_mean_is_that_of_the_neighbours_and_equal_attention_is_the_mean():
    edges, x = Edges(interactions()), nodes()

    mean = edges.mean(x)

    for node, around in NEIGHBOURS.items():
        expected = x[around].mean(0) if around else torch.zeros(4, dtype=torch.double)
        torch.testing.assert_close(mean[node], expected)
    equal = edges.softmax(torch.full((len(edges.sources),), 0.7, dtype=torch.double))
    torch.testing.assert_close(edges.sum(equal, x), mean)


@pytest.mark.parametrize("name", ["dots", "softmax", "sum", "mean"])
def test_gradients_are_the_numerical_ones(name):
    edges = Edges(interactions())
    inputs = {
        "dots": (nodes(seed=0), nodes(seed=1)),
        "softmax": (values(edges),),
        "sum": (values(edges), nodes()),
        "mean": (nodes(),),
    }[name]
    inputs = [tensor.requires_grad_() for tensor in inputs]

    assert torch.autograd.gradcheck(getattr(edges, name), inputs)
