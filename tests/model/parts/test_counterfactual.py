import pytest
import torch
import toy

from model.parts.counterfactual import (
    CounterfactualLayer,
    Other,
    attend_batch,
    attend_dimensions,
    attend_modalities,
)


def rows(width=12, n=5, seed=0):
    """Queries, keys and values of i, and queries and keys of i*."""
    q, k, other_q, other_k, v = (
        torch.randn(n, width, generator=toy.generator(seed + i)) for i in range(5)
    )
    return q, k, v, Other(other_q, other_k)


def weight(score, other, difference):
    if difference == "distributions":
        return score.softmax(-1) - other.softmax(-1)
    return score.softmax(-1) if difference == "factual" else (score - other).softmax(-1)


DIFFERENCES = pytest.mark.parametrize("difference", ["distributions", "logits", "factual"])


@DIFFERENCES
def test_modality_attention_is_the_formula(difference):
    q, k, v, other = rows()

    found = attend_modalities(q, k, v, other, tokens=3, difference=difference)

    for row in range(5):
        Q, K, V, Q2, K2 = (x[row].reshape(3, 4) for x in (q, k, v, *other))
        expected = weight(Q @ K.T / 12**0.5, Q2 @ K2.T / 12**0.5, difference) @ V
        torch.testing.assert_close(found[row], expected.flatten())


@DIFFERENCES
def test_batch_attention_is_the_formula(difference):
    q, k, v, other = rows()
    S_BB, S2_BB = q @ k.T / 12**0.5, other.query @ other.key.T / 12**0.5

    found = attend_batch(q, k, v, other, difference=difference)

    expected = weight(S_BB, S2_BB, difference) @ v
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@DIFFERENCES
def test_dimension_attention_is_the_formula_in_blocks_too(difference, monkeypatch):
    monkeypatch.setattr("model.parts.counterfactual.BLOCK", 2 * 12**2)  # two rows a block
    q, k, v, other = rows()

    found = attend_dimensions(q, k, v, other, difference=difference)

    for row in range(5):
        S = torch.outer(q[row], k[row]) / 12**0.5
        S2 = torch.outer(other.query[row], other.key[row]) / 12**0.5
        torch.testing.assert_close(found[row], weight(S, S2, difference) @ v[row])


@pytest.mark.parametrize("attention", ["modality", "batch", "dimension"])
def test_equal_distributions_leave_nothing(attention):
    q, k, v, _ = rows()
    attend = {
        "modality": lambda *x: attend_modalities(*x, tokens=3, difference="distributions"),
        "batch": lambda *x: attend_batch(*x, difference="distributions"),
        "dimension": lambda *x: attend_dimensions(*x, difference="distributions"),
    }[attention]

    assert attend(q, k, v, Other(q, k)).abs().max() < 1e-6


def layer(difference, attention="modality"):
    made = CounterfactualLayer(3, 4, attention, difference)
    for parameter in made.parameters():
        if parameter.dim() > 1:
            torch.nn.init.xavier_uniform_(parameter, generator=toy.generator())
    return made


def test_a_layer_is_equations_10_to_17():
    made = layer("distributions")
    x, other = (torch.randn(5, 12, generator=toy.generator(i)) for i in (1, 2))
    weights = {name: p.detach() for name, p in made.named_parameters()}

    found = made(x, made.others(other))

    q, k, v = (x @ weights[f"{name}.weight"].T for name in ("query", "key", "value"))
    star = Other(*(other @ weights[f"other_{name}.weight"].T for name in ("query", "key")))
    cl = attend_modalities(q, k, v, star, tokens=3, difference="distributions")
    ln = torch.nn.functional.layer_norm(cl + x, (12,))
    ffn = (ln @ weights["first.weight"].T).relu() @ weights["second.weight"].T
    torch.testing.assert_close(found, torch.nn.functional.layer_norm(ffn + ln, (12,)))


@pytest.mark.parametrize("difference", ["factual", "none"])
def test_a_control_has_no_weights_for_i_star_and_does_not_look_at_it(difference):
    made = layer(difference)

    assert made.others(torch.ones(5, 12)) is None
    assert not [name for name, _ in made.named_parameters() if "other" in name]
    assert made(torch.ones(5, 12), None).isfinite().all()
    assert ("query.weight" in dict(made.named_parameters())) == (difference == "factual")


@DIFFERENCES
def test_a_context_splits_the_batch_into_attentions_of_their_own(difference):
    q, k, v, other = rows(n=7)

    found = attend_batch(q, k, v, other, difference=difference, context=2)  # 7 / 2: in 4

    for first in range(4):
        some = [x[first::4] for x in (q, k, v, *other)]
        alone = attend_batch(*some[:3], Other(*some[3:]), difference=difference)
        torch.testing.assert_close(found[first::4], alone)


def test_dropout_is_in_training_alone_and_drawn_from_the_generator():
    def layer(dropout):
        torch.manual_seed(0)
        return CounterfactualLayer(
            3, 4, "modality", "none", dropout=dropout, generator=toy.generator()
        )

    x = torch.randn(5, 12, generator=toy.generator())
    plain, one, two = layer(0.0), layer(0.5), layer(0.5)
    torch.manual_seed(1)
    first = one(x, None)
    torch.manual_seed(2)

    assert torch.equal(first, two(x, None))
    assert not torch.equal(first, one(x, None))
    assert not torch.equal(first, plain(x, None))
    assert torch.equal(one.eval()(x, None), plain(x, None))
