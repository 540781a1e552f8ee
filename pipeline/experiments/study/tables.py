r"""Rule `study_tables`: the study's numbers, table by table, beside the paper's.

    results/D/study/CELL/{metrics.json,ranks.parquet}, data/processed/D, data/features/D
        -> results/D/study/{tables.json,tables.tex,significance.json,slices.json}

A row has each measure's mean, standard deviation and values over the seeds of the training, and
what the paper prints in its place, if the dataset is one of the paper's splits. The best row of
a table, by `train.select_by`, is tested against every other over the users, as in the stage
`compare`. The other two files hold the first table's uncertainty, and its numbers for parts of
the users; see comparison/significance.py and comparison/user_slices.py.

    python -m pipeline.experiments.study.tables sample data/processed/sample \
        data/features/sample results/sample/study
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from model.measures import is_measured
from pipeline import params
from pipeline.comparison import significance, user_slices
from pipeline.comparison.paper_numbers import PRINTED, TABLE_1, point_of, table_of
from pipeline.comparison.user_metrics import (
    FULL,
    SAMPLED,
    SHOWN,
    Metric,
    cutoffs_of,
    leading,
    measure_of,
    names,
    spread,
)
from pipeline.experiments.study.sections import latex, numbers
from pipeline.job.command_line import parser, run
from pipeline.pages import file_names
from pipeline.params import study
from pipeline.params.study import Row
from pipeline.tables import io
from pipeline.tables import schema as s
from pipeline.tables.features import read_feature_metadata, read_present
from pipeline.tables.processed import is_cold

Metrics: TypeAlias = Mapping[str, dict[str, Any]]  # by cell
Ranks: TypeAlias = Mapping[str, pl.DataFrame]  # schema.RANKS by cell
SHARED = ("selected_on", "trained_on", "refit", "optimistic", "n_users")  # by every cell
MADE_OF = ("extractor", "field", "weights", "dim")  # of a feature file's metadata


def gathered(
    settings: params.Params, dataset: str, metrics: Metrics, ranks: Ranks
) -> dict[str, Any]:
    """Return the content of tables.json, without the statistics of the data."""
    rows = study.tables(settings, dataset)
    folder = split_folder(settings, dataset)
    first, select_by = next(iter(metrics.values())), settings.train.select_by
    measures = list(dict.fromkeys(settings.evaluate.metrics))
    cutoffs = cutoffs_of(metrics, [*measures, *SHOWN, measure_of(select_by)])
    best_by = leading(cutoffs, select_by)
    shared = best_by[1] if is_measured(SAMPLED, best_by[1]) else leading(cutoffs)[1]
    shown = names(cutoffs, measures)
    needed = list(dict.fromkeys([*shown, *names(), best_by[1], shared]))
    return {
        "dataset": dataset,
        "budget": {"name": settings.study.budget} | study.budget(settings).model_dump(),
        "split_seed": settings.seed,
        "mask": first[FULL].get("mask", "train_validation"),
        "candidates": {part: first[part]["candidates"] for part in (SAMPLED, FULL)},
        **{key: first[key] for key in SHARED},
        "measures": measures,
        "names": shown,
        "best_by": {"part": best_by[0], "name": best_by[1]},
        # Both protocols have it: uncertainty and parts of the users are shown in this one.
        "compared": shared,
        "order": list(rows),
        "tables": {
            table: _table(folder, rows[table], metrics, ranks, best_by, needed)
            for table in rows
        },
    }


def _table(
    folder: str,
    rows: Sequence[Row],
    metrics: Metrics,
    ranks: Ranks,
    best_by: Metric,
    needed: Sequence[str],
) -> dict[str, Any]:
    filled = [_row(row, metrics, needed) | {"paper": printed_of(row, folder)} for row in rows]
    trained: dict[str, str] = {}
    for row in filled:
        first = trained.setdefault(row["cells"][0], row["label"])
        row["same_as"] = None if first == row["label"] else first
    unique = distinct(filled)
    part, name = best_by
    best = max(unique, key=lambda row: row[part][name]["mean"])
    tested = significance.against_best(_ranks_of(unique, ranks), best["label"], best_by)
    return {"rows": filled, "best": best["label"], "significance": tested}


def distinct(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that are not another row's training."""
    return [row for row in rows if row["same_as"] is None]


def _ranks_of(rows: Sequence[dict[str, Any]], ranks: Ranks) -> dict[str, pl.DataFrame]:
    """Return the ranks of each row, all seeds."""
    return {row["label"]: pl.concat([ranks[cell] for cell in row["cells"]]) for row in rows}


