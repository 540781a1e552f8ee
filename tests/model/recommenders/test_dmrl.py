import itertools
import math

import pytest
import torch
import torch.nn.functional as F
import toy

from model.fit import Progress, Training
from model.parts.content import scale
from model.recommenders import dmrl
from model.recommenders.dmrl import DMRL, distance_correlation

SETTINGS = {
    "dim": toy.DIM, "factors": 2, "negatives": 3, "l2": 0.001, "decorrelation": 0.001,
    "feature_norm": "none", "pairs": "all", "decorrelation_rows": 512, "dropout": 0.2,
    "hidden": {"visual": 16, "textual": 8}, "trained": "all",
}  # fmt: skip
EVERYONE = torch.arange(toy.N_USERS)
EVERYTHING = torch.arange(toy.N_ITEMS)


def make(features=None, interactions=None, seed=1, **changes):
    content = toy.features() if features is None else features
    interactions = interactions or toy.interactions()
    return DMRL(interactions, content, generator=toy.generator(seed), **(SETTINGS | changes))


def shaken(**changes):
    """A model with no zero left and an attention far from even, in evaluation mode."""
    model = make(**changes).eval()
    generator = toy.generator(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)
    return model


def batch(size=16, seed=1):
    return next(make().batches(toy.interactions(), size, toy.generator(seed)))


def pair_by_hand(model, user, tokens):
    """Score one pair, from the user's K chunks and the item's T x K."""
    total = 0.0
    for k in range(model.factors):
        joined = torch.cat([user[k], *(token[k] for token in tokens)])
        hidden = model.attention_in(joined / joined.norm()).tanh()
        attention = model.attention_out(hidden).exp()
        for x, token in enumerate(tokens):
            liking = math.log1p(math.exp(float(user[k] @ token[k])))
            total += float(attention[x] / attention.sum()) * liking
    return total


def scores_by_hand(model):
    users, tokens = model.users.unflatten(1, (model.factors, -1)), model.tokens(EVERYTHING)
    with torch.no_grad():
        return torch.tensor([[pair_by_hand(model, u, item) for item in tokens] for u in users])


@pytest.mark.parametrize("factors", [1, 2, 4])
@pytest.mark.parametrize("names", [[], ["visual"], ["visual", "textual"]])
def test_block_scores_and_pairwise_scores_are_the_formula(names, factors):
    content = {name: toy.features()[name] for name in names}
    model = shaken(features=content, factors=factors)
    user = model.users.unflatten(1, (factors, -1))
    items = model.tokens(EVERYTHING).expand(toy.N_USERS, -1, -1, -1, -1)

    expected = scores_by_hand(model)

    torch.testing.assert_close(model.scores(user, items), expected)
    torch.testing.assert_close(model.scorer()(EVERYONE), expected)


@pytest.mark.parametrize("tile", [1, 3 * toy.N_ITEMS, 1 << 16])
def test_scores_do_not_depend_on_the_size_of_the_tile(monkeypatch, tile):
    model = shaken()
    expected = model.scorer()(EVERYONE)
    monkeypatch.setattr(dmrl, "TILE", tile)

    torch.testing.assert_close(model.scorer()(EVERYONE.flip(0)), expected.flip(0))


def test_extreme_products_give_finite_scores():
    model = shaken()
    with torch.no_grad():
        model.users.mul_(1e3)

    scores = model.scorer()(EVERYONE)

    assert scores.isfinite().all()
    torch.testing.assert_close(scores[:1], model.scores(  # softplus grows like its argument
        model.users[:1].unflatten(1, (2, -1)), model.tokens(EVERYTHING)[None]
    ))  # fmt: skip


def test_a_projection_is_the_formula():
    model = shaken()
    feature, layers = toy.features()["textual"], model.project["textual"]
    unit = feature / feature.norm(dim=1, keepdim=True)
    hidden = layers.first(unit)
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    expected = layers.second(hidden / hidden.norm(dim=1, keepdim=True))

    torch.testing.assert_close(model.tokens(EVERYTHING)[:, 2].flatten(1), expected)
    torch.testing.assert_close(model.tokens(EVERYTHING)[:, 0].flatten(1), model.items)


def test_the_hardest_negative_and_all_rows_enter_the_loss():
    model, drawn = shaken(l2=0.1, decorrelation=0.0), batch(8)
    scores, tokens = scores_by_hand(model), model.tokens(EVERYTHING)
    total = 0.0
    for u, i, others in zip(drawn.users, drawn.positives, drawn.negatives, strict=True):
        total += math.log1p(math.exp(float(scores[u, others].max() - scores[u, i])))
        rows = [model.users[u], tokens[i], *tokens[others]]
        total += 0.1 / 2 * sum(row.square().sum().item() for row in rows)

    assert model.loss(drawn).item() == pytest.approx(total / 8, rel=1e-5)


def correlation_by_hand(x, y):
    """The definition, entry by entry."""
    size = range(len(x))

    def centred(rows):
        distance = [[(rows[i] - rows[j]).norm().item() for j in size] for i in size]
        mean = [sum(row) / len(row) for row in distance]
        whole = sum(mean) / len(mean)
        return [[distance[i][j] - mean[i] - mean[j] + whole for j in size] for i in size]

    def covariance(a, b):
        products = (a[i][j] * b[i][j] for i in size for j in size)
        return math.sqrt(sum(products) / len(x) ** 2)

    a, b = centred(x), centred(y)
    return covariance(a, b) / math.sqrt(covariance(a, a) * covariance(b, b))


