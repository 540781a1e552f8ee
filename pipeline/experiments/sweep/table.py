r"""Rule `sweep_table`: what was tried of one model on one dataset, best first.

    results/D/M/sweep/CELL.json, sweep_trials.json -> results/D/M/sweep.json, sweep.md

Cells of the grid and trials of the search are the same thing, and a cell that both tried is one
row. The order is that of the metric `train.select_by` on validation, its mean over the seeds;
what ended early (pruned, or diverged) comes last. Test is neither read nor reported. Below the
table are the lines of params.yaml that adopt the best row.

    python -m pipeline.experiments.sweep.table sample lightgcn results/sample/lightgcn
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from model.measures import SELECT_BY, in_words
from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.pages import markdown_table
from pipeline.pages.file_names import CELLS_FOLDER, SWEEP_JSON, SWEEP_MD, TRIALS_FILE
from pipeline.params import sweep
from pipeline.params.cell import Cell, Values, text
from pipeline.tables.io import read_json, write_json, write_text
from pipeline.tables.schema import VALIDATION

MEASURES = ("value", "ndcg@10", "hr@10")  # the first is of train.select_by
TITLES = {"ndcg@10": "NDCG@10", "hr@10": "HR@10"}
KEPT = ("epoch", *MEASURES, "pruned", "diverged")  # of a result
LAST = {"complete": 0, "pruned": 1, "diverged": 2}  # order of the table

Row: TypeAlias = dict[str, Any]
Result: TypeAlias = dict[str, Any]


def rows(results: list[tuple[str, Result]]) -> list[Row]:
    """Return a row for each combination of values, best first.

    Args:
        results: where each is from (`grid`, `trial 3`), and the result of one cell.

    Returns:
        Rows with `values`, `state` (complete, pruned, diverged), `value`, `ndcg@10` and
        `hr@10` (means over the seeds, None unless complete), `runs` by seed and `found_by`.
    """
    by_values: dict[str, Row] = {}
    for source, result in results:
        empty = {"values": result["values"], "found_by": [], "runs": {}}
        row = by_values.setdefault(_name(result["values"]), empty)
        if source not in row["found_by"]:
            row["found_by"].append(source)
        _add_run(row["runs"], result)
    summarised = [row | _summary(list(row["runs"].values())) for row in by_values.values()]
    # Names part equals, so that the order does not depend on the order of the results.
    return sorted(
        summarised,
        key=lambda row: (LAST[row["state"]], -(row["value"] or 0.0), _name(row["values"])),
    )


def _name(values: Values) -> str:
    return Cell("", values, 0).short_name


def _add_run(runs: dict[str, Any], result: Result) -> None:
    """Add a run; of two with one seed, the one that completed stays."""
    seed = str(result["seed"])
    if seed not in runs or LAST[_state(result)] < LAST[_state(runs[seed])]:
        runs[seed] = {key: result[key] for key in KEPT if key in result}


def _state(run: Result) -> str:
    return next((state for state in ("diverged", "pruned") if state in run), "complete")


def _summary(runs: list[Result]) -> Row:
    state = max(map(_state, runs), key=LAST.__getitem__)
    if state != "complete":
        return {"state": state} | dict.fromkeys(MEASURES)
    return {"state": state} | {m: statistics.fmean(run[m] for run in runs) for m in MEASURES}


def columns(select_by: str) -> tuple[str, ...]:
    """Return the keys of `MEASURES` that a table shows: `value` unless it is another's."""
    return MEASURES[1:] if select_by == SELECT_BY else MEASURES


def markdown(table: dict[str, Any]) -> str:
    """Return the table, then the lines that adopt its best row; see `gathered`."""
    budget = ", ".join(f"{key} {value}" for key, value in table["budget"].items())
    keys, select_by = list(table["ranges"]), table["selected_by"]
    shown = columns(select_by)
    lines = [
        f"{table['dataset']}, {table['model']}: validation items among "
        f"{table['negatives']} sampled ones.",
        f"Test was not read. Budget of each run: {budget}.",
        f"Seeds: {', '.join(map(str, table['seeds']))}.",
        "",
    ]
    rows = [
        [
            "**best**" if row["values"] == table["best"] else "",
            *(text(row["values"][key]) for key in keys),
            *_measured(row, shown),
            ", ".join(row["found_by"]),
        ]
        for row in table["rows"]
    ]
    titles = TITLES | {"value": select_by}
    head = ["", *keys, *(titles[name] for name in shown), "epoch", "from"]
    lines += markdown_table.lines(head, rows, f"l{'r' * (len(head) - 2)}l")
    return "\n".join([*lines, "", *_advice(table)]) + "\n"


