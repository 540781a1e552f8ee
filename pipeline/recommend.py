r"""Stage `recommend`: each user's best items, without those that the user already has.

    checkpoint, data/processed/D, data/features/D -> results/D/M/recommendations.parquet

Items of train and validation are left out. The held-out test item is not, so that the lists can
be compared with it. Lists have `recommend.k` items, fewer for a user who has almost all items.

    python -m pipeline.recommend sample mcln data/processed/sample data/features/sample \
        results/sample/mcln
"""

from __future__ import annotations

import logging

import polars as pl
import torch
from torch import Tensor

from model.data import Interactions
from model.ranking import Scorer, top_k
from pipeline import params
from pipeline.job.command_line import run
from pipeline.job.errors import SchemaError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import read_arguments
from pipeline.learning.dataset import Dataset
from pipeline.tables import schema as s
from pipeline.tables.io import write_parquet
from pipeline.tables.results import as_metadata

log = logging.getLogger("recommend")


def recommendations(
    scorer: Scorer,
    known: Interactions,
    k: int,
    raw_ids: pl.DataFrame,
    users: Tensor | None = None,
) -> pl.DataFrame:
    """Return the lists of all users, or of `users`.

    Args:
        scorer: of the model.
        known: pairs that are not recommended.
        k: length of the lists.
        raw_ids: `item` and `raw_id`.
        users: (U,) int64; all by default.

    Returns:
        schema.RECOMMENDATIONS, sorted by user and position.

    Raises:
        SchemaError: a score is NaN or infinite.
    """
    blocks = []
    users = torch.arange(known.n_users) if users is None else users
    for batch, items, scores in top_k(scorer, users, known, k):
        if scores.isnan().any() or scores.isposinf().any():
            raise SchemaError(
                "expected scores to be finite numbers, got NaN or infinity; lower the model's "
                "lr in params.yaml, and run the stage train again"
            )
        width = items.shape[1]
        block = {
            s.USER: batch.repeat_interleave(width).numpy(),
            "position": torch.arange(width).repeat(len(batch)).numpy(),
            s.ITEM: items.flatten().numpy(),
            "score": scores.flatten().numpy(),
        }
        blocks.append(pl.DataFrame(block).filter(pl.col("score").is_finite()))
    rows = pl.concat(blocks).with_columns(pl.col(s.ITEM).cast(pl.Int32))
    named = rows.join(raw_ids.rename({s.RAW_ID: "raw_item"}), on=s.ITEM, maintain_order="left")
    return named.select(list(s.RECOMMENDATIONS)).cast(pl.Schema(s.RECOMMENDATIONS))


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write."""
    arguments = read_arguments(__doc__, argv)
    settings = params.load().of(arguments.dataset)
    dataset = Dataset(arguments.processed)
    model, facts = restored(settings, arguments, dataset)
    raw_ids = dataset.items.select(s.ITEM, s.RAW_ID)
    with torch.inference_mode():
        known = dataset.pairs(validation=True)
        lists = recommendations(model.scorer(), known, settings.recommend.k, raw_ids)  # type: ignore[operator]
    log.info("%s %s: %d rows", arguments.dataset, arguments.model, lists.height)
    write_parquet(lists, arguments.results / s.RECOMMENDATIONS_FILE, as_metadata(facts))


if __name__ == "__main__":
    run(main)