def test_distance_correlation_is_the_definition():
    x = torch.randn(3, 12, 4, generator=toy.generator())
    expected = torch.tensor([[correlation_by_hand(a, b) for a in x] for b in x])

    torch.testing.assert_close(distance_correlation(x), expected, rtol=1e-3, atol=1e-4)


def test_distance_correlation_sees_what_is_not_linear():
    x = torch.linspace(-1, 1, 200)[:, None]
    independent = torch.randn(200, 1, generator=toy.generator())

    found = distance_correlation(torch.stack([x, x.square(), 3 * x + 1, independent]))

    assert found[0, 1] > 0.4  # where Pearson's is 0
    assert found[0, 2] == pytest.approx(1.0, abs=1e-3)
    assert found[0, 3] < 0.2


@pytest.mark.parametrize("pairs", ["all", "adjacent"])
def test_the_penalty_is_on_these_pairs_of_factors_with_this_divisor(pairs):
    changes = {"factors": 4, "pairs": pairs, "l2": 0.0, "decorrelation_rows": 6}
    model, plain = shaken(decorrelation=2.0, **changes), shaken(decorrelation=0.0, **changes)
    drawn = batch()
    user = model.users[drawn.users[:6]].unflatten(1, (4, -1))
    tensors = [user, *model.tokens(drawn.positives[:6]).unbind(1)]
    chosen = {
        "all": list(itertools.combinations(range(4), 2)),
        "adjacent": [(0, 1), (1, 2), (2, 3)],
    }[pairs]
    total = sum(
        correlation_by_hand(tensor[:, k], tensor[:, other])
        for tensor in tensors for k, other in chosen
    )  # fmt: skip

    expected = 2.0 * total / {"all": 6, "adjacent": 10}[pairs]

    assert (model.loss(drawn) - plain.loss(drawn)).item() == pytest.approx(expected, rel=1e-3)


def test_one_factor_has_no_correlation_penalty():
    assert torch.equal(
        shaken(factors=1, decorrelation=5.0).loss(batch()),
        shaken(factors=1, decorrelation=0.0).loss(batch()),
    )


def test_dropout_is_drawn_from_the_models_generator_and_off_in_evaluation():
    model = make(dropout=0.5)
    first, second = model.loss(batch()), model.loss(batch())

    assert first != second
    assert make(dropout=0.5).loss(batch()) == first
    model.eval()
    assert model.loss(batch()) == model.loss(batch()) == make(dropout=0.0).loss(batch())


def test_a_training_that_was_restored_draws_the_same_dropout():
    def training():
        generator = toy.generator()
        model = DMRL(toy.interactions(), toy.features(), generator=generator, **SETTINGS)
        return Training(model, toy.interactions(), lr=0.01, batch_size=16, generator=generator)

    through, restored = training(), training()
    through.run_epoch()
    restored.restore({k: v.clone() for k, v in through.tensors().items()}, Progress(epoch=1))

    assert through.run_epoch() == restored.run_epoch()


@pytest.mark.parametrize("names", [["visual"], ["textual"], ["visual", "textual", "third"]])
def test_any_number_of_modalities_works_and_leaves_no_trace_of_others(names):
    content = {name: torch.randn(20, 5, generator=toy.generator()) for name in names}
    model = make(content, hidden=8)

    model.loss(batch()).backward()

    assert set(model.project) == set(names)
    assert model.attention_out.weight.shape == (1 + len(names), 1 + len(names))
    assert model.eval().scorer()(EVERYONE).isfinite().all()


def test_missing_content_gives_finite_scores_and_no_giant_gradients():
    missing = {name: feature.clone() for name, feature in toy.features().items()}
    for feature in missing.values():
        feature[[3, 5]] = 0
    whole, holed = make(dropout=0.0), make(missing, dropout=0.0)
    for model in (whole, holed):
        model.loss(batch()).backward()

    assert holed.eval().scorer()(EVERYONE).isfinite().all()
    for name, parameter in whole.named_parameters():
        assert holed.get_parameter(name).grad.norm() < 100 * parameter.grad.norm() + 1e-3


def test_the_released_code_learns_the_tables_only():
    model = make(trained="tables")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pairs = toy.interactions()
    Training(model, pairs, lr=0.02, batch_size=16, generator=toy.generator()).run_epoch()

    changed = {
        name for name, value in model.state_dict().items() if (value != before[name]).any()
    }

    assert changed == {"users", "items"}


def test_factors_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="got 3 and 8"):
        make(factors=3)


def test_a_modality_without_a_hidden_width_is_named():
    with pytest.raises(ValueError, match=r"for textual, got \{'visual': 16\}"):
        make(hidden={"visual": 16})


def test_the_norm_of_a_feature_comes_before_the_unit_length_of_its_rows():
    content = toy.features()

    whitened = make(content, feature_norm="half_whitened").get_buffer("feature_visual")

    expected = F.normalize(scale(content["visual"], "half_whitened"))
    torch.testing.assert_close(whitened, expected)
    assert not torch.allclose(whitened, make(content).get_buffer("feature_visual"))