def _measured(row: Row, shown: Sequence[str]) -> list[str]:
    runs = list(row["runs"].values())
    epochs = ", ".join(str(run.get("epoch") or run.get("pruned") or "-") for run in runs)
    if row["state"] != "complete":
        return [row["state"], *[""] * (len(shown) - 1), epochs]
    return [*(spread([run[key] for run in runs]) for key in shown), epochs]


def spread(values: list[float]) -> str:
    """Return the mean and, of several values, the standard deviation."""
    mean = f"{statistics.fmean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def _advice(table: dict[str, Any]) -> Iterator[str]:
    best = table["best"]
    if best is None:
        yield "No run came to its end: there is nothing to take over."
        return
    yield from ("The best, as lines of `params.yaml`:", "", f"    {table['model']}:")
    yield f"      {table['paste']}"
    if edges := at_edges(best, table["ranges"]):
        yield from ("", edges)


def at_edges(best: Values, ranges: dict[str, list[Any]]) -> str:
    """Return a sentence about values at an end of their range; empty if there is none."""
    edges = [key for key, values in ranges.items() if _is_edge(best[key], values)]
    if not edges:
        return ""
    return f"At an end of its range, beyond which may be better ones: {', '.join(edges)}."


def _is_edge(value: Any, values: list[Any]) -> bool:
    """Return whether a value is the least or greatest of three numbers or more."""
    numbers = [value for value in values if isinstance(value, int | float)]
    return len(numbers) > 2 and value in (min(numbers), max(numbers))


def gathered(
    settings: params.Params, dataset: str, model: str, results: list[tuple[str, Result]]
) -> dict[str, Any]:
    """Return the content of sweep.json: the rows, the best one and how to adopt it."""
    section, layer = sweep.section(settings), settings.sections[model].get(dataset) or {}
    table = rows(results)
    best = table[0]["values"] if table and table[0]["state"] == "complete" else None
    pasted = ", ".join(f"{key}: {text(v)}" for key, v in (layer | (best or {})).items())
    return {
        "dataset": dataset,
        "model": model,
        "selected_on": in_words(VALIDATION, settings.train.select_by),
        "selected_by": settings.train.select_by,
        "budget": section.budget.model_dump(),
        "seeds": section.seeds,
        "negatives": settings.evaluate.candidates,
        "ranges": sweep.ranges(settings, dataset, model),
        "rows": table,
        "best": best,
        "paste": f"{dataset}: {{{pasted}}}" if best else None,
    }


def read(
    settings: params.Params, dataset: str, model: str, folder: Path
) -> list[tuple[str, Result]]:
    """Return the source and the result of every cell and trial that params.yaml declares.

    Raises:
        SchemaError: a file is absent, or is of another cell.
    """
    results = []
    for cell in sweep.cells(settings, dataset, model):
        path = folder / CELLS_FOLDER / f"{cell.short_name}.json"
        result = read_json(path)
        if (result.get("values"), result.get("seed")) != (cell.values, cell.seed):
            raise SchemaError(
                f"{path}: expected the result of {cell.short_name}; remove the file"
            )
        results.append(("grid", result))
    if sweep.section(settings).trials:
        for trial in read_json(folder / TRIALS_FILE)["trials"]:
            results += [(f"trial {trial['number']}", result) for result in trial["results"]]
    return results


def main(argv: list[str] | None = None) -> None:
    """Read, sort, write."""
    args = parser(__doc__, "dataset", "model", "results").parse_args(argv)
    settings = params.load().of(args.dataset)
    results = read(settings, args.dataset, args.model, args.results)
    table = gathered(settings, args.dataset, args.model, results)
    write_json(table, args.results / SWEEP_JSON)
    write_text(markdown(table), args.results / SWEEP_MD)


if __name__ == "__main__":
    run(main)
