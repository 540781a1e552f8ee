r"""Stage `study_tables`: the study's numbers, table by table, beside the paper's.

    results/D/study/CELL/{metrics.json,ranks.parquet}, data/processed/D, data/features/D
        -> results/D/study/{tables.json,tables.tex,significance.json,slices.json}

A row has the mean and the standard deviation of each measure over the seeds of the training,
the values themselves, and what the paper prints in its place, where the dataset is one of the
paper's splits. The best row of a table, by sampled NDCG@10, is tested against every other over
the users, as in the stage `compare`: a user's gain is the mean over the seeds. How sure the
first table's numbers are, over users, seeds and negatives, and what they are for parts of the
users, is in the other two files; the modules of these names say what they hold.

    python -m pipeline.experiments.study.tables sample data/processed/sample \
        data/features/sample results/sample/study
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.compare import FULL, MEASURE, NAMES, SAMPLED, pairs
from pipeline.comparison import significance, user_slices
from pipeline.comparison.paper_numbers import PRINTED, TABLE_1, point_of, table_of
from pipeline.experiments.study.sections import latex as study_latex
from pipeline.experiments.study.sections import numbers as study_show
from pipeline.job.command_line import parser, run
from pipeline.pages.files import SIGNIFICANCE_JSON, SLICES_JSON, TABLES_JSON, TABLES_TEX
from pipeline.params import study_budget, study_cells
from pipeline.params.study_cells import Row
from pipeline.tables import io
from pipeline.tables import schema as s
from pipeline.tables.features import read_feature_metadata, read_present

Metrics = Mapping[str, dict[str, Any]]
SHARED = ("selected_on", "trained_on", "refit", "optimistic", "n_users")  # by every cell


def gathered(
    settings: params.Params, dataset: str, metrics: Metrics, ranks: Mapping[str, pl.DataFrame]
) -> dict[str, Any]:
    """Return the content of tables.json, but for the statistics of the data.

    Args:
        settings: the file params.yaml.
        dataset: its name.
        metrics: content of each cell's metrics.json, by the cell's name.
        ranks: schema.RANKS of each cell.
    """
    rows = study_cells.tables(settings, dataset)
    budget = study_budget.budget(settings)
    first = next(iter(metrics.values()))
    return {
        "dataset": dataset,
        "budget": {"name": settings.study.budget} | budget.model_dump(),
        "split_seed": settings.seed,
        "candidates": {part: first[part]["candidates"] for part in (SAMPLED, FULL)},
        **{key: first[key] for key in SHARED},
        "order": list(rows),
        "tables": {
            table: _table(settings, dataset, own, metrics, ranks) for table, own in rows.items()
        },
    }


def _table(
    settings: params.Params,
    dataset: str,
    rows: Sequence[Row],
    metrics: Metrics,
    ranks: Mapping[str, pl.DataFrame],
) -> dict[str, Any]:
    folder = split_folder(settings, dataset)
    found = [_row(row, metrics) | {"paper": printed_of(row, folder)} for row in rows]
    trained: dict[str, str] = {}
    for row in found:
        first = trained.setdefault(row["cells"][0], row["label"])
        row["same_as"] = None if first == row["label"] else first
    unique = [row for row in found if row["same_as"] is None]
    best = max(unique, key=lambda row: row[SAMPLED].get(MEASURE, {}).get("mean", 0.0))
    tables = {row["label"]: pl.concat([ranks[c] for c in row["cells"]]) for row in unique}
    return {
        "rows": found,
        "best": best["label"],
        "significance": pairs(tables, best["label"]),
    }


def _row(row: Row, metrics: Metrics) -> dict[str, Any]:
    cells = [cell.name for cell in row.cells]
    own = [metrics[cell] for cell in cells]
    return {
        "label": row.label,
        "model": row.model,
        "values": row.values,
        "cells": cells,
        "trained_as": Row(row.cells[0].model, row.cells[0].values, ()).label,
        "epochs": [found["epoch"] for found in own],
        "settings": own[0]["settings"],
        **{
            part: {
                name: spread([found[part][name] for found in own])
                for name in NAMES
                if name in own[0][part]
            }
            for part in (SAMPLED, FULL)
        },
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean, the standard deviation (n - 1; None of one value) and the values."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd, "seeds": list(values)}


def printed_of(row: Row, folder: str) -> dict[str, Any] | None:
    """Return what the paper prints in a row's place, and where."""
    if not row.values:
        numbers = PRINTED.get(folder, {}).get(row.model)
        point = (table_of(row.model, numbers), numbers) if numbers else None
    else:
        ((setting, value),) = row.values.items()
        point = point_of(folder, row.model, setting, value)
    if point is None:
        return None
    return {"where": point[0], **dict(zip(NAMES, point[1], strict=False))}


