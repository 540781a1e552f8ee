"""A score is the sum of its parts, and of what came through the user's items."""

import pytest
import torch
import toy

from model.explanation import parts, sources
from model.recommenders import MODELS, build

EVERYONE = torch.arange(toy.N_USERS)
FORMS: dict[str, dict[str, object]] = {
    "mcln": {},
    "the mean over draws": {"inference": "mean", "modality_weight": 0.3},
    "i* is the item itself": {"inference": "self", "gate": 0.5},
    "attention over the batch": {"attention": "batch", "difference": "logits"},
    "without intra": {"intra": False},
    "without inter": {"counterfactual": False},
    "base": {"intra": False, "counterfactual": False},
    "no layers of the graph": {"layers": 0},
    "one layer": {"layers": 1},
}
CASES = [(name, {}) for name in ("mcln_released", "lightgcn", "vbpr")]
CASES += [("mcln", changes) for changes in FORMS.values()]


def make(name, **changes):
    settings = toy.SETTINGS[name] | changes
    made = build(
        name, toy.interactions(), toy.features(), generator=toy.generator(), **settings
    )
    return made.eval()


@pytest.mark.parametrize(("name", "changes"), CASES)
@torch.inference_mode()
def test_the_parts_sum_to_the_score(name, changes):
    model = make(name, **changes)

    found = parts(model)

    scores = sum(found.users @ item.T for item in found.items.values())
    torch.testing.assert_close(scores, model.scorer()(EVERYONE), rtol=0, atol=1e-5)
    assert scores.abs().max() > 1e-3  # far above the tolerance


@pytest.mark.parametrize(("name", "changes"), [case for case in CASES if case[0] != "vbpr"])
@torch.inference_mode()
def test_the_sources_sum_to_the_users_vector(name, changes):
    found = parts(make(name, **changes))

    for user in (0, 7, 29):
        items, through, own = sources(found.propagation, user, toy.N_USERS)

        assert items.tolist() == sorted(
            toy.interactions().items[toy.interactions().users == user].tolist()
        )
        torch.testing.assert_close(through.sum(0) + own, found.users[user], rtol=0, atol=1e-6)


@torch.inference_mode()
def test_the_source_of_an_item_is_that_of_dense_matrices():
    """L = 2: (E_u + sum_j P_uj (E_j + (P E)_j)) / 3."""
    model = make("mcln", layers=2)
    of = parts(model).propagation
    dense = model.graph.matrix.to_dense()
    gathered = of.embeddings + dense @ of.embeddings

    items, through, own = sources(of, 4, toy.N_USERS)

    nodes = toy.N_USERS + items
    torch.testing.assert_close(through, dense[4, nodes, None] * gathered[nodes] / 3)
    torch.testing.assert_close(own, (of.embeddings[4] + dense[4, 4] * gathered[4]) / 3)


def test_the_parts_are_named_by_where_they_come_from():
    assert list(parts(make("mcln")).items) == ["id", "visual", "textual", "inter"]
    assert list(parts(make("mcln", intra=False)).items) == ["id", "inter"]
    assert list(parts(make("mcln", counterfactual=False)).items) == ["id", "visual", "textual"]
    assert list(parts(make("mcln_released")).items) == ["id", "visual", "textual", "inter"]
    assert list(parts(make("vbpr")).items) == ["id", "content"]


@torch.inference_mode()
def test_without_the_subtraction_is_the_same_network_that_attends_and_subtracts_nothing():
    """The control `factual` has the same weights but for those of i*."""
    model, control = make("mcln"), make("mcln", difference="factual")
    control.load_state_dict({k: v for k, v in model.state_dict().items() if ".other_" not in k})

    found = parts(model)

    torch.testing.assert_close(found.without, parts(control).items["inter"])
    assert not torch.allclose(found.without, found.items["inter"], atol=1e-4)
    assert parts(make("mcln", counterfactual=False)).without is None


@torch.inference_mode()
def test_a_control_that_subtracts_nothing_has_nothing_removed():
    found = parts(make("mcln", difference="factual"))

    torch.testing.assert_close(found.without, found.items["inter"])


@pytest.mark.parametrize(
    "name", sorted(set(MODELS) - {"mcln", "mcln_released", "lightgcn", "vbpr"})
)
def test_other_models_have_no_parts(name):
    assert parts(make(name)) is None
