r"""Stage `evaluate`: rank each test item among its candidates and among all items.

    checkpoint, data/processed/D, data/features/D -> results/D/M/{metrics.json,ranks.parquet}

One pass over the scores serves both protocols. Sampled: the target against its fixed negatives,
`evaluate.candidates` of them. Full: against every item that the user has neither in train nor
in validation. A tie counts against the target. Each of a user's test items is ranked separately
(in the full ranking against the user's other test items too), and metrics are means over test
items. No other stage opens the test file.

    python -m pipeline.evaluate sample mcln data/processed/sample data/features/sample \
        results/sample/mcln
"""

from __future__ import annotations

import logging
from typing import Any

import polars as pl
import torch
from torch import Tensor

from model.metrics import ScoreNotANumber, at_cutoffs
from model.ranking import ranks
from pipeline import params
from pipeline.job.command_line import run
from pipeline.job.errors import SchemaError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, read_arguments
from pipeline.learning.dataset import Dataset
from pipeline.tables import schema as s
from pipeline.tables.io import write_json, write_parquet
from pipeline.tables.results import as_metadata

log = logging.getLogger("evaluate")


def metrics(
    sampled: Tensor,
    full: Tensor,
    facts: dict[str, Any],
    cutoffs: list[int],
    n_negatives: int,
    n_items: int,
    users: Tensor | None = None,
    split: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of metrics.json.

    Args:
        sampled: (R,) ranks among the candidates.
        full: (R,) ranks among all items.
        facts: of the checkpoint.
        cutoffs: the values of k of HR@k and NDCG@k.
        n_negatives: of each target; the candidates are these and the target.
        n_items: I.
        users: (R,) of the test items; by default all different.
        split: the split's method; by default leave-one-out, or as published.
    """
    return {
        "dataset": facts["dataset"],
        "model": facts["model"],
        "architecture": facts["architecture"],
        "seeds": [facts["seed"]],
        "selected_on": facts["selected_on"],
        "optimistic": facts["selected_on"].startswith(s.TEST),
        "refit": facts["refit"],
        "trained_on": facts["trained_on"],
        "epoch": facts["epoch"],
        "settings": facts["settings"],
        "budget": facts["budget"],
        "n_users": len(sampled) if users is None else len(users.unique()),
        "n_targets": len(sampled),
        "split": split or {},
        "sampled": at_cutoffs(sampled, cutoffs) | {"candidates": n_negatives + 1},
        "full": at_cutoffs(full, cutoffs) | {"candidates": n_items},
    }


def _check_targets(
    test: pl.DataFrame, users: Tensor, targets: Tensor, train: pl.DataFrame | None = None
) -> None:
    """Refuse candidates of another test file; users without train rows may have none."""
    warm = test if train is None else test.join(train, s.USER, "semi", maintain_order="left")
    pairs = list(zip(users.tolist(), targets.tolist(), strict=True))
    if pairs not in (rows.select(s.USER, s.ITEM).rows() for rows in (test, warm)):
        raise SchemaError(
            f"{s.TEST_FILE}: expected the users and items of {s.CANDIDATES_FILE}, got others; "
            "run the stage split again"
        )


def rank_test_items(
    settings: params.Params, arguments: Arguments
) -> tuple[dict[str, Any], pl.DataFrame, dict[str, Any]]:
    """Rank the test items with the model of the checkpoint in `arguments.results`.

    Returns:
        The content of metrics.json, schema.RANKS, and the facts of the checkpoint.

    Raises:
        SchemaError: a file is missing or damaged, they do not belong together, or a score is
            NaN.
    """
    dataset = Dataset(arguments.processed)
    model, facts = restored(settings, arguments, dataset)
    users, targets, negatives = dataset.candidates(s.TEST)
    _check_targets(dataset.part(s.TEST), users, targets, dataset.train)
    try:
        with torch.inference_mode():
            known = dataset.pairs(validation=True)
            sampled, full = ranks(model.scorer(), users, targets, negatives, known)  # type: ignore[operator]
    except ScoreNotANumber as error:
        raise SchemaError(
            f"{arguments.results / s.CHECKPOINT_FILE}: {error}; lower the model's lr in "
            "params.yaml, and run the stage train again"
        ) from None

    columns = (users, targets, sampled, full, torch.full_like(users, settings.seed))
    rows = pl.DataFrame(dict(zip(s.RANKS, (column.numpy() for column in columns), strict=True)))
    sizes = negatives.shape[1], dataset.n_items
    content = metrics(sampled, full, facts, settings.evaluate.k, *sizes, users, dataset.split())
    return content, rows.cast(pl.Schema(s.RANKS)), facts


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write."""
    arguments = read_arguments(__doc__, argv)
    content, rows, facts = rank_test_items(params.load().of(arguments.dataset), arguments)
    log.info("%s %s: %s", arguments.dataset, arguments.model, content["sampled"])
    write_parquet(rows, arguments.results / s.RANKS_FILE, as_metadata(facts))
    write_json(content, arguments.results / s.METRICS_FILE)


if __name__ == "__main__":
    run(main)
