r"""Export the vectors behind a model's scores, for a search index or another program.

    checkpoint, data/processed/D, data/features/D
        -> OUT/{users.parquet,items.parquet,vectors.json}, and OUT/items.faiss with --faiss

A score is the inner product of a row of users.parquet with one of items.parquet. The columns
are `user` or `item`, `raw_id`, and `vector` (a fixed-size list of float32). vectors.json has
the model, the seed and the sizes. items.faiss is an exact index by inner product (extra
`faiss`) whose row numbers are the items' numbers. Items that a user has are not left out.

A model whose score is not an inner product is refused: it has lists, but no vectors.

    python -m pipeline.explore.export sample mcln data/processed/sample data/features/sample \
        results/sample/mcln vectors/mcln --faiss
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import torch
from torch import Tensor

from model.base import Recommender
from model.ranking import InnerProduct
from pipeline import params
from pipeline.job.command_line import run
from pipeline.job.errors import ParamsError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import arguments_of, model_parser
from pipeline.learning.dataset import Dataset
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, replacing, sha256_of, write_arrow, write_json

VECTOR, FACTS, INDEX_FILE = "vector", "vectors.json", "items.faiss"
KEPT = ("dataset", "model", "architecture", "seed", "epoch", "trained_on")
log = logging.getLogger("export")


def vectors(model: Recommender, name: str) -> tuple[Tensor, Tensor]:
    """Return the vectors of users (U, D) and items (I, D), float32 on the CPU.

    Args:
        model: trained, in evaluation mode.
        name: its name, for the error.

    Raises:
        ParamsError: the score is not an inner product of two vectors.
    """
    scorer = model.scorer()
    if not isinstance(scorer, InnerProduct):
        raise ParamsError(
            f"{name}: expected a model whose score is the inner product of a user's and an "
            f"item's vector; {type(model).__name__} has no such vectors. Use the lists in "
            f"{s.RECOMMENDATIONS_FILE} instead"
        )
    users, items = (rows.detach().float().cpu() for rows in (scorer.users, scorer.items))
    return users.contiguous(), items.contiguous()


def table(ids: pl.DataFrame, rows: Tensor) -> pa.Table:
    """Return a table of ids and vectors.

    Args:
        ids: `user` or `item`, 0, 1, 2, ..., and `raw_id`.
        rows: (n, D) float32.
    """
    flat = pa.array(rows.numpy().reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    return ids.to_arrow(compat_level=pl.CompatLevel.oldest()).append_column(VECTOR, column)


def write_index(items: npt.NDArray[np.float32], path: Path) -> None:
    """Write an exact FAISS index by inner product, or leave no file at all.

    Args:
        items: (I, D).
        path: the final name.
    """
    import faiss

    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    with replacing(path) as partial:
        faiss.write_index(index, str(partial))


def write(
    users: Tensor,
    items: Tensor,
    processed: Path,
    facts: dict[str, Any],
    out: Path,
    *,
    faiss: bool,
) -> None:
    """Write the vectors with their ids, what is known about them, and the index.

    Args:
        users: (U, D) float32, like items.
        items: (I, D).
        processed: folder of the tables of ids.
        facts: of the model; sizes are added.
        out: folder to write to.
        faiss: also write the index of the items.
    """
    tables = {s.USER: (s.USERS_FILE, s.USERS, users), s.ITEM: (s.ITEMS_FILE, s.ITEMS, items)}
    for column, (file, columns, rows) in tables.items():
        ids = read_parquet(processed / file, columns).select(column, s.RAW_ID)
        write_arrow(table(ids.sort(column), rows), out / file)
    if faiss:
        write_index(items.numpy(), out / INDEX_FILE)
    size = {"users": len(users), "items": len(items), "dim": items.shape[1]}
    write_json(facts | size | {"score": "inner product"}, out / FACTS)


def check_faiss(setting: str) -> None:
    """Raise ParamsError, which names the setting, if FAISS is not installed."""
    if find_spec("faiss") is None:
        raise ParamsError(
            f"{setting}: expected the package faiss-cpu; pip install -e '.[faiss]'"
        )


def facts_of(checkpoint: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what is told about a model, from its checkpoint's facts."""
    return {key: facts[key] for key in KEPT} | {"checkpoint_sha256": sha256_of(checkpoint)}


def main(argv: list[str] | None = None) -> None:
    """Read, export, write."""
    line = model_parser(__doc__)
    line.add_argument("out", type=Path, help="folder to write to")
    line.add_argument("--faiss", action="store_true", help="also write an index of the items")
    args = line.parse_args(argv)
    if args.faiss:
        check_faiss("--faiss")
    arguments = arguments_of(args)
    dataset = Dataset(arguments.processed)
    with torch.inference_mode():
        model, facts = restored(params.load(), arguments, dataset)
        users, items = vectors(model, arguments.model)
    kept = facts_of(arguments.results / s.CHECKPOINT_FILE, facts)
    write(users, items, arguments.processed, kept, args.out, faiss=args.faiss)
    log.info("%s %s: %d users, %d items", args.dataset, args.model, len(users), len(items))


if __name__ == "__main__":
    run(main)