def _row(row: Row, metrics: Metrics, needed: Sequence[str]) -> dict[str, Any]:
    cells = [cell.name for cell in row.cells]
    of_seeds = [metrics[cell] for cell in cells]
    return {
        "label": row.label,
        "model": row.model,
        "values": row.values,
        "cells": cells,
        "trained_as": Row(row.cells[0].model, row.cells[0].values, ()).label,
        "epochs": [of_seed["epoch"] for of_seed in of_seeds],
        "settings": of_seeds[0]["settings"],
        **{
            part: {
                name: spread([of_seed[part][name] for of_seed in of_seeds])
                for name in needed
                if is_measured(part, name)
            }
            for part in (SAMPLED, FULL)
        },
    }


def printed_of(row: Row, folder: str) -> dict[str, Any] | None:
    """Return what the paper prints in a row's place, and where."""
    if not row.values:
        printed = PRINTED.get(folder, {}).get(row.model)
        point = (table_of(row.model, printed), printed) if printed else None
    else:
        ((setting, value),) = row.values.items()
        point = point_of(folder, row.model, setting, value)
    return {"where": point[0], **dict(zip(names(), point[1], strict=False))} if point else None


def split_folder(settings: params.Params, dataset: str) -> str:
    """Return the folder of a published split, whose numbers the paper has, or ""."""
    source = settings.source(dataset)
    return source.folder if source.format == "published_split" else ""


def data(
    counts: Mapping[str, Any], features: Mapping[str, Mapping[str, str]], folder: str
) -> dict[str, Any]:
    """Return Table 1's row of a dataset, the paper's, and what made the features.

    Made of statistics.json, of each feature file's metadata and of `split_folder`.
    """
    kept = {key: counts[key] for key in ("users", "items", "interactions", "density")}
    widths = {modality: int(facts["dim"]) for modality, facts in features.items()}
    return {
        "ours": kept | {"features": widths},
        "paper": TABLE_1.get(folder),
        "modalities": list(features),
        "features": {m: {key: facts[key] for key in MADE_OF} for m, facts in features.items()},
    }


def first_table_analyses(
    settings: params.Params,
    tables: Mapping[str, Any],
    cells: tuple[Metrics, Ranks],
    folders: tuple[Path, Path],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of significance.json and slices.json, of the first table's rows."""
    (metrics, ranks), (processed, features), seed = cells, folders, settings.seed
    dataset, n_items = tables["dataset"], tables["data"]["ours"]["items"]
    first = tables["tables"][tables["order"][0]]
    rows = distinct(first["rows"])
    files = {s.TRAIN: s.TRAIN_FILE, s.VALIDATION: s.VALIDATION_FILE, s.TEST: s.TEST_FILE}
    parts = {n: io.read_parquet(processed / f, s.INTERACTIONS) for n, f in files.items()}
    present = {
        modality: read_present(features / f"{modality}.parquet", n_items)
        for modality in settings.dataset_features(dataset)
    }
    trained_on = [metrics[cell]["trained_on"] for row in rows for cell in row["cells"]]
    ranked, n_negatives = (_ranks_of(rows, ranks), parts), tables["candidates"][SAMPLED] - 1
    sizes = n_items, n_negatives
    shown = list(dict.fromkeys([*tables["names"], tables["compared"]]))
    hides = settings.evaluate.mask == "train_validation"
    cold = is_cold(metrics[rows[0]["cells"][0]].get("split", {}))
    tests = significance.table(*ranked, first["best"], *sizes, seed, shown, hides, cold)
    slices = user_slices.table(*ranked, trained_on, present, seed, shown)
    return {"dataset": dataset} | tests, {"dataset": dataset} | slices


def main(argv: list[str] | None = None) -> None:
    """Read, gather, write."""
    args = parser(__doc__, "dataset", "processed", "features", "results").parse_args(argv)
    settings = params.load().of(args.dataset)
    of = {name: args.results / name for name in study.cells(settings, args.dataset)}
    metrics = {n: io.read_json(folder / s.METRICS_FILE) for n, folder in of.items()}
    ranks = {n: io.read_parquet(folder / s.RANKS_FILE, s.RANKS) for n, folder in of.items()}
    features = {
        modality: read_feature_metadata(args.features / f"{modality}.parquet")
        for modality in settings.dataset_features(args.dataset)
    }
    counts = io.read_json(args.processed / s.STATISTICS_FILE)
    tables = gathered(settings, args.dataset, metrics, ranks)
    tables["data"] = data(counts, features, split_folder(settings, args.dataset))
    io.write_json(tables, args.results / file_names.TABLES_JSON)
    cells, folders = (metrics, ranks), (args.processed, args.features)
    certainty, slices = first_table_analyses(settings, tables, cells, folders)
    io.write_json(certainty, args.results / file_names.SIGNIFICANCE_JSON)
    io.write_json(slices, args.results / file_names.SLICES_JSON)
    io.write_text(latex.document(numbers.parts(tables)), args.results / file_names.TABLES_TEX)


if __name__ == "__main__":
    run(main)
