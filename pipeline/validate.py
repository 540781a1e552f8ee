r"""Stage `validate`: check a dataset before training.

    data/raw/D/manifest.json, data/interim/D, data/processed/D
        -> results/D/validation.json, results/D/validation.md

The checks: unique and non-empty keys, references, ranges of times and ratings, repeats, missing
item fields, the core, the split and the candidates. Times and ratings are judged in the reviews
that the filters leave; what is out of range in others is a warning. An error means that later
stages would compute wrong results; it stops the stage, and the page is then in
.work/validate/D.md. Warnings on the page need a person's judgement.

The counts of the last run are kept in .work/validate/D.json. The log lists each count that
differs from them, for example after a newer dump was downloaded. `python -m
pipeline.interactions.drift` compares any two files.

    python -m pipeline.validate sample data/raw/sample data/interim/sample \
        data/processed/sample results/sample
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.interactions import checks
from pipeline.interactions.checks import Finding
from pipeline.interactions.drift import differences
from pipeline.interactions.profile import Profile, profile
from pipeline.interactions.record_counts import read_counts
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.pages import file_names, markdown_table
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, read_parquet, write_json, write_text
from pipeline.tables.kept import read_kept_json, write_kept_json
from pipeline.tables.processed import is_cold, read_split

log = logging.getLogger("validate")
WORK = Path(".work/validate")
VALIDATION_JSON, VALIDATION_MD = "validation.json", "validation.md"
PROCESSED = {
    "interactions": (s.INTERACTIONS_FILE, s.INTERACTIONS),
    "users": (s.USERS_FILE, s.USERS),
    "items": (s.ITEMS_FILE, s.ITEMS),
    s.TRAIN: (s.TRAIN_FILE, s.INTERACTIONS),
    s.VALIDATION: (s.VALIDATION_FILE, s.INTERACTIONS),
    s.TEST: (s.TEST_FILE, s.INTERACTIONS),
    "candidates": (s.CANDIDATES_FILE, s.CANDIDATES),
}


def findings(
    reviews: pl.DataFrame,
    items: pl.DataFrame,
    processed: Mapping[str, pl.DataFrame],
    format_: str,
    statistics: Mapping[str, Any],
    *,
    cold: bool = False,
) -> list[Finding]:
    """Run every check; errors come first.

    Args:
        reviews: schema.REVIEWS.
        items: schema.RAW_ITEMS.
        processed: the tables of `PROCESSED`.
        format_: of the source.
        statistics: content of statistics.json; it has the core's k.
        cold: whether the split holds out items.
    """
    published = format_ == "published_split"
    processed = checks.with_raw_ids(processed)
    sides = statistics["k_user"], statistics["k_item"]
    every = [
        *checks.raw(reviews, items, processed["interactions"], format_),
        *checks.core(processed, *sides, published=published),
        *checks.parts(processed, processed["candidates"], published=published, cold=cold),
    ]
    return sorted(every, key=lambda finding: finding.level)


def page(dataset: str, problems: Sequence[Finding], counts: Profile) -> str:
    """Return validation.md."""
    n_errors = sum(finding.level == "error" for finding in problems)
    lines = [f"# {dataset}: is it what it should be?", ""]
    lines += [f"{n_errors} errors, {len(problems) - n_errors} warnings.", ""]
    if problems:
        rows = [
            (f.level, f.table, f.what, f"{f.count:,} of {f.of:,}", f.example) for f in problems
        ]
        lines += _table(("", "table", "what", "how often", "first"), rows, "lllrl")
    reviews, items = counts["reviews"], counts["items"]
    lines += ["## Raw", ""]
    files = [(n, f"{f['bytes']:,}", f["sha256"][:16]) for n, f in counts["files"].items()]
    lines += _table(("file", "bytes", "sha256"), files, "lrl")
    lines += _read(counts["read"])
    totals = [(name, f"{reviews[name]:,}") for name in ("rows", "users", "items")]
    lines += _table(("reviews", ""), totals, "lr")
    for what, of in (("reviews", reviews), ("items", items)):
        shares = [(n, f"{c:,}", _share(c, of["rows"])) for n, c in of["filled"].items()]
        lines += _table((f"{what} with", "", "share"), shares, "lrr")
    for name in ("years", "ratings"):
        bars = [(v, f"{c:,}", _share(c, reviews["rows"])) for v, c in reviews[name].items()]
        lines += _table((name, "reviews", "share"), bars, "lrr") if bars else []
    lines += ["## Processed", ""]
    lines += _table(("table", "rows"), [(n, f"{c:,}") for n, c in counts["rows"].items()], "lr")
    return "\n".join(lines)


def _read(files: Mapping[str, Any]) -> list[str]:
    """Return the table of what `ingest` read of each file, and what it could not use."""
    rows = [
        (
            name,
            *(f"{counts[key]:,}" for key in ("records", "bad_lines", "rows")),
            ", ".join(f"{field}: {n:,}" for field, n in counts["not_understood"].items())
            or "–",
        )
        for name, counts in files.items()
    ]
    head = ("read by ingest", "records", "bad lines", "rows", "values not understood")
    return _table(head, rows, "lrrrl") if rows else []


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    return [
        *markdown_table.lines(
            head, ([markdown_table.plain(cell) for cell in row] for row in rows), align
        ),
        "",
    ]


def _log_drift(dataset: str, counts: Profile) -> None:
    """Log the counts that differ from those of the last run, and keep the new ones."""
    last_run = WORK / f"{dataset}.json"
    if before := read_kept_json(last_run):
        for line in differences(before, counts):
            log.warning("%s: since the last run: %s", dataset, line)
    write_kept_json(counts, last_run)


def main(argv: list[str] | None = None) -> None:
    """Read, check, write."""
    arguments = parser(__doc__, "dataset", "raw", "interim", "processed", "results")
    args = arguments.parse_args(argv)
    settings = params.load().of(args.dataset)

    reviews = read_parquet(args.interim / s.REVIEWS_FILE, s.REVIEWS)
    items = read_parquet(args.interim / s.ITEMS_FILE, s.RAW_ITEMS)
    processed = {
        name: read_parquet(args.processed / file, columns)
        for name, (file, columns) in PROCESSED.items()
    }
    format_ = settings.source(args.dataset).format
    statistics = read_json(args.processed / s.STATISTICS_FILE)
    cold = is_cold(read_split(args.processed))
    problems = findings(reviews, items, processed, format_, statistics, cold=cold)
    read = read_counts(args.interim / s.REVIEWS_FILE)["files"]
    counts = profile(read_json(args.raw / s.MANIFEST_FILE), read, reviews, items, processed)
    _log_drift(args.dataset, counts)
    _write(args.dataset, problems, counts, args.results)


def _write(dataset: str, problems: Sequence[Finding], counts: Profile, results: Path) -> None:
    text = page(dataset, problems, counts)
    errors = [finding for finding in problems if finding.level == "error"]
    if errors:
        write_text(text, WORK / f"{dataset}.md")
        first = errors[0]
        raise RawDataError(
            f"validate: {len(errors)} errors in {dataset}, the first: {first.table}: "
            f"{first.what}, {first.count:,} of {first.of:,} ({first.example}). All are in "
            f"{WORK / dataset}.md"
        )
    log.info("%s: no errors, %d warnings", dataset, len(problems))
    content: dict[str, Any] = {"dataset": dataset, "findings": [asdict(f) for f in problems]}
    write_json(content | {"profile": counts}, results / file_names.VALIDATION_JSON)
    write_text(text, results / file_names.VALIDATION_MD)


if __name__ == "__main__":
    run(main)
