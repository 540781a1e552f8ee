import pytest
import torch
import toy
from torch.nn.functional import cosine_similarity

import model.parts.item_graph
from model.data import Interactions
from model.parts.item_graph import (
    Neighbours,
    content_neighbours,
    cooccurrence_neighbours,
    item_graph,
    shared_tokens,
)


def listed(neighbours):
    """The neighbours of each item, without those that are not similar."""
    pairs = zip(neighbours.items, neighbours.similarity, strict=True)
    return [items[similarity > 0].tolist() for items, similarity in pairs]


def slow(similarity, k):
    """Sort every item in turn; of equal items the lower id is first."""
    result = []
    for i, row in enumerate(similarity.tolist()):
        order = sorted((-value, j) for j, value in enumerate(row) if j != i and value > 0)
        result.append([j for _, j in order[:k]])
    return result


@pytest.mark.parametrize("k", [1, 4, 19, 50])
def test_content_neighbours_are_those_of_the_cosines(k):
    feature = toy.features()["textual"]
    cosines = cosine_similarity(feature[:, None], feature[None], dim=-1)

    found = content_neighbours(feature, k)

    assert listed(found) == slow(cosines, k)
    expected = cosines.gather(1, found.items).clamp_min(0)
    expected[found.items == torch.arange(20)[:, None]] = 0.0
    torch.testing.assert_close(found.similarity, expected, atol=2e-6, rtol=0)


def test_joined_modalities_are_neighbours_by_the_mean_of_their_cosines():
    features = toy.features()
    cosines = [cosine_similarity(f[:, None], f[None], dim=-1) for f in features.values()]

    found = content_neighbours(features, 5)

    assert listed(found) == slow(sum(cosines) / 2, 5)


def test_items_without_the_feature_have_no_neighbours_and_are_nobodys():
    feature = toy.features()["visual"].clone()
    feature[[3, 7]] = 0.0

    found = listed(content_neighbours(feature, 6))

    assert found[3] == found[7] == []
    assert all(len(items) == 6 and not {3, 7} & set(items) for items in found if items)


def test_items_of_the_same_content_are_in_the_order_of_their_ids():
    """Also when the rounding of their products differs from block to block."""
    feature = toy.features()["visual"].repeat_interleave(3, 0)

    found = listed(content_neighbours(feature, 4))

    for i, items in enumerate(found):
        first = i // 3 * 3
        assert items[:2] == [j for j in range(first, first + 3) if j != i]
        assert items[2] % 3 == 0
        assert items[3] == items[2] + 1


@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_cooccurrence_neighbours_are_those_of_the_counts(shrinkage):
    pairs = toy.interactions()
    users, items = pairs.unique_pairs
    X = torch.zeros(30, 20, dtype=torch.float64)
    X[users, items] = 1.0
    common, count = X.T @ X, X.sum(0)
    # In float32, like the result: ties of equal counts must remain ties.
    norm = (count[:, None] * count).float().sqrt() + shrinkage
    similarity = common.float() / norm

    found = cooccurrence_neighbours(pairs, 4, shrinkage)

    assert listed(found) == slow(similarity, 4)


def test_small_blocks_give_the_same_neighbours(monkeypatch):
    pairs, feature = toy.interactions(), toy.features()["visual"].repeat_interleave(2, 0)
    content, common = content_neighbours(feature, 5), cooccurrence_neighbours(pairs, 5, 1.0)
    monkeypatch.setattr(model.parts.item_graph, "BLOCK", 70)

    assert torch.equal(content_neighbours(feature, 5).items, content.items)
    assert torch.equal(cooccurrence_neighbours(pairs, 5, 1.0).items, common.items)


def lists(*items, k=2):
    """Neighbour lists by hand: item i has those of items[i]."""
    filled = [[*near, *[0] * (k - len(near))] for near in items]
    similarity = [[1.0] * len(near) + [0.0] * (k - len(near)) for near in items]
    return Neighbours(torch.tensor(filled), torch.tensor(similarity))


def dense(graph):
    return graph.matrix.to_dense()


def test_the_graph_is_normalised_by_the_degrees_of_both_ends():
    """A = [[0, 2, 1], [2, 0, 0], [1, 0, 0]] / 2, of degrees 1.5, 1 and 0.5."""
    found = dense(item_graph([(1.0, lists([1, 2], [0], [], []))]))

    A = torch.tensor([[0, 1, 0.5, 0], [1, 0, 0, 0], [0.5, 0, 0, 0], [0, 0, 0, 0]])
    degree = torch.tensor([1.5, 1.0, 0.5, 1.0])
    torch.testing.assert_close(found, A / (degree[:, None] * degree).sqrt())
    torch.testing.assert_close(found, found.T)


def test_lists_are_added_with_their_weights():
    one, two = lists([1], [2], [0], k=1), lists([2], [2], [], k=1)

    found = dense(item_graph([(1.0, one), (0.5, two)], undirected=False))

    A = torch.tensor([[0, 1, 0.5], [0, 0, 1.5], [1, 0, 0]])
    degree = A.sum(1)
    torch.testing.assert_close(found, A / (degree[:, None] * degree).sqrt())


def test_with_k_neighbours_and_itself_a_directed_row_is_a_mean():
    near = content_neighbours(toy.features()["visual"], 3)

    graph = item_graph([(0.3, near), (0.7, near)], undirected=False, self_loops=True)

    x = toy.features()["textual"]
    expected = torch.stack([x[[i, *near.items[i].tolist()]].mean(0) for i in range(20)])
    torch.testing.assert_close(graph(x), expected)


def test_items_without_a_neighbour_receive_nothing():
    pairs = Interactions(torch.tensor([0, 0]), torch.tensor([0, 1]), n_users=1, n_items=3)
    near = cooccurrence_neighbours(pairs, 2, 0.0)

    for self_loops in (False, True):
        found = dense(item_graph([(1.0, near)], self_loops=self_loops))

        assert found[2].tolist() == found[:, 2].tolist() == [0.0, 0.0, 0.0]
        assert found[:2].sum(1).tolist() == pytest.approx([1.0, 1.0])


def test_no_list_is_an_error():
    with pytest.raises(ValueError, match="at least one list of neighbours"):
        item_graph([])


def test_shared_tokens_is_the_cosine_of_their_rarity():
    tokens = torch.tensor([[0, 0], [0, 1], [1, 1], [1, 1], [2, 2], [4, 0], [4, 1], [4, 2]])
    present = torch.zeros(6, 3, dtype=torch.float64)
    present[tokens[:, 0], tokens[:, 1]] = 1.0
    rows = present * (6 / present.sum(0)).log()

    similarity = shared_tokens(tokens, 6)
    found = torch.cat([similarity(block) for block in torch.arange(6).split(4)])

    expected = cosine_similarity(rows[:, None], rows[None], dim=2).float()
    torch.testing.assert_close(found, expected)
    assert not found[3].any()
    assert not found[5].any()
