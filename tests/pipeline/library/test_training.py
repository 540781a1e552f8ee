"""Every model is trained on tensors alone."""

import numpy as np
import pytest
import torch

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.library.training import train

N_USERS, N_ITEMS = 30, 80
USERS = np.repeat(np.arange(N_USERS), 5)
ITEMS = (USERS % 2 * 40 + np.tile(np.arange(5), N_USERS) * 3 + USERS // 2) % N_ITEMS
FEATURES = {
    name: np.random.default_rng(0).random((N_ITEMS, 6), np.float32)
    for name in ("visual", "textual")
}
SHORT = {"stages": {"pretrain_epochs": 1, "iterations": 1, "mask_epochs": 1}}
BPRMF = {"dim": 8, "lr": 0.05, "l2": 0.0}


def settings_of(model):
    """Those of params.yaml, with InvRL's stages cut short."""
    settings = params.load().model(model, "sample").model_dump()
    if model == "invrl":
        settings["stages"] |= SHORT["stages"]
    return settings


@pytest.mark.parametrize("model", params.ARCHITECTURES)
def test_every_model_trains_and_answers(model):
    run = dict(features=FEATURES, epochs=2, device="cpu", batch_size=64, **settings_of(model))

    first, again = (train(model, USERS, ITEMS, **run) for _ in range(2))

    scores = first.scores([0, 3])
    assert scores.shape == (2, N_ITEMS)
    assert scores.isfinite().all()
    assert torch.equal(scores, again.scores([0, 3]))


def test_training_learns_and_lists_leave_out_the_pairs():
    """Even users chose among the first half of the items, mostly."""
    trained = train("bprmf", USERS, ITEMS, epochs=60, device="cpu", batch_size=64, **BPRMF)

    items, scores = trained.top_k(np.arange(N_USERS), 10)

    assert items.shape == scores.shape == (N_USERS, 10)
    assert (scores.diff(dim=1) <= 0).all()
    for user, row in enumerate(items):
        assert not set(row.tolist()) & set(ITEMS[user == USERS].tolist())
    chosen, others = trained.scores([0])[0, ITEMS[USERS == 0]], trained.scores([0])[0]
    assert chosen.mean() > others.mean() + 0.5


def test_sizes_follow_the_features_or_are_given():
    trained = train("bprmf", [0, 1], [0, 1], epochs=1, n_users=5, n_items=9, **BPRMF)
    assert trained.scores([4]).shape == (1, 9)

    settings = settings_of("mcln") | {"modalities": ["visual"]}
    trained = train("mcln", [0, 1], [0, 1], FEATURES, epochs=1, device="cpu", **settings)
    assert trained.scores([1]).shape == (1, N_ITEMS)
    assert trained.model.modalities == ["visual"]


def test_missing_settings_are_all_named_with_a_way_to_get_them():
    with pytest.raises(ParamsError) as error:
        train("lightgcn", USERS, ITEMS, epochs=1, dim=8, layer=2)

    assert str(error.value).splitlines() == [
        "train lightgcn: missing settings: lr, l2, layers",
        "train lightgcn: layer: unknown setting",
        "Give settings by keyword, or those of a params.yaml: "
        '**params.load().model("lightgcn", "sample").model_dump()',
    ]


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("base", {}, "train: no model 'base'; expected one of .*'bprmf'"),
        ("vbpr", {"modalities": ["audio"]}, "got 'audio'"),
        ("vbpr", {"n_items": 81}, "features: visual: expected 81 rows, one per item, got 80"),
        ("bprmf", {"device": "tpu"}, "tpu"),
    ],
)
def test_a_wrong_argument_is_named(model, changes, message):
    settings = BPRMF if model != "vbpr" else settings_of("vbpr")
    with pytest.raises(ParamsError, match=message):
        train(model, USERS, ITEMS, FEATURES, epochs=1, **settings | changes)


def test_as_many_users_as_items():
    with pytest.raises(ValueError, match="expected as many users as items, got"):
        train("bprmf", [0, 1], [0], epochs=1, **BPRMF)


PLUS = {
    "dim": 8, "lr": 0.01, "l2": 0.001, "layers": 1, "popularity": 0.1,
    "feature_norm": "unit_mean", "intra": True, "counterfactual": False, "identity": False,
    "counterfactual_layers": 1, "attention": "modality", "context": None,
    "difference": "distributions", "negatives": "counterfactual", "others": "random",
    "inference": "permutation", "dropout": 0.0, "gate": None, "modality_weight": 1.0,
    "token_layers": 2, "token_l2": None, "item_graph": "before", "item_graph_of": "both",
    "item_neighbours": 2, "shrinkage": 1.0, "linear_weight": 0.3, "linear_l2": 1.0,
    "linear_content": 0.0, "linear_tokens": 1.0,
}  # fmt: skip


def test_tokens_are_pairs_of_item_and_token():
    n_items = len(next(iter(FEATURES.values())))
    colours = np.stack([np.arange(n_items), np.arange(n_items) % 3], 1)
    data, run = ("mcln_plus", USERS, ITEMS, FEATURES), {"epochs": 1, "device": "cpu", **PLUS}

    trained = train(*data, item_tokens={"colours": colours}, **run)
    without = train(*data, **run)

    assert len(trained.model.tokens.tokens) == 3
    assert without.model.tokens is None
    with pytest.raises(ParamsError, match=r"colours: expected \(E, 2\).*got \(3,\)"):
        train(*data, item_tokens={"colours": [0, 1, 2]}, **run)
    with pytest.raises(ParamsError, match=r"tokens: expected some of \[\].*got 'colours'"):
        train(*data, tokens=["colours"], **run)
    colours[0, 0] = n_items
    with pytest.raises(ParamsError, match="expected items in"):
        train(*data, item_tokens={"colours": colours}, **run)
