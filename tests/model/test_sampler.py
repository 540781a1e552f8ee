import pytest
import torch
import toy

from model.data import Interactions
from model.recommenders import MODELS, build
from model.sampler import pair_uniform, uninteracted, user_uniform
from model.sampler import pairs as by_pairs


def test_batches_hold_distinct_users_their_items_and_items_they_never_had():
    pairs = toy.interactions()
    batches = list(user_uniform(pairs, 16, toy.generator()))

    assert len(batches) == len(pairs) // 16 + 1
    for batch in batches:
        assert len(batch.users.unique()) == 16
        assert pairs.contains(batch.users, batch.positives).all()
        assert not pairs.contains(batch.users, batch.negatives).any()
        assert not pairs.contains(batch.users, batch.others).any()


def test_users_without_a_pair_are_never_drawn():
    pairs = Interactions(torch.tensor([0, 2]), torch.tensor([0, 1]), n_users=4, n_items=3)

    drawn = {
        u for batch in user_uniform(pairs, 8, toy.generator()) for u in batch.users.tolist()
    }

    assert drawn == {0, 2}


def test_negatives_are_uniform_over_what_is_left():
    """User 0 has items 0 and 1 of 5: each of the others gets a third of the draws."""
    pairs = Interactions(torch.tensor([0, 0]), torch.tensor([0, 1]), n_users=1, n_items=5)

    counts = torch.bincount(
        uninteracted(pairs, torch.zeros(30_000, dtype=torch.long), toy.generator()), minlength=5
    )

    assert counts[:2].tolist() == [0, 0]
    assert (counts[2:] - 10_000).abs().max() < 400  # five standard deviations


def test_a_repeated_pair_is_a_likelier_positive():
    pairs = Interactions(
        torch.tensor([0, 0, 0, 0]), torch.tensor([1, 1, 1, 2]), n_users=1, n_items=9
    )
    generator = toy.generator()

    drawn = torch.cat(
        [b.positives for _ in range(800) for b in user_uniform(pairs, 4, generator)]
    )

    assert 0.70 < (drawn == 1).double().mean() < 0.80


def test_the_same_seed_draws_the_same():
    one, two = (list(user_uniform(toy.interactions(), 8, toy.generator(3))) for _ in range(2))

    assert all(torch.equal(a.negatives, b.negatives) for a, b in zip(one, two, strict=True))


def test_a_pass_over_the_pairs_has_each_once_with_an_item_its_user_never_had():
    pairs = toy.interactions()
    batches = list(by_pairs(pairs, 16, toy.generator()))

    assert [len(batch.users) for batch in batches] == [16] * 9 + [6]
    drawn = torch.cat([batch.users * toy.N_ITEMS + batch.positives for batch in batches])
    assert torch.equal(drawn.sort().values, pairs.keys)
    assert not torch.equal(drawn, pairs.keys)
    for batch in batches:
        assert batch.negatives.shape == batch.users.shape
        assert not pairs.contains(batch.users, batch.negatives).any()
        assert not pairs.contains(batch.users, batch.others).any()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_trained_by_pairs(name):
    """Those of one negative follow the setting; InvRL and DMRL always take pairs."""
    model = build(
        name,
        toy.interactions(),
        toy.features(),
        generator=toy.generator(),
        **toy.SETTINGS[name],
    )
    sizes = {}
    for model.sampling in ("users", "pairs"):
        batches = list(model.batches(toy.interactions(), 16, toy.generator()))
        sizes[model.sampling] = [len(batch.users) for batch in batches]
        if model.learns:
            assert model.loss(batches[-1]).isfinite()

    assert sizes["pairs"] == [16] * 9 + [6]
    assert sizes["users"] == ([16] * 10 if name not in ("invrl", "dmrl") else sizes["pairs"])


def test_new_items_are_never_drawn():
    """The last ones have no pair: they are neither negatives nor others, in any scheme."""
    pairs = toy.cold_interactions()
    generator = toy.generator()
    batches = [*user_uniform(pairs, 16, generator), *by_pairs(pairs, 16, generator)]
    batches += pair_uniform(pairs, 16, generator, negatives=8, reject=False)
    drawn = torch.cat([t.flatten() for b in batches for t in (b.negatives, b.others)])

    assert set(drawn.tolist()) == set(range(toy.N_ITEMS))
    assert pairs.new_items.nonzero().flatten().tolist() == list(
        range(toy.N_ITEMS, pairs.n_items)
    )


def test_a_user_of_all_items_that_are_not_new_has_no_negative():
    users, items = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])

    with pytest.raises(ValueError, match="user 0 interacted with all 2 items"):
        Interactions(users, items, n_users=2, n_items=5, cold_items=True)
