"""What the stages wrote about one model, read together and checked against each other.

metrics.json, ranks, history and recommendations are of one checkpoint: the Parquet files have
its facts in their metadata, metrics.json has them among its fields.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.job.errors import SchemaError
from pipeline.tables import rank_metrics
from pipeline.tables import schema as s
from pipeline.tables.features import read_digest
from pipeline.tables.io import read_json, read_metadata, read_parquet
from pipeline.tables.processed import check_ids, check_once, is_cold

PARTS = rank_metrics.RANK  # of metrics.json: column of the ranks
FIELDS = ("dataset", "model", "seeds", "selected_on", "epoch", "n_users", *PARTS)
SHARED = ("dataset", "architecture", "settings", "epoch", "trained_on")  # metrics and facts
AGAIN = "; run the stage evaluate again"
ROUNDING = 1e-9


@dataclass(frozen=True)
class Results:
    """The results of one model."""

    metrics: dict[str, Any]
    ranks: pl.DataFrame  # schema.RANKS
    history: pl.DataFrame  # schema.HISTORY
    facts: dict[str, Any]  # of the checkpoint that was ranked; empty where they are not written


def read_results(folder: Path) -> Results:
    """Read metrics, ranks and history of the model in results/<dataset>/<model>.

    Raises:
        SchemaError: a file is missing or damaged, is of another model or checkpoint than the
            others, or metrics.json has other numbers than follow from the ranks.
    """
    metrics = read_json(folder / s.METRICS_FILE, FIELDS)
    ranks, path = read_parquet(folder / s.RANKS_FILE, s.RANKS), folder / s.RANKS_FILE
    history = read_parquet(folder / s.HISTORY_FILE, s.HISTORY)
    facts = read_facts(path)
    check_same_model(folder, {s.RANKS_FILE: facts, s.HISTORY_FILE: None})
    _check_metrics(metrics, facts, ranks, folder)
    _check_ranks(ranks, metrics, path)
    _check_history(history, folder / s.HISTORY_FILE)
    return Results(metrics, ranks, history, facts)


def check_targets(
    results: Results,
    parts: Mapping[str, pl.DataFrame],
    n_items: int,
    folder: Path,
    dataset: str,
) -> None:
    """Raise SchemaError unless the model in `folder` was ranked on this dataset and split.

    Args:
        results: of the model.
        parts: train, validation and test.
        n_items: number of items.
        folder: results/<dataset>/<model>.
        dataset: its name.
    """
    metrics = results.metrics
    names = {"dataset": dataset, "model": folder.name}
    for name, expected in names.items():
        if metrics[name] != expected:
            raise SchemaError(
                f"{folder / s.METRICS_FILE}: expected {name} {expected!r}, got "
                f"{metrics[name]!r}{AGAIN}"
            )
    if is_cold(metrics.get("split", {})):
        n_items = parts[s.TEST][s.ITEM].n_unique()
    if metrics["full"]["candidates"] != n_items:
        raise SchemaError(
            f"{folder / s.METRICS_FILE}: expected a ranking among the {n_items} items, got "
            f"{metrics['full']['candidates']}{AGAIN}"
        )
    columns = (s.USER, s.ITEM)
    ranked = results.ranks.select(columns).unique().sort(columns)
    # Targets of users that are not in train may be left out.
    warm = parts[s.TEST].join(parts[s.TRAIN], on=s.USER, how="semi")
    tests = [rows.select(columns).unique().sort(columns) for rows in (parts[s.TEST], warm)]
    if not any(ranked.equals(test) for test in tests):
        raise SchemaError(
            f"{folder / s.RANKS_FILE}: expected the {tests[0].height} users and items of "
            f"{s.TEST_FILE}, got {ranked.height}, or others{AGAIN}"
        )


def read_lists(
    folder: Path, users: pl.DataFrame, items: pl.DataFrame, parts: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """Read the recommendations of the model in results/<dataset>/<model>.

    Args:
        folder: of the model.
        users: schema.USERS.
        items: schema.ITEMS.
        parts: train, validation and test; lists are without what the user has in the first two.

    Raises:
        SchemaError: the file is missing or damaged, is of another model than the ranks or of
            other users and items, or a list is not whole.
    """
    path, again = folder / s.RECOMMENDATIONS_FILE, "; run the stage recommend again"
    lists = read_parquet(path, s.RECOMMENDATIONS)
    check_same_model(folder, {s.RANKS_FILE: None, s.RECOMMENDATIONS_FILE: None})
    check_ids(lists, path, {s.USER: users.height, s.ITEM: items.height}, again)
    check_once(lists, path, (s.USER, s.ITEM), again)
    check_once(lists, path, (s.USER, "position"), again)
    names = items.select(s.ITEM, s.RAW_ID)
    named = lists.join(names, on=s.ITEM, maintain_order="left")
    columns = (s.USER, s.ITEM)
    known = pl.concat(
        [parts[name].select(columns) for name in (s.TRAIN, s.VALIDATION)]
    ).unique()
    lengths = _lengths(lists, users, known, items.height)
    problems = {
        "the raw id of every item": named.filter(pl.col("raw_item") != pl.col(s.RAW_ID)).height,
        "scores that are finite": lists.filter(pl.col("score").is_finite().not_()).height,
        "items that the user does not have": lists.join(known, on=columns, how="semi").height,
        "a whole list of every user": lengths.filter(pl.col("n") != pl.col("whole")).height,
    }
    for expected, count in problems.items():
        if count:
            raise SchemaError(f"{path}: expected {expected}, got {count} without{again}")
    return lists


def _lengths(
    lists: pl.DataFrame, users: pl.DataFrame, known: pl.DataFrame, n_items: int
) -> pl.DataFrame:
    """Return for each user `n`, the length of the list, and `whole`, what it should be."""
    longest = int(lists["position"].to_numpy().max(initial=0)) + 1
    rows = users.select(s.USER)
    for table, name in ((lists, "n"), (known, "known")):
        counts = table.group_by(s.USER).len(name)
        rows = rows.join(counts, on=s.USER, how="left").with_columns(pl.col(name).fill_null(0))
    left = n_items - pl.col("known").cast(pl.Int64)
    return rows.with_columns(left.clip(upper_bound=longest).alias("whole"))


def check_features(
    folder: Path, facts: Mapping[str, Mapping[str, Any]], files: Mapping[str, Path]
) -> None:
    """Raise SchemaError if a model was trained on other features than those in `files`.

    Args:
        folder: results/<dataset>.
        facts: of the checkpoint of each model.
        files: the feature file of each modality.
    """
    now = {modality: read_digest(path) for modality, path in files.items()}
    for model, known in facts.items():
        for modality, digest in known.get("inputs", {}).get("features", {}).items():
            if now.get(modality) not in (None, digest):
                raise SchemaError(
                    f"{folder / model / s.RANKS_FILE}: expected a model trained on "
                    f"{files[modality]}, got one trained on other features: they were made "
                    "again since; run the stages train, evaluate and recommend again"
                )


def as_metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata from which `read_facts` reads a checkpoint's facts."""
    return {s.FACTS: json.dumps(facts, sort_keys=True)}


