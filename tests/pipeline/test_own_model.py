"""A model from outside: a class, a line in two registries, a section of params.yaml.

The steps of workflow/README.md, "A model of your own".
"""

import sys
from collections.abc import Mapping

import polars as pl
import torch
import yaml
from test_train import run, workspace  # noqa: F401 (a fixture)
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.losses import bpr
from model.ranking import Scorer
from model.recommenders import MODELS
from pipeline import evaluate, params, recommend, train
from pipeline.tables.io import read_json


class LinearContent(Recommender):
    """<w_u, x_i>, with the features as they are."""

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        spread: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.register_buffer("content", torch.cat(list(features.values()), 1), False)
        weights = torch.randn(interactions.n_users, self.content.shape[1], generator=generator)
        self.users = nn.Parameter(spread * weights)

    def loss(self, batch: Batch) -> Tensor:
        scores = self.scorer()(batch.users)
        return bpr(*(scores.gather(1, x[:, None]) for x in (batch.positives, batch.negatives)))

    def scorer(self) -> Scorer:
        return lambda users: self.users[users] @ self.content.T


class LinearContentSection(params.ContentModel):
    lr: params.Positive
    spread: params.Positive


def test_a_model_from_outside_goes_through_every_stage(workspace, monkeypatch):  # noqa: F811
    monkeypatch.setitem(MODELS, "linear", "LinearContent")
    monkeypatch.setitem(sys.modules, "model.recommenders.linear", sys.modules[__name__])
    monkeypatch.setitem(params.ARCHITECTURES, "linear", LinearContentSection)
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    raw["linear"] = {"default": {"lr": 0.05, "spread": 0.1, "modalities": ["textual"]}}
    raw["models"] = ["linear"]
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))
    (workspace / "data/features/sample/visual.parquet").unlink()  # it reads text alone

    for stage in (train, evaluate, recommend):
        run(stage, "linear")

    metrics = read_json(workspace / "results/linear/metrics.json")
    assert metrics["settings"] == raw["linear"]["default"]
    assert 0 < metrics["sampled"]["hr@10"] < 1
    history = pl.read_parquet(workspace / "results/linear/history.parquet")
    losses = history.filter(pl.col("phase") == "select")["loss"]
    assert losses[-1] < losses[0]
