r"""Stage `evaluate`: rank each test item, among 100 candidates and among all items.

    checkpoint, data/processed/D, data/features/D -> results/D/M/{metrics.json,ranks.parquet}

Both protocols come from one pass over the scores. Sampled: the target against its 99 fixed
negatives. Full: against every item that the user has neither in train nor in validation. A tie
counts against the target. Where a user has several test items, each is ranked by itself (in
the full ranking among the others too), and measures are means over test items. This is the only
stage that opens the test file.

    python -m pipeline.evaluate sample mcln data/processed/sample data/features/sample \
        results/sample/mcln
"""

from __future__ import annotations

import logging
from typing import Any

import polars as pl
import torch
from torch import Tensor

from model.metrics import at_cutoffs
from model.ranking import ranks
from pipeline import params
from pipeline.job.command_line import run
from pipeline.job.errors import SchemaError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, read_arguments
from pipeline.learning.dataset import Dataset
from pipeline.tables.io import read_parquet, write_json, write_parquet
from pipeline.tables.schema import (
    INTERACTIONS,
    ITEM,
    METRICS_FILE,
    N_NEGATIVES,
    RANKS,
    RANKS_FILE,
    TEST,
    TEST_FILE,
    USER,
)

log = logging.getLogger("evaluate")


def metrics(
    sampled: Tensor,
    full: Tensor,
    facts: dict[str, Any],
    cutoffs: list[int],
    n_items: int,
    users: Tensor | None = None,
    split: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of metrics.json.

    Args:
        sampled: (R,) ranks among the candidates.
        full: (R,) ranks among all items.
        facts: of the checkpoint.
        cutoffs: the ks of HR@k and NDCG@k.
        n_items: I.
        users: (R,) whose test items they are; by default each is another's.
        split: how the dataset was split; by default leave-one-out, or as published.
    """
    return {
        "dataset": facts["dataset"],
        "model": facts["model"],
        "architecture": facts["architecture"],
        "seeds": [facts["seed"]],
        "selected_on": facts["selected_on"],
        "optimistic": facts["selected_on"].startswith(TEST),
        "refit": facts["refit"],
        "trained_on": facts["trained_on"],
        "epoch": facts["epoch"],
        "settings": facts["settings"],
        "budget": facts["budget"],
        "n_users": len(sampled) if users is None else len(users.unique()),
        "n_targets": len(sampled),
        "split": split or {},
        "sampled": at_cutoffs(sampled, cutoffs) | {"candidates": N_NEGATIVES + 1},
        "full": at_cutoffs(full, cutoffs) | {"candidates": n_items},
    }


def _check_targets(
    test: pl.DataFrame, users: Tensor, targets: Tensor, train: pl.DataFrame | None = None
) -> None:
    """Refuse candidates of another test file; of users whom train lacks there may be none."""
    known = test if train is None else test.join(train, USER, "semi", maintain_order="left")
    pairs = list(zip(users.tolist(), targets.tolist(), strict=True))
    if pairs not in (part.select(USER, ITEM).rows() for part in (test, known)):
        raise SchemaError(
            f"{TEST_FILE}: its users and items are not those of the candidates; run the stage "
            "split again"
        )


def evaluated(
    settings: params.Params, arguments: Arguments
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Rank the test items with the model whose checkpoint lies in `arguments.results`.

    Returns:
        The content of metrics.json, and schema.RANKS.

    Raises:
        SchemaError: no checkpoint, or test is not what the candidates were drawn for.
    """
    dataset = Dataset(arguments.processed)
    model, facts = restored(settings, arguments, dataset)
    users, targets, negatives = dataset.candidates(TEST)
    test = read_parquet(arguments.processed / TEST_FILE, INTERACTIONS)
    _check_targets(test, users, targets, dataset.train)
    with torch.inference_mode():
        known = dataset.pairs(validation=True)
        sampled, full = ranks(model.scorer(), users, targets, negatives, known)  # type: ignore[operator]

    columns = (users, targets, sampled, full, torch.full_like(users, settings.seed))
    rows = pl.DataFrame(
        {name: column.numpy() for name, column in zip(RANKS, columns, strict=True)}
    )
    about = dataset.n_items, users, dataset.split()
    table = metrics(sampled, full, facts, settings.evaluate.k, *about)
    return table, rows.cast(pl.Schema(RANKS))


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write."""
    arguments = read_arguments(__doc__, argv)
    table, rows = evaluated(params.load(), arguments)
    log.info("%s %s: %s", arguments.dataset, arguments.model, table["sampled"])
    write_parquet(rows, arguments.results / RANKS_FILE)
    write_json(table, arguments.results / METRICS_FILE)


if __name__ == "__main__":
    run(main)