def read_facts(path: Path) -> dict[str, Any]:
    """Return the checkpoint's facts in a Parquet file's metadata; empty if there are none."""
    return dict(json.loads(read_metadata(path).get(s.FACTS, "{}")))


def check_same_model(folder: Path, files: Mapping[str, dict[str, Any] | None]) -> None:
    """Raise SchemaError unless all files in `folder` have the facts of one checkpoint.

    Args:
        folder: results/<dataset>/<model>.
        files: names, and their facts if these have been read.
    """
    found = {name: read_facts(folder / name) if f is None else f for name, f in files.items()}
    first, *others = found
    for name in others:
        if found[first] and found[name] and found[first] != found[name]:
            differ = sorted(
                key for key in found[name] if found[name][key] != found[first].get(key)
            )
            raise SchemaError(
                f"{folder / name}: expected the model of {first}, got one with another "
                f"{' and '.join(differ)}; run the stages train, evaluate and recommend again"
            )


def _check_metrics(
    metrics: Mapping[str, Any], facts: Mapping[str, Any], ranks: pl.DataFrame, folder: Path
) -> None:
    path = folder / s.METRICS_FILE
    for name in SHARED:
        if facts and name in metrics and metrics[name] != facts[name]:
            raise SchemaError(
                f"{path}: expected {name} {facts[name]}, as in {s.RANKS_FILE}, got "
                f"{metrics[name]}{AGAIN}"
            )
    if metrics["n_users"] != (n_users := ranks[s.USER].n_unique()):
        expected = f"{n_users} users, as in {s.RANKS_FILE}, got {metrics['n_users']}"
        raise SchemaError(f"{path}: expected {expected}{AGAIN}")
    for part in PARTS:
        if not isinstance(metrics[part], dict) or "candidates" not in metrics[part]:
            raise SchemaError(f"{path}: expected metrics and candidates in {part!r}{AGAIN}")
        _check_values(metrics[part], part, ranks, path)


def _check_values(
    content: Mapping[str, Any], part: str, ranks: pl.DataFrame, path: Path
) -> None:
    try:
        means = rank_metrics.means(ranks, part, [name for name in content if "@" in name])
    except ValueError as error:
        raise SchemaError(f"{path}: {error}{AGAIN}") from None
    for name, expected in means.items():
        if not _equal(content[name], expected):
            raise SchemaError(
                f"{path}: expected {part} {name} {expected:.6f}, which follows from "
                f"{s.RANKS_FILE}, got {content[name]}{AGAIN}"
            )


def _equal(value: object, expected: float) -> bool:
    return isinstance(value, float | int) and math.isclose(value, expected, abs_tol=ROUNDING)


def _check_ranks(ranks: pl.DataFrame, metrics: Mapping[str, Any], path: Path) -> None:
    for once in (s.ITEM, "rank_full"):  # a rank is a place in the user's list
        check_once(ranks, path, (s.USER, once, "seed"), AGAIN)
    sizes = {column: metrics[part]["candidates"] for part, column in PARTS.items()}
    check_ids(ranks, path, sizes, AGAIN)


def _check_history(history: pl.DataFrame, path: Path) -> None:
    check_once(history, path, ("phase", "epoch"), again := "; run the stage train again")
    for name in ("loss", "hr@10", "ndcg@10", "value"):
        bad = history.filter(pl.col(name).is_finite().not_())
        if bad.height:
            raise SchemaError(
                f"{path}: expected finite numbers in {name!r}, got {bad[name][0]} at epoch "
                f"{bad['epoch'][0]}{again}"
            )
