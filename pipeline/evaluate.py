r"""Stage `evaluate`: rank each test item among its candidates and among all items.

    checkpoint, data/processed/D, data/features/D -> results/D/M/{metrics.json,ranks.parquet}

One pass over the scores serves both protocols. Sampled: the target against its fixed negatives,
`evaluate.candidates` of them. Full: its place in the user's one list, of every item that the
user does not have in the parts of `evaluate.mask`; with `cold_items` only of those that are
held out for test. A tie counts against the target. Metrics are means over users;
model/metrics.py defines them. `lists` has what can be said of the lists themselves, see
model/list_metrics.py. No other stage opens the test file.

    python -m pipeline.evaluate sample mcln data/processed/sample data/features/sample \
        results/sample/mcln
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import torch
from torch import Tensor

from model import list_metrics
from model.measures import FULL, SAMPLED
from model.metrics import ScoreNotANumber, at_cutoffs
from model.ranking import rank
from pipeline import params
from pipeline.job.command_line import run
from pipeline.job.errors import SchemaError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, read_arguments
from pipeline.learning.dataset import Dataset, load_present_features
from pipeline.params.stages import Evaluate
from pipeline.tables import schema as s
from pipeline.tables.io import write_json, write_parquet
from pipeline.tables.results import as_metadata

log = logging.getLogger("evaluate")


def metrics(
    sampled: Tensor,
    full: Tensor,
    facts: dict[str, Any],
    settings: Evaluate,
    n_negatives: int,
    n_items: int,
    users: Tensor | None = None,
    split: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of metrics.json, less `lists`.

    Args:
        sampled: (R,) ranks among the candidates.
        full: (R,) places in the users' lists.
        facts: of the checkpoint.
        settings: the values of k, and what the lists hide.
        n_negatives: of each target; the candidates are these and the target.
        n_items: how many items the full ranking is among.
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
        SAMPLED: at_cutoffs(SAMPLED, sampled, settings.k, users)
        | {"candidates": n_negatives + 1},
        FULL: at_cutoffs(FULL, full, settings.k, users)
        | {"candidates": n_items, "mask": settings.mask},
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
    settings: params.Params, arguments: Arguments, compared_by: Iterable[str] = ()
) -> tuple[dict[str, Any], pl.DataFrame, dict[str, Any]]:
    """Rank the test items with the model of the checkpoint in `arguments.results`.

    Args:
        settings: of the dataset.
        arguments: the model and its folders.
        compared_by: modalities by which items of a list are compared with each other.

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
            known = dataset.pairs(validation=settings.evaluate.mask == "train_validation")
            scorer, length = model.scorer(), max(settings.evaluate.k)
            pool = dataset.pool(s.TEST)
            ranking = rank(scorer, users, targets, negatives, known, length, pool)
            features = load_present_features(arguments.features, compared_by, dataset.n_items)
            lists = _lists(ranking.lists, settings, features, dataset, pool)
    except ScoreNotANumber as error:
        raise SchemaError(
            f"{arguments.results / s.CHECKPOINT_FILE}: {error}; lower the model's lr in "
            "params.yaml, and run the stage train again"
        ) from None

    places = ranking.sampled, ranking.full
    columns = (users, targets, *places, torch.full_like(users, settings.seed))
    rows = pl.DataFrame(dict(zip(s.RANKS, (column.numpy() for column in columns), strict=True)))
    sizes = negatives.shape[1], dataset.n_items if pool is None else int(pool.sum())
    content = metrics(*places, facts, settings.evaluate, *sizes, users, dataset.split())
    if pool is not None:
        content["scores_new_items"] = model.scores_new_items
    return content | {"lists": lists}, rows.cast(pl.Schema(s.RANKS)), facts


def _lists(
    lists: Tensor,
    settings: params.Params,
    features: Mapping[str, Tensor],
    dataset: Dataset,
    pool: Tensor | None,
) -> dict[str, float]:
    """Return the metrics of the lists."""
    train = dataset.pairs(validation=False)
    return list_metrics.at_cutoffs(lists, settings.evaluate.k, train, features, pool)


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write."""
    arguments = read_arguments(__doc__, argv)
    settings = params.load().of(arguments.dataset)
    modalities = settings.dataset_features(arguments.dataset)
    content, rows, facts = rank_test_items(settings, arguments, modalities)
    log.info("%s %s: %s", arguments.dataset, arguments.model, content["sampled"])
    write_parquet(rows, arguments.results / s.RANKS_FILE, as_metadata(facts))
    write_json(content, arguments.results / s.METRICS_FILE)


if __name__ == "__main__":
    run(main)
