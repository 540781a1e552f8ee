"""Rule `tune_table`: what a search by successive halving tried, best first, and what it cost.

    results/D/M/tune.json -> results/D/M/tune.md

Trainings that went further come first; among those of one round the order is that of the metric
`train.select_by` on validation. Below the table is what to know about the best one, and the
command that keeps it.

    python -m pipeline.experiments.sweep.halving_table sample lightgcn results/sample/lightgcn
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.experiments.sweep.table import TITLES, at_edges, columns
from pipeline.job.command_line import parser, run
from pipeline.pages import markdown_table
from pipeline.pages.file_names import TUNE_JSON, TUNE_MD
from pipeline.params.cell import text
from pipeline.tables.io import read_json, write_text

HEAD = ["best epoch", "epochs", "round"]


def markdown(found: dict[str, Any]) -> str:
    """Return the table; `found` is what `halving.Search.run` returned."""
    keys, select_by = list(found["ranges"]), found["selected_by"]
    shown = columns(select_by)
    rows = [
        [
            "**best**" if row["values"] == found["best"] else "",
            *(text(row["values"][key]) for key in keys),
            *_measured(row, shown),
            str(row["epochs"]),
            str(row["round"]),
        ]
        for row in found["rows"]
    ]
    titles = TITLES | {"value": select_by}
    head = ["", *keys, *(titles[name] for name in shown), *HEAD]
    table = markdown_table.lines(head, rows, f"l{'r' * (len(head) - 1)}")
    return "\n".join([*_opening(found), "", *table, "", *_advice(found)]) + "\n"


def _opening(found: dict[str, Any]) -> Iterator[str]:
    rounds = ", ".join(f"{r['trainings']} to epoch {r['epochs']}" for r in found["rounds"])
    yield (
        f"{found['dataset']}, {found['model']}: {len(found['rows'])} combinations of "
        f"{' and '.join(found['ranges'])}, by successive halving: {rounds}."
    )
    yield f"Validation items among {found['negatives']} sampled ones. Test was not read."
    yield (
        f"One seed, {found['seed']}: a lead smaller than the spread between seeds says little."
    )
    yield (
        f"Cost: {found['epochs']:,} epochs, of at most {found['most_epochs']:,}; "
        f"{found['minutes']} minutes of training."
    )


def _measured(row: dict[str, Any], shown: Sequence[str]) -> list[str]:
    if "diverged" in row:
        return ["diverged", *[""] * len(shown)]
    return [*(f"{row[name]:.4f}" for name in shown), str(row["epoch"])]


def _advice(found: dict[str, Any]) -> Iterator[str]:
    best, budget = found["best"], found["fixed"]["budget"]
    if best is None:
        yield "Every training diverged: there is nothing to keep. Try a smaller lr."
        return
    yield f"The best: {', '.join(f'{key} {text(value)}' for key, value in best.items())}."
    yield (
        "To write it to `params.yaml`: "
        f"`python -m pipeline.experiments.sweep.keep {found['dataset']}`."
    )
    epoch = found["rows"][0]["epoch"]
    if edges := at_edges(best, found["ranges"]):
        yield edges
    if epoch == budget["epochs"]:
        yield f"Still rising at {epoch} epochs: raise `train.epochs`."
    if epoch == budget["evaluate_every"] < budget["epochs"]:
        yield (
            f"Best at its first measurement, epoch {epoch}: a smaller lr, or a smaller "
            "`train.evaluate_every`, may be better."
        )


def main(argv: list[str] | None = None) -> None:
    """Read, write."""
    args = parser(__doc__, "dataset", "model", "results", reads_params=False).parse_args(argv)
    write_text(markdown(read_json(args.results / TUNE_JSON)), args.results / TUNE_MD)


if __name__ == "__main__":
    run(main)
