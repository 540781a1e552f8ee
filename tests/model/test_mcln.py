import pytest
import torch
import toy

from model import build
from model.mcln import attend_batch, attend_modalities
from model.sampler import user_uniform

EVERYONE = torch.arange(toy.N_USERS)


def make(features=None, **changes):
    content = toy.features() if features is None else features
    return build(
        "mcln", toy.interactions(), content, generator=toy.generator(), **(toy.MCLN | changes)
    )


def rows(width=12, n=5, seed=0):
    return [torch.randn(n, width, generator=toy.generator(seed + i)) for i in range(5)]


def test_base_without_popularity_and_self_loops_is_lightgcn():
    model = make({}, intra=False, counterfactual=False, popularity=0.0)
    from model.graph import symmetric

    model.graph = symmetric(toy.interactions())
    lightgcn = build(
        "lightgcn", toy.interactions(), {}, dim=8, layers=2, l2=0.001, generator=toy.generator()
    )
    batch = next(user_uniform(toy.interactions(), 8, toy.generator()))

    torch.testing.assert_close(model.scorer()(EVERYONE), lightgcn.scorer()(EVERYONE))
    torch.testing.assert_close(model.loss(batch), lightgcn.loss(batch))


@pytest.mark.parametrize("difference", ["distributions", "logits"])
def test_modality_attention_is_the_formula(difference):
    q, k, other_q, other_k, v = rows()

    found = attend_modalities(q, k, other_q, other_k, v, tokens=3, difference=difference)

    for row in range(5):
        Q, K, Q2, K2, V = (x[row].reshape(3, 4) for x in (q, k, other_q, other_k, v))
        S, S2 = Q @ K.T / 12**0.5, Q2 @ K2.T / 12**0.5
        if difference == "distributions":
            expected = (S.softmax(1) - S2.softmax(1)) @ V
        else:
            expected = (S - S2).softmax(1) @ V
        torch.testing.assert_close(found[row], expected.flatten())


@pytest.mark.parametrize("difference", ["distributions", "logits"])
def test_batch_attention_is_the_formula(difference):
    q, k, other_q, other_k, v = rows()
    S_BB, S2_BB = q @ k.T / 12**0.5, other_q @ other_k.T / 12**0.5
    if difference == "distributions":
        expected = (S_BB.softmax(1) - S2_BB.softmax(1)) @ v
    else:
        expected = (S_BB - S2_BB).softmax(1) @ v

    found = attend_batch(q, k, other_q, other_k, v, difference=difference)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_equal_distributions_leave_nothing():
    q, k, _, _, v = rows()

    found = attend_modalities(q, k, q, k, v, tokens=3, difference="distributions")

    assert found.abs().max() < 1e-6


def test_the_score_is_equation_22():
    model = make(modality_weight=0.3)
    users, items = model.base()
    everything = torch.arange(toy.N_ITEMS)
    content = torch.stack(model.parts(items, everything, model.permutation)).sum(0)

    expected = users @ items.T + 0.3 * users @ content.T

    torch.testing.assert_close(model.scorer()(EVERYONE), expected)


def test_base_vt_adds_the_projected_features():
    model = make(counterfactual=False)
    _, items = model.base()
    everything = torch.arange(toy.N_ITEMS)

    parts = model.parts(items, everything, everything)

    assert len(parts) == 2
    torch.testing.assert_close(
        parts[0], model.feature_visual @ model.project["visual"].weight.T
    )


@pytest.mark.parametrize("names", [["visual"], ["textual"], ["visual", "textual", "third"]])
@pytest.mark.parametrize("attention", ["modality", "batch"])
def test_any_number_of_modalities_works_and_leaves_no_trace_of_others(names, attention):
    content = {name: torch.randn(20, 5, generator=toy.generator()) for name in names}
    model = make(content, attention=attention)

    model.loss(next(user_uniform(toy.interactions(), 8, toy.generator()))).backward()

    assert set(model.project) == set(names)
    assert model.scorer()(EVERYONE).isfinite().all()


@pytest.mark.parametrize("norm", ["none", "unit_mean", "unit_rows"])
def test_absent_features_stay_zero_rows(norm):
    feature = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 1.0]]).repeat(7, 1)[:20]
    model = make({"visual": feature}, feature_norm=norm)

    assert model.feature_visual[1].tolist() == [0.0, 0.0]
    length = {"none": 5.0, "unit_mean": 5.0 * 13 / (7 * 5 + 6), "unit_rows": 1.0}[norm]
    assert model.feature_visual[0].norm().item() == pytest.approx(length, rel=1e-5)
