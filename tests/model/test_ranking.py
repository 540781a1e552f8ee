import pytest
import torch
import toy

import model.ranking
from model.data import Interactions
from model.ranking import inner_product, rank, ranks, sampled_ranks, top_k

PAIRS = toy.interactions()
SCORES = torch.randn(toy.N_USERS, toy.N_ITEMS, generator=toy.generator())


def table(users):
    return SCORES[users].clone()


def slow_full_rank(user, target, known):
    others = [i for i in range(toy.N_ITEMS) if i != target and i not in known]
    return sum(SCORES[user, i] >= SCORES[user, target] for i in others)


def known_of(user):
    return set(PAIRS.items[PAIRS.users == user].tolist())


def test_ranks_are_those_of_the_loop(monkeypatch):
    monkeypatch.setattr(model.ranking, "BLOCK", 7 * toy.N_ITEMS)  # several uneven blocks
    users = torch.arange(toy.N_USERS)
    targets = torch.randint(toy.N_ITEMS, (toy.N_USERS,), generator=toy.generator(5))
    negatives = torch.randint(toy.N_ITEMS, (toy.N_USERS, 6), generator=toy.generator(6))

    sampled, full = ranks(table, users, targets, negatives, PAIRS)

    for u in range(toy.N_USERS):
        target = int(targets[u])
        expected = sum(SCORES[u, int(n)] >= SCORES[u, target] for n in negatives[u])
        assert sampled[u] == expected
        assert full[u] == slow_full_rank(u, target, known_of(u))


TIED = SCORES.mul(2).round()  # some five values: most scores are tied


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_users_targets_have_places_in_one_list(monkeypatch, seed):
    """With ties among targets, and of targets with others; some targets are known items."""
    monkeypatch.setattr(model.ranking, "BLOCK", 3 * toy.N_ITEMS)
    monkeypatch.setattr(model.ranking, "ROWS", 2)
    drawn = torch.randperm(toy.N_USERS * toy.N_ITEMS, generator=toy.generator(seed))[:60]
    users, targets = drawn // toy.N_ITEMS, drawn % toy.N_ITEMS
    negatives = torch.randint(toy.N_ITEMS, (60, 6), generator=toy.generator(6))

    found = rank(lambda u: TIED[u].clone(), users, targets, negatives, PAIRS, length=4)

    for user in users.unique().tolist():
        own = targets[users == user].tolist()
        listed = [i for i in range(toy.N_ITEMS) if i in own or i not in known_of(user)]
        # A target is behind all others with its score; tied targets keep their order.
        listed.sort(key=lambda i: (-TIED[user, i], i in own, own.index(i) if i in own else 0))
        places = found.full[users == user].tolist()
        assert places == [listed.index(target) for target in own]
        assert len(set(places)) == len(own)
        top = found.lists[found.users == user][0].tolist()
        scores = sorted((TIED[user, i].item() for i in listed), reverse=True)
        assert [TIED[user, i].item() for i in top if i >= 0] == scores[:4]
        assert set(top) - {-1} <= set(listed)
    slow = [
        sum(TIED[u, int(n)] >= TIED[u, t] for n in row)
        for u, t, row in zip(users.tolist(), targets.tolist(), negatives, strict=True)
    ]
    assert found.sampled.tolist() == slow
    alone = sampled_ranks(lambda u: TIED[u], users, targets, negatives, toy.N_ITEMS)
    assert torch.equal(alone, found.sampled)


def test_a_list_ends_where_a_user_knows_all_others():
    tiny = Interactions(torch.tensor([0]), torch.tensor([0]), n_users=1, n_items=3)
    scorer = inner_product(torch.ones(1, 1), torch.tensor([[3.0], [2.0], [1.0]]))
    row = torch.tensor([0]), torch.tensor([2]), torch.tensor([[1]])

    assert rank(scorer, *row, tiny, length=9).lists.tolist() == [[1, 2, -1]]


def test_a_full_score_of_nan_is_refused():
    """Also one that is no candidate."""
    scores = torch.zeros(1, toy.N_ITEMS)
    scores[0, 5] = float("nan")
    one = Interactions(torch.tensor([0]), torch.tensor([9]), n_users=1, n_items=toy.N_ITEMS)

    with pytest.raises(ValueError, match="NaN"):
        ranks(
            lambda _: scores.clone(),
            torch.tensor([0]),
            torch.tensor([1]),
            torch.tensor([[2]]),
            one,
        )


def test_ranks_among_candidates_alone_are_the_same(monkeypatch):
    monkeypatch.setattr(model.ranking, "BLOCK", 7 * toy.N_ITEMS)
    users = torch.arange(toy.N_USERS)
    targets = torch.randint(toy.N_ITEMS, (toy.N_USERS,), generator=toy.generator(5))
    negatives = torch.randint(toy.N_ITEMS, (toy.N_USERS, 6), generator=toy.generator(6))
    candidates = users, targets, negatives

    alone = sampled_ranks(table, *candidates, toy.N_ITEMS)

    assert torch.equal(alone, ranks(table, *candidates, PAIRS)[0])


def test_a_target_that_recurs_in_train_is_not_hidden():
    users, target = torch.tensor([0]), PAIRS.items[:1]

    _, full = ranks(table, users, target, torch.tensor([[1]]), PAIRS)

    assert full.item() == slow_full_rank(0, int(target), known_of(0))


def test_top_k_leaves_out_what_is_known():
    for users, items, scores in top_k(table, torch.arange(toy.N_USERS), PAIRS, 4):
        for user, row, values in zip(users.tolist(), items.tolist(), scores, strict=True):
            allowed = sorted(
                set(range(toy.N_ITEMS)) - known_of(user), key=lambda i: -SCORES[user, i]
            )
            assert row == allowed[:4]
            assert torch.equal(values, SCORES[user, row])


def test_top_k_is_no_longer_than_the_catalogue():
    tiny = Interactions(torch.tensor([0]), torch.tensor([0]), n_users=1, n_items=3)
    scorer = inner_product(torch.ones(1, 1), torch.tensor([[3.0], [2.0], [1.0]]))

    (block,) = top_k(scorer, torch.tensor([0]), tiny, 10)

    assert block[1].tolist() == [[1, 2, 0]]
    assert block[2][0, 2] == float("-inf")
