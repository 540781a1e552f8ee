"""Parquet files whose pages have checksums, and the error of a damaged file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.job.errors import SchemaError

# How every Parquet file is written. A page has a CRC-32, which `opened` verifies.
PARQUET: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


@contextmanager
def opened(
    path: Path, stage: str = "the stage that writes it", *, memory_map: bool = False
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of the pipeline, whose pages are verified when they are read.

    Args:
        path: a Parquet file.
        stage: what the message says to run if there is none.
        memory_map: whether pages stay on disk until they are read.

    Raises:
        SchemaError: the file is missing, or it is damaged, also if reading in the block shows
            it.
    """
    check_exists(path, stage)
    try:
        with pq.ParquetFile(
            path, memory_map=memory_map, page_checksum_verification=True
        ) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, "a Parquet file", error) from error


def damaged(path: Path, kind: str, error: Exception | str) -> SchemaError:
    """Return the error of a file of the pipeline that is not what a stage wrote."""
    said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return SchemaError(
        f"{path}: expected {kind} as its stage wrote it, got a damaged file ({said}). Delete "
        "it, and either engine makes it again"
    )


def check_exists(path: Path, stage: str = "the stage that writes it") -> None:
    """Raise SchemaError if there is no file `path`; `stage` is what the message says to run."""
    if not path.exists():
        raise SchemaError(f"{path}: no such table; run {stage} first")
