"""Features as arrays: of pictures and texts in memory, or of a file.

    encode_pictures("efficientnet_lite0", ["a.jpg", "b.jpg"]).vectors    # (2, 1280) float32

The extractors and their settings are those of `features` in params.yaml, by keyword. The import
needs no torch; encoding with a network does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.extractors import registry
from pipeline.extractors.extraction import Description, Machine, n_cpus
from pipeline.features import metadata
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.library.arguments import checked
from pipeline.params.features import Feature, Settings
from pipeline.tables.features import Vector, read_features
from pipeline.tables.pictures import open_rgb
from pipeline.tables.schema import IMAGE

SEED = 2023  # as in params.yaml


@dataclass(frozen=True, kw_only=True)
class Features:
    """A vector for each picture, text or item, and how the vectors were made."""

    vectors: npt.NDArray[np.float32]  # (n, dim), zero where not present
    present: npt.NDArray[np.bool_]  # (n,)
    metadata: dict[str, str]  # the entries of tables.features.METADATA
    problems: dict[int, str] = field(default_factory=dict)  # row -> why it is not present


def load_features(path: str | Path) -> Features:
    """Read a file of the stage `features`.

    Args:
        path: data/features/<dataset>/<modality>.parquet.

    Returns:
        One row per item; row i is item i of the dataset's items.parquet.

    Raises:
        SchemaError: the file is absent or is not such a table.
    """
    present, vectors, entries = read_features(Path(path))
    return Features(vectors=vectors, present=present, metadata=entries)


def encode_pictures(
    name: str,
    files: Iterable[str | Path | bytes],
    *,
    seed: int = SEED,
    device: str = "auto",
    threads: int | None = None,
    **settings: Any,
) -> Features:
    """Encode pictures with the extractor called `name`.

    A picture that cannot be read or decoded does not stop the others: its row is zeros, with
    `present` false and the reason in `problems`. Each picture is decoded twice, first to learn
    whether it can be.

    Args:
        name: of an extractor of pictures, such as `resnet50`.
        files: n paths, or contents of files.
        seed: of weights that are drawn.
        device: auto, cpu, cuda or mps.
        threads: torch's CPU threads in this process from now on; default: one per CPU.
        settings: of the extractor, such as `weights`; see pipeline/params/features.py.

    Returns:
        n rows, in the order of `files`.

    Raises:
        ParamsError: no such extractor, setting or device, or a package is not installed.
        RawDataError: the weights are unavailable, or no picture at all can be decoded.
    """
    section = _section("encode_pictures", name, {"field": IMAGE} | settings)
    start = registry.get(name).pictures
    if start is None:
        raise ParamsError(f"encode_pictures: {name} reads texts; use encode_texts")
    encoder, files = start(section, seed, _machine(device, threads)), list(files)
    rows: list[int] = []
    problems: dict[int, str] = {}

    def readable() -> Iterator[bytes]:
        for row, file in enumerate(files):
            try:
                picture = file if isinstance(file, bytes) else Path(file).read_bytes()
                open_rgb(picture)
            except (OSError, RawDataError) as error:
                problems[row] = _in_words(file, error)
            else:
                rows.append(row)
                yield picture

    # `rows` has an entry before the encoder has the picture, so before its vector.
    numbered = ((rows[n], vector) for n, vector in enumerate(encoder.encode(readable())))
    features = _filled(len(files), encoder, section, numbered, problems)
    if files and not rows:
        raise RawDataError(
            f"encode_pictures: expected pictures, got {len(files)} files that cannot be "
            f"decoded; the first is {problems[0]}"
        )
    return features


def encode_texts(
    name: str,
    texts: Iterable[str | Sequence[str] | None],
    *,
    fit_to: Iterable[str | Sequence[str] | None] | None = None,
    seed: int = SEED,
    device: str = "auto",
    threads: int | None = None,
    **settings: Any,
) -> Features:
    """Encode texts with the extractor called `name`.

    Args:
        name: of an extractor of texts, such as `sif`. `precomputed` and `mcauley` look ids up.
        texts: n strings, or n lists of tokens; None where there is none.
        fit_to: texts to learn words and weights from, if not `texts`: with those of a catalogue
            the vectors lie in the same space as the catalogue's.
        seed: of weights that are drawn or trained.
        device: auto, cpu, cuda or mps.
        threads: CPU threads; default: one per CPU.
        settings: of the extractor, such as `dim`; see pipeline/params/features.py.

    Returns:
        n rows, in the order of `texts`. A row without a vector, since its text is None, blank
        or made of unknown words, is zeros with `present` false.

    Raises:
        ParamsError: no such extractor, setting or device, a package is not installed, or the
            texts are neither strings nor lists of strings.
        RawDataError: the weights are unavailable, or there is no text to learn from.
    """
    section = _section("encode_texts", name, settings)
    extract = registry.get(name).texts
    if extract is None:
        raise ParamsError(f"encode_texts: {name} reads pictures; use encode_pictures")
    column = _column("texts", texts)
    learned = None if fit_to is None else _column("fit_to", fit_to)
    extraction = extract(column, section, seed, _machine(device, threads), learned)
    present = ((row, v) for row, v in enumerate(extraction.vectors) if v is not None)
    return _filled(len(column), extraction, section, present, {})


def _section(call: str, name: str, settings: dict[str, Any]) -> Settings:
    section: Settings = checked(Feature, {"extractor": name} | settings, call, skip=1)
    return section


def _machine(device: str, threads: int | None) -> Machine:
    return Machine(device=device, threads=threads or n_cpus())


def _filled(
    n_rows: int,
    description: Description,
    section: Settings,
    numbered: Iterable[tuple[int, Vector]],
    problems: dict[int, str],
) -> Features:
    vectors = np.zeros((n_rows, description.dim), np.float32)
    present = np.zeros(n_rows, np.bool_)
    for row, vector in numbered:
        vectors[row], present[row] = vector, True
    entries = metadata(description, section) | {"field": ""}  # not a column of a table
    return Features(vectors=vectors, present=present, metadata=entries, problems=problems)


def _column(what: str, texts: Iterable[str | Sequence[str] | None]) -> pl.Series:
    try:
        column = pl.Series(what, list(texts))
    except TypeError:
        column = pl.Series(what, [])
    if column.dtype not in (pl.String, pl.List(pl.String)):
        raise ParamsError(
            f"encode_texts: {what}: expected strings, or lists of strings, at least one; None "
            "where there is no text"
        )
    return column


def _in_words(file: str | Path | bytes, error: Exception) -> str:
    name = f"{len(file)} bytes" if isinstance(file, bytes) else str(file)
    return f"{name}: {error.strerror if isinstance(error, OSError) else error}"
