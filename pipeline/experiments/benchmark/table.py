r"""Rule `benchmark_table`: models on a dataset beside the numbers that others published.

    results/D/study/CELL/metrics.json, data/processed/D, data/features/D,
    logs/benchmarks/study_cell/D -> results/D/{benchmark.json,benchmark.md}

A row has the mean and the standard deviation of each metric over the seeds, the published
number and the difference. Minutes are Snakemake's: they alone differ between two runs.

    python -m pipeline.experiments.benchmark.table lfm2k data/processed/lfm2k \
        data/features/lfm2k logs/benchmarks/study_cell/lfm2k results/lfm2k
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model.measures import FULL, split_metric
from pipeline import params
from pipeline.comparison import protocol, published_numbers, user_metrics
from pipeline.comparison.published_numbers import Published
from pipeline.experiments.benchmark import markdown
from pipeline.experiments.study import times
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.pages import file_names
from pipeline.params import benchmark
from pipeline.params.study import Row
from pipeline.tables import io
from pipeline.tables import schema as s
from pipeline.tables.features import read_feature_metadata

Metrics = Mapping[str, Mapping[str, Any]]  # metrics.json of each cell
Minutes = Mapping[str, float | None]  # of each cell; None was not timed
COUNTS = ("users", "items", "interactions")
SHARED = ("selected_on", "trained_on", "optimistic", "budget")  # by every cell


def gathered(
    settings: params.Params,
    dataset: str,
    metrics: Metrics,
    minutes: Minutes,
    counts: Mapping[str, Any],
    features: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return the content of benchmark.json.

    Args:
        settings: the file as it is for the dataset.
        dataset: its name.
        metrics: of every cell of the benchmark.
        minutes: likewise.
        counts: statistics.json.
        features: of each modality that a model reads, the metadata of its file.

    Raises:
        ParamsError: see `published_numbers.linked`.
        SchemaError: the cells were not ranked or chosen in the same way.
    """
    published = published_numbers.linked(settings, dataset)
    rows, first = benchmark.rows(settings, dataset), next(iter(metrics.values()))
    _check_same(metrics)
    columns = list(published.metrics) if published else _columns(settings)
    ours = [_ours(row, metrics, minutes, columns, published) for row in rows]
    return {
        "dataset": dataset,
        "counts": {key: counts[key] for key in COUNTS},
        "protocol": protocol.in_words(first),
        "mask": first[FULL]["mask"],
        "features": protocol.features_in_words(features),
        **{key: first[key] for key in SHARED},
        "seeds": settings.benchmark.seeds,
        "sampling": settings.train.sampling,
        "own_settings": [row.model for row in rows if settings.has_layer(row.model, dataset)],
        "left_out": benchmark.left_out(settings, dataset),
        "metrics": columns,
        "published": _of_others(published),
        "rows": [*ours, *_published_only(published, [row.model for row in rows])],
    }


def _columns(settings: params.Params) -> list[str]:
    """Return the metrics of a dataset without published numbers: of the protocol of choice."""
    part = split_metric(settings.train.select_by)[0]
    names = user_metrics.names(settings.evaluate.k, settings.evaluate.metrics, part)
    return [f"{part} {name}" for name in names]


def _check_same(metrics: Metrics) -> None:
    protocol.check_same(metrics)
    for key in SHARED:
        values = {cell: content[key] for cell, content in metrics.items()}
        if any(value != next(iter(values.values())) for value in values.values()):
            raise SchemaError(
                f"expected trainings with the same {key}, got {values}; run the target "
                "benchmark again"
            )


def _ours(
    row: Row,
    metrics: Metrics,
    minutes: Minutes,
    columns: Iterable[str],
    published: Published | None,
) -> dict[str, Any]:
    cells = [cell.name for cell in row.cells]
    own = {
        name: user_metrics.spread([_value(metrics[cell], name) for cell in cells])
        for name in columns
    }
    theirs = _numbers(published, row.model)
    return {
        "model": row.model,
        "source": published.rows[row.model][0] if published and theirs else None,
        "ours": own,
        "published": theirs,
        "percent": {
            name: 100 * (own[name]["mean"] / value - 1) for name, value in theirs.items()
        },
        "epochs": [metrics[cell]["epoch"] for cell in cells],
        "minutes": [minutes[cell] for cell in cells],
        "cells": cells,
        "settings": metrics[cells[0]]["settings"],
    }


def _value(metrics: Mapping[str, Any], name: str) -> float:
    part, measure = split_metric(name)
    return float(metrics[part][measure])


def _numbers(published: Published | None, model: str) -> dict[str, float]:
    """Return the published numbers of a model; empty without any."""
    if published is None or model not in published.rows:
        return {}
    return dict(zip(published.metrics, published.rows[model][1], strict=False))


def _published_only(
    published: Published | None, trained: Iterable[str]
) -> list[dict[str, Any]]:
    """Return rows of the models that others have numbers of, and that were not trained here."""
    return [
        {
            "model": model,
            "source": published.rows[model][0],
            "ours": None,
            "published": _numbers(published, model),
        }
        for model in (published.rows if published else ())
        if published and model not in set(trained)
    ]


def _of_others(published: Published | None) -> dict[str, Any] | None:
    """Return what is stated of the published numbers, less the rows."""
    if published is None:
        return None
    fields = "title", "split", "ranking", "selection", "features", "settings", "mask"
    stated = {field: getattr(published, field) for field in fields}
    counts = {key: published.counts[key] for key in COUNTS}
    return stated | {"counts": counts, "sources": list(published.sources)}


def _minutes(path: Path) -> float | None:
    seconds = times.read(path)["s"] if path.exists() else None
    return None if seconds is None else seconds / 60


def main(argv: list[str] | None = None) -> None:
    """Read, gather, write."""
    parse = parser(__doc__, "dataset", "processed", "features")
    parse.add_argument("benchmarks", type=Path, help="folder of the cells' benchmarks")
    parse.add_argument("results", type=Path, help="results/<dataset>")
    args = parse.parse_args(argv)
    settings, dataset = params.load().of(args.dataset), args.dataset
    rows = benchmark.rows(settings, dataset)
    cells = [cell.name for row in rows for cell in row.cells]
    read = [m for row in rows for m in settings.model_modalities(row.model, dataset)]
    found = gathered(
        settings,
        dataset,
        {c: io.read_json(args.results / "study" / c / s.METRICS_FILE) for c in cells},
        {c: _minutes(args.benchmarks / f"{c}.tsv") for c in cells},
        io.read_json(args.processed / s.STATISTICS_FILE),
        {m: read_feature_metadata(args.features / f"{m}.parquet") for m in dict.fromkeys(read)},
    )
    io.write_json(found, args.results / file_names.BENCHMARK_JSON)
    io.write_text(markdown.page(found), args.results / file_names.BENCHMARK_MD)


if __name__ == "__main__":
    run(main)
