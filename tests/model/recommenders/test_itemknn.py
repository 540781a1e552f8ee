import pytest
import torch
import toy

import model.parts.item_graph
from model.data import Interactions
from model.recommenders.itemknn import ItemKNN

SETTINGS = {
    "similarity": "both", "neighbours": 20, "shrinkage": 2.0, "content_weight": 0.5,
}  # fmt: skip

# Users of the items: 0: {0, 1}, 1: {0, 1, 2}, 2: {2}, 3: nobody; user 0's item 0 repeats.
PAIRS = Interactions(
    torch.tensor([0, 0, 0, 1, 1, 2, 2]), torch.tensor([0, 0, 1, 0, 1, 1, 2]),
    n_users=4, n_items=4,
)  # fmt: skip


def make(pairs=PAIRS, features=None, **changes):
    content = features or {}
    return ItemKNN(pairs, content, generator=toy.generator(), **(SETTINGS | changes))


def scores(model, n_users):
    return model.scorer()(torch.arange(n_users))


def similarity_by_hand(pairs, features, kind, shrinkage, weight):
    """Every pair of items in turn; absent rows are similar to nothing."""
    users, items = pairs.unique_pairs
    sets = [set(users[items == i].tolist()) for i in range(pairs.n_items)]
    joined = [torch.cat([f[i] / max(f[i].norm(), 1e-9) for f in features.values()])
              for i in range(pairs.n_items)]  # fmt: skip
    result = torch.zeros(pairs.n_items, pairs.n_items)
    for i in range(pairs.n_items):
        for j in range(pairs.n_items):
            both = len(sets[i] & sets[j]) / max(
                1e-9, (len(sets[i]) * len(sets[j])) ** 0.5 + shrinkage
            )
            cosine = float(
                joined[i] @ joined[j] / max(1e-9, joined[i].norm() * joined[j].norm())
            )
            total = {"cooccurrence": both, "content": cosine, "both": both + weight * cosine}
            result[i, j] = max(0.0, total[kind]) if i != j else 0.0
    return result


def holed():
    """Features of which items 3 and 4 lack one modality or both."""
    features = toy.features()
    features["textual"][3:5] = 0.0
    features["visual"][4] = 0.0
    return features


def test_scores_are_those_worked_by_hand():
    """sim(0, 1) = 2 / (sqrt(2 * 3) + 2) and sim(1, 2) = 1 / (sqrt(3 * 1) + 2)."""
    near, far = 2 / (6**0.5 + 2), 1 / (3**0.5 + 2)

    found = scores(make(similarity="cooccurrence"), 4)

    expected = [[near, near, far, 0], [near, near, far, 0], [near, far, far, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_an_item_only_contributes_to_its_nearest():
    """With one neighbour, item 1 votes for 0 and no longer for 2."""
    found = scores(make(similarity="cooccurrence", neighbours=1), 3)

    assert found[0, 2] == 0.0
    assert found[0, 0] == pytest.approx(2 / (6**0.5 + 2))
    assert found[2, 1] == pytest.approx(1 / (3**0.5 + 2))  # 2 still votes for 1


@pytest.mark.parametrize("names", [["visual"], ["visual", "textual"]])
@pytest.mark.parametrize("kind", ["cooccurrence", "content", "both"])
def test_scores_are_sums_of_similarities_of_every_pair(kind, names):
    pairs, features = toy.interactions(), {name: holed()[name] for name in names}
    similarity = similarity_by_hand(pairs, features, kind, shrinkage=2.0, weight=0.5)
    expected = torch.zeros(30, 20)
    for user, item in zip(*pairs.unique_pairs, strict=True):
        expected[user] += similarity[item]

    torch.testing.assert_close(scores(make(pairs, features, similarity=kind), 30), expected)


def test_of_content_the_k_nearest_are_kept():
    pairs, features = toy.interactions(), toy.features()
    similarity = similarity_by_hand(pairs, features, "content", shrinkage=0.0, weight=1.0)
    cut = similarity.sort(dim=1, descending=True).values[:, 2:3]
    similarity[similarity <= cut] = 0.0  # the two nearest remain

    found = make(pairs, features, similarity="content", neighbours=2)

    rows = torch.zeros(20, 20).scatter_(1, found.nearest, found.weights)
    torch.testing.assert_close(rows, similarity)


def test_without_shrinkage_items_without_users_are_similar_to_nothing():
    found = make(similarity="cooccurrence", shrinkage=0.0)

    assert found.weights[3].tolist() == [0.0] * 4
    assert scores(found, 4)[0].tolist() == pytest.approx([2 / 6**0.5, 2 / 6**0.5, 3**-0.5, 0])


def test_small_blocks_give_the_same_neighbours(monkeypatch):
    pairs, features = toy.interactions(), holed()
    whole = make(pairs, features)
    monkeypatch.setattr(model.parts.item_graph, "BLOCK", 100)  # three items at a time

    blocks = make(pairs, features)

    torch.testing.assert_close(blocks.weights, whole.weights)
    torch.testing.assert_close(scores(blocks, 30), scores(whole, 30))


def test_users_may_be_scored_in_any_order():
    pairs = toy.interactions()
    found = make(pairs, toy.features())
    asked = torch.tensor([7, 2, 7])

    torch.testing.assert_close(found.scorer()(asked), scores(found, 30)[asked])


def test_without_features_both_is_cooccurrence_and_content_is_refused():
    both, cooccurrence = make(), make(similarity="cooccurrence")

    assert torch.equal(scores(both, 4), scores(cooccurrence, 4))
    with pytest.raises(ValueError, match="expected features for similarity 'content'"):
        make(similarity="content")


def test_there_is_nothing_to_learn():
    found = make(toy.interactions(), toy.features())

    assert not found.learns
    assert found.state_dict() == {}
