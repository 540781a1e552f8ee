r"""Stage `validate`: look at a dataset before anything is trained on it.

    data/raw/D/manifest.json, data/interim/D, data/processed/D
        -> results/D/validation.json, results/D/validation.md

Checked are keys (unique, none empty), references (whole), times and ratings (in range),
repeats, what items lack, the core, the split and the candidates. An error means that what
follows would compute nonsense, and stops the stage; the page is then in .work/validate/D.md.
Warnings are for a person to judge: read the page.

The counts of the last run are kept in .work/validate/D.json. Where they differ from this
run's, because a dump was fetched again and is another one, say, the log says in what;
`python -m pipeline.interactions.drift` compares any two files.

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
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.pages import file_names, markdown_table
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, read_parquet, write_json, write_text

log = logging.getLogger("validate")
WORK = Path(".work/validate")
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
) -> list[Finding]:
    """Run every check; errors come first.

    Args:
        reviews: schema.REVIEWS.
        items: schema.RAW_ITEMS.
        processed: the tables of `PROCESSED`.
        format_: of the source.
        statistics: content of statistics.json, for the core that was made.
    """
    published = format_ == "published_split"
    sides = statistics["k_user"], statistics["k_item"]
    found = [
        *checks.raw(reviews, items, format_),
        *checks.core(processed, *sides, published=published),
        *checks.parts(processed, processed["candidates"], published=published),
    ]
    return sorted(found, key=lambda finding: finding.level)


def page(dataset: str, found: Sequence[Finding], counts: Profile) -> str:
    """Return validation.md."""
    n_errors = sum(finding.level == "error" for finding in found)
    lines = [f"# {dataset}: is it what it should be?", ""]
    lines += [f"{n_errors} errors, {len(found) - n_errors} warnings.", ""]
    if found:
        rows = [
            (f.level, f.table, f.what, f"{f.count:,} of {f.of:,}", f.example) for f in found
        ]
        lines += _table(("", "table", "what", "how often", "first"), rows, "lllrl")
    reviews, items = counts["reviews"], counts["items"]
    lines += ["## Raw", ""]
    files = [(n, f"{f['bytes']:,}", f["sha256"][:16]) for n, f in counts["files"].items()]
    lines += _table(("file", "bytes", "sha256"), files, "lrl")
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


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    return [
        *markdown_table.lines(
            head, ([markdown_table.plain(cell) for cell in row] for row in rows), align
        ),
        "",
    ]


def _tell_drift(dataset: str, counts: Profile) -> None:
    """Log in what the counts differ from those of the last run, and keep these."""
    kept = WORK / f"{dataset}.json"
    if kept.exists():
        for line in differences(read_json(kept), counts):
            log.warning("%s: since the last run: %s", dataset, line)
    write_json(counts, kept)


def main(argv: list[str] | None = None) -> None:
    """Read, check, write."""
    arguments = parser(__doc__, "dataset", "raw", "interim", "processed", "results")
    args = arguments.parse_args(argv)
    settings = params.load()

    reviews = read_parquet(args.interim / s.REVIEWS_FILE, s.REVIEWS)
    items = read_parquet(args.interim / s.ITEMS_FILE, s.RAW_ITEMS)
    processed = {
        name: read_parquet(args.processed / file, columns)
        for name, (file, columns) in PROCESSED.items()
    }
    format_ = settings.source(args.dataset).format
    statistics = read_json(args.processed / s.STATISTICS_FILE)
    found = findings(reviews, items, processed, format_, statistics)
    counts = profile(read_json(args.raw / s.MANIFEST_FILE), reviews, items, processed)
    _tell_drift(args.dataset, counts)
    _write(args.dataset, found, counts, args.results)


def _write(dataset: str, found: Sequence[Finding], counts: Profile, results: Path) -> None:
    text = page(dataset, found, counts)
    errors = [finding for finding in found if finding.level == "error"]
    if errors:
        write_text(text, WORK / f"{dataset}.md")
        first = errors[0]
        raise RawDataError(
            f"validate: {len(errors)} errors in {dataset}, the first: {first.table}: "
            f"{first.what}, {first.count:,} of {first.of:,} ({first.example}). All are in "
            f"{WORK / dataset}.md"
        )
    log.info("%s: no errors, %d warnings", dataset, len(found))
    content: dict[str, Any] = {"dataset": dataset, "findings": [asdict(f) for f in found]}
    write_json(content | {"profile": counts}, results / file_names.VALIDATION_JSON)
    write_text(text, results / file_names.VALIDATION_MD)


if __name__ == "__main__":
    run(main)
