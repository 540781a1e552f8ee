import pytest
import torch
import torch.nn.functional as F
import toy

from model.recommenders import build
from model.sampler import user_uniform

EVERYONE = torch.arange(toy.N_USERS)


def make(features=None, **changes):
    content = toy.features() if features is None else features
    settings = toy.SETTINGS["mcln_released"] | changes
    return build(
        "mcln_released", toy.interactions(), content, generator=toy.generator(), **settings
    )


def test_a_layer_is_the_released_formula():
    layer = make().counterfactual[0]
    x, other = (torch.randn(5, 24, generator=toy.generator(i)) for i in (1, 2))
    weights = {name: p.detach() for name, p in layer.named_parameters()}
    q, k, v = (x @ weights[f"{name}.weight"].T for name in ("query", "key", "value"))
    q2, k2 = (other @ weights[f"other_{name}.weight"].T for name in ("query", "key"))

    for given, scores in ((other, q @ k.T - q2 @ k2.T), (None, q @ k.T)):
        attended = (scores / 24**0.5).softmax(1) @ v @ weights["out.weight"].T
        ln = F.layer_norm(attended + x, (24,))
        inner = (ln @ weights["first.weight"].T).relu()
        ffn = (inner @ weights["second.weight"].T).relu()

        torch.testing.assert_close(layer(x, given), F.layer_norm(ffn + ln, (24,)))


def test_the_loss_is_four_bpr_terms_and_one_penalty():
    model = make(l2=0.1)
    batch = next(user_uniform(toy.interactions(), 8, toy.generator()))
    users, items = model.base()
    user, i, j = users[batch.users], batch.positives, batch.negatives
    sides = {"base": (items[i], items[j])}
    content = {row: model.content(row) for row in (i, j, batch.others)}
    sides |= {name: (content[i][name], content[j][name]) for name in ("visual", "textual")}
    x_i, x_j, x_other = (
        torch.cat([items[rows], *content[rows].values()], 1) for rows in (i, j, batch.others)
    )
    sides["vt"] = model.positive(x_i, x_other), model.negative(x_j)
    kept = [model.users[batch.users], model.items[i], model.items[j]]
    kept += [row for name in ("visual", "textual", "vt") for row in sides[name]]

    expected = sum(
        -((user * p).sum(1) - (user * n).sum(1)).sigmoid().log().mean()
        for p, n in sides.values()
    ) + 0.1 * sum(row.square().sum() for row in kept) / (2 * 8)

    torch.testing.assert_close(model.loss(batch), expected)


def test_ranking_weighs_the_named_modality_alone():
    plain, weighted = make(modality_weights={}), make(modality_weights={"visual": 0.3})
    users, _ = plain.base()
    visual = plain.content(torch.arange(toy.N_ITEMS))["visual"]

    expected = plain.scorer()(EVERYONE) - 0.7 * users @ visual.T

    torch.testing.assert_close(weighted.scorer()(EVERYONE), expected)


def test_positives_and_negatives_differ_in_score_for_the_same_item():
    """The flaw that makes its inter-modality loss nearly uninformative."""
    model = make()
    _, items = model.base()
    x = model._joined(items, torch.arange(toy.N_ITEMS))

    assert not torch.allclose(model.positive(x, x), model.negative(x))


@pytest.mark.parametrize("names", [["visual"], ["textual"], ["visual", "textual", "third"]])
def test_any_number_of_modalities_works(names):
    content = {name: torch.randn(20, 5, generator=toy.generator()) for name in names}
    model = make(content)

    model.loss(next(user_uniform(toy.interactions(), 8, toy.generator()))).backward()

    assert set(model.project) == set(names)
    assert model.scorer()(EVERYONE).isfinite().all()
