"""Items without a training pair, of a split with cold items: what their scores are made of."""

import pytest
import torch
import toy

from model.fit import Training
from model.parts.item_graph import content
from model.recommenders import MODELS, build

N_ITEMS = toy.N_ITEMS + toy.N_NEW
NEW = slice(toy.N_ITEMS, N_ITEMS)
EVERYONE = torch.arange(toy.N_USERS)
CONTENT_ALONE = ("vbpr", "itemknn", "ease", "mcln", "mcln_plus", "freedom")


def make(name, pairs=None, **changes):
    given = toy.features(n_items=N_ITEMS)
    if name == "mcln_plus":
        given |= toy.tokens(N_ITEMS)
    pairs = pairs or toy.cold_interactions()
    settings = toy.SETTINGS[name] | changes
    return build(name, pairs, given, generator=toy.generator(), **settings)


def trained(name, **changes):
    model = make(name, **changes)
    if model.learns:
        pairs = toy.cold_interactions()
        training = Training(model, pairs, lr=0.02, batch_size=16, generator=toy.generator())
        for _ in range(4):
            training.run_epoch()
    return model.eval()


def scores(model):
    with torch.inference_mode():
        return model.scorer()(EVERYONE)


def test_the_models_that_score_new_items_say_so():
    given = {name: toy.features(n_items=N_ITEMS) for name in MODELS}
    given["mhgcf"] |= toy.tokens(N_ITEMS)
    pairs = toy.cold_interactions()
    models = {
        name: build(name, pairs, given[name], generator=toy.generator(), **toy.SETTINGS[name])
        for name in MODELS
    }

    assert {n for n, model in models.items() if model.scores_new_items} == set(CONTENT_ALONE)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("itemknn", {"similarity": "cooccurrence"}),
        ("ease", {"content_weight": 0.0}),
        ("freedom", {"item_layers": 0}),
        ("mcln", {"intra": False, "counterfactual": False}),
    ],
)
def test_without_content_in_the_score_they_do_not(name, changes):
    assert not make(name, **changes).scores_new_items


@pytest.mark.parametrize("name", CONTENT_ALONE)
def test_rows_of_new_items_change_no_score(name):
    """Shuffled, or replaced by large numbers: IDs, biases, rows of the token graph."""
    model = trained(name)
    before = scores(model)
    with torch.no_grad():
        rows = [p for p in model.parameters() if len(p) == N_ITEMS]
        for row in rows:
            row[NEW] = row[NEW].flip(0) * 100 + 7

    assert len(rows) == {"vbpr": 2, "itemknn": 0, "ease": 0, "mcln_plus": 2}.get(name, 1)
    assert torch.equal(scores(model), before)
    assert before[:, NEW].std(1).min() > 0  # they are told apart


@pytest.mark.parametrize("name", ["vbpr", "mcln", "mcln_plus", "freedom"])
def test_training_leaves_the_rows_of_new_items_as_they_were_drawn(name):
    before = {n: p.detach().clone() for n, p in make(name).named_parameters()}
    model = trained(name)

    for parameter, rows in model.named_parameters():
        if len(rows) == N_ITEMS:
            assert torch.equal(rows[NEW], before[parameter][NEW]), parameter
            assert not torch.equal(rows, before[parameter])


def test_the_score_of_a_new_item_by_vbpr_is_the_formula_of_its_content():
    model = trained("vbpr")
    projected = model.feature[NEW] @ model.projection
    expected = model.content_users @ projected.T + (model.feature[NEW] @ model.content_bias).T

    torch.testing.assert_close(scores(model)[:, NEW], expected)


def test_known_items_keep_their_rows_in_vbpr():
    model = trained("vbpr")
    known = slice(0, toy.N_ITEMS)
    expected = (
        model.users @ model.items[known].T
        + model.bias[known]
        + model.content_users @ (model.feature[known] @ model.projection).T
        + (model.feature[known] @ model.content_bias).T
    )

    torch.testing.assert_close(scores(model)[:, known], expected)


def test_the_score_of_a_new_item_by_itemknn_is_the_sum_of_its_cosines():
    """Every user's items have all new items among their nearest new ones."""
    model = make("itemknn", neighbours=N_ITEMS, content_weight=0.5)
    cosine = content(toy.features(n_items=N_ITEMS))(torch.arange(N_ITEMS)).clamp_min(0.0)
    pairs = toy.cold_interactions()
    chosen = torch.zeros(toy.N_USERS, N_ITEMS)
    chosen[pairs.users, pairs.items] = 1.0

    torch.testing.assert_close(scores(model)[:, NEW], 0.5 * (chosen @ cosine)[:, NEW])


def test_nearest_known_items_are_those_of_a_catalogue_without_new_ones():
    few = {"neighbours": 3}
    alone = build(
        "itemknn",
        toy.interactions(),
        {name: rows[: toy.N_ITEMS] for name, rows in toy.features(n_items=N_ITEMS).items()},
        generator=toy.generator(),
        **(toy.SETTINGS["itemknn"] | few),
    )

    known = scores(make("itemknn", **few))[:, : toy.N_ITEMS]

    torch.testing.assert_close(known, scores(alone))


def test_mcln_sees_known_items_as_the_other_item():
    """i* of inference, by which an item's content is purified."""
    permutation = make("mcln").permutation

    assert permutation.max() < toy.N_ITEMS
    assert len(permutation.unique()) == toy.N_ITEMS