def split_folder(settings: params.Params, dataset: str) -> str:
    """Return the folder of a published split, whose numbers the paper has; else nothing."""
    source = settings.source(dataset)
    return source.folder if source.format == "published_split" else ""


def data(
    found: Mapping[str, Any], features: Mapping[str, Mapping[str, str]], folder: str
) -> dict[str, Any]:
    """Return Table 1's row of a dataset, the paper's, and what made the features.

    Args:
        found: content of statistics.json.
        features: metadata of each modality's feature file.
        folder: of the published split; else nothing.
    """
    counts = {key: found[key] for key in ("users", "items", "interactions", "density")}
    widths = {modality: int(said["dim"]) for modality, said in features.items()}
    told = ("extractor", "field", "weights", "dim")
    return {
        "ours": counts | {"features": widths},
        "paper": TABLE_1.get(folder),
        "modalities": list(features),
        "features": {m: {key: said[key] for key in told} for m, said in features.items()},
    }


def read(
    settings: params.Params, dataset: str, results: Path
) -> Iterator[tuple[str, dict[str, Any], pl.DataFrame]]:
    """Yield each cell's name, metrics and ranks.

    Raises:
        SchemaError: a file is absent, or is of another model.
    """
    for name in study_cells.cells(settings, dataset):
        metrics = io.read_json(results / name / s.METRICS_FILE)
        yield name, metrics, io.read_parquet(results / name / s.RANKS_FILE, s.RANKS)


def sure_and_sliced(
    settings: params.Params,
    dataset: str,
    found: Mapping[str, Any],
    cells: tuple[Metrics, Mapping[str, pl.DataFrame]],
    folders: tuple[Path, Path],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of significance.json and slices.json, of the first table's rows.

    Args:
        settings: the file params.yaml.
        dataset: its name.
        found: content of tables.json.
        cells: metrics and schema.RANKS by the cell's name.
        folders: of the processed tables and of the features.
    """
    processed, features = folders
    metrics, ranks = cells
    first = found["tables"][found["order"][0]]
    rows = [row for row in first["rows"] if row["same_as"] is None]
    own = {row["label"]: pl.concat([ranks[cell] for cell in row["cells"]]) for row in rows}
    files = {s.TRAIN: s.TRAIN_FILE, s.VALIDATION: s.VALIDATION_FILE, s.TEST: s.TEST_FILE}
    parts = {n: io.read_parquet(processed / f, s.INTERACTIONS) for n, f in files.items()}
    n_items = found["data"]["ours"]["items"]
    present = {
        modality: read_present(features / f"{modality}.parquet", n_items)
        for modality in settings.dataset_features(dataset)
    }
    trained_on = [metrics[cell]["trained_on"] for row in rows for cell in row["cells"]]
    return (
        {"dataset": dataset}
        | significance.table(own, parts, first["best"], n_items, settings.seed),
        {"dataset": dataset}
        | user_slices.table(own, parts, trained_on, present, settings.seed),
    )


def main(argv: list[str] | None = None) -> None:
    """Read, gather, write."""
    parse = parser(__doc__, "dataset", "processed", "features", "results")
    args = parse.parse_args(argv)
    settings = params.load()
    read_cells = list(read(settings, args.dataset, args.results))
    metrics = {name: own for name, own, _ in read_cells}
    ranks = {name: own for name, _, own in read_cells}
    features = {
        modality: read_feature_metadata(args.features / f"{modality}.parquet")
        for modality in settings.dataset_features(args.dataset)
    }
    found = io.read_json(args.processed / s.STATISTICS_FILE)
    folder = split_folder(settings, args.dataset)
    table = gathered(settings, args.dataset, metrics, ranks)
    table["data"] = data(found, features, folder)
    io.write_json(table, args.results / TABLES_JSON)
    cells, folders = (metrics, ranks), (args.processed, args.features)
    sure, sliced = sure_and_sliced(settings, args.dataset, table, cells, folders)
    io.write_json(sure, args.results / SIGNIFICANCE_JSON)
    io.write_json(sliced, args.results / SLICES_JSON)
    io.write_text(study_latex.document(study_show.parts(table)), args.results / TABLES_TEX)


if __name__ == "__main__":
    run(main)
