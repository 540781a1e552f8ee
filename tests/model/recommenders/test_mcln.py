import pytest
import torch
import toy

from model.data import Batch
from model.recommenders import build
from model.sampler import user_uniform

EVERYONE = torch.arange(toy.N_USERS)


def make(features=None, **changes):
    content = toy.features() if features is None else features
    return build(
        "mcln", toy.interactions(), content, generator=toy.generator(), **(toy.MCLN | changes)
    )


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


def test_the_score_is_equation_22():
    model = make(modality_weight=0.3)
    users, items = model.base()
    everything = torch.arange(toy.N_ITEMS)
    others = model.uninteracted(items, model.permutation)
    content = torch.stack(model.parts(items, everything, others)).sum(0)

    expected = users @ items.T + 0.3 * users @ content.T

    torch.testing.assert_close(model.scorer()(EVERYONE), expected)


def test_base_vt_adds_the_projected_features():
    model = make(counterfactual=False)
    _, items = model.base()
    everything = torch.arange(toy.N_ITEMS)

    parts = model.parts(items, everything, [])

    assert len(parts) == 2
    torch.testing.assert_close(
        parts[0], model.feature_visual @ model.project["visual"].weight.T
    )


@pytest.mark.parametrize("names", [["visual"], ["textual"], ["visual", "textual", "third"]])
@pytest.mark.parametrize("attention", ["modality", "batch", "dimension"])
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


def batch():
    return next(user_uniform(toy.interactions(), 8, toy.generator()))


def test_the_loss_is_equations_23_to_25():
    model, drawn = make(), batch()
    users, items = model.base()
    user = users[drawn.users]
    others = model.uninteracted(items, drawn.others)
    positive, negative = (
        model.parts(items, rows, others) for rows in (drawn.positives, drawn.negatives)
    )

    def term(score_i, score_j, *rows):
        penalty = sum(row.square().sum() for row in rows) / (2 * 8)
        return -(score_i - score_j).sigmoid().log().mean() + 0.001 * penalty

    layer0 = [model.users[drawn.users], model.items[drawn.positives]]
    expected = term(
        (user * items[drawn.positives]).sum(1),
        (user * items[drawn.negatives]).sum(1),
        *layer0, model.items[drawn.negatives],
    ) + term(
        (user * sum(positive)).sum(1), (user * sum(negative)).sum(1), *positive, *negative
    )  # fmt: skip

    torch.testing.assert_close(model.loss(drawn), expected)


def test_a_gate_scales_the_counterfactual_part_alone_and_learns():
    closed, opened = make(gate=0.0), make(gate=1.0)
    _, items = closed.base()
    everything = torch.arange(toy.N_ITEMS)
    plain, gated = (
        model.parts(items, everything, model.uninteracted(items, everything))
        for model in (closed, opened)
    )

    assert plain[-1].abs().max() == 0
    assert gated[-1].abs().max() > 0
    torch.testing.assert_close(plain[:-1], gated[:-1])
    torch.testing.assert_close(make().scorer()(EVERYONE), opened.scorer()(EVERYONE))
    closed.loss(batch()).backward()
    assert closed.gate.grad != 0


def test_negatives_may_attend_without_subtracting_anything():
    one = make(negatives="counterfactual").loss(batch())

    assert make(negatives="factual").loss(batch()) != one


def test_the_mean_over_draws_lies_between_them():
    model = make(inference="mean")
    _, items = model.base()
    everything = torch.arange(toy.N_ITEMS)
    terms = [
        sum(model.parts(items, everything, model.uninteracted(items, draw)))
        for draw in (model.permutation.roll(shift) for shift in range(8))
    ]
    users, _ = model.base()

    expected = users @ (items + torch.stack(terms).mean(0)).T

    torch.testing.assert_close(model.scorer()(EVERYONE), expected)


def test_the_hardest_draw_is_the_one_that_base_scores_highest():
    model = make(others="hard")
    drawn = next(model.batches(toy.interactions(), 8, toy.generator()))
    users, items = model.base()
    best = [
        max(row.tolist(), key=lambda i: (users[u] @ items[i]).item())
        for u, row in zip(drawn.users, drawn.others, strict=True)
    ]

    assert drawn.others.shape == (8, 8)
    single = Batch(drawn.users, drawn.positives, drawn.negatives, torch.tensor(best))
    torch.testing.assert_close(model.loss(drawn), model.loss(single))


def test_dropout_changes_the_loss_and_not_the_ranking():
    plain, dropped = make(), make(dropout=0.5)

    assert dropped.loss(batch()) != plain.loss(batch())
    torch.testing.assert_close(dropped.eval().scorer()(EVERYONE), plain.scorer()(EVERYONE))


def test_a_context_of_the_batch_attention_reaches_the_loss():
    whole, small = make(attention="batch"), make(attention="batch", context=2)

    assert whole.loss(batch()) != small.loss(batch())


def test_popular_draws_of_i_star_follow_popularity():
    drawn = next(make(others="popular").batches(toy.interactions(), 16, toy.generator()))

    assert not toy.interactions().contains(drawn.users, drawn.others).any()
