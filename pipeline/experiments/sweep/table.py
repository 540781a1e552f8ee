r"""Stage `sweep_table`: what was tried of one model on one dataset, best first.

    results/D/M/sweep/CELL.json, sweep_trials.json -> results/D/M/sweep.json, sweep.md

Cells of the grid and trials of the search are the same thing, and a cell that both tried is one
row. The order is that of NDCG@10 on validation, over the seeds its mean; what was ended early
(pruned, or diverged) comes last. Neither what is read nor what is written knows of test. Below
the table are the lines of params.yaml that take the best row over.

    python -m pipeline.experiments.sweep.table sample lightgcn results/sample/lightgcn
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.params import sweep_cells
from pipeline.tables.io import read_json, write_json, write_text

MEASURES = ("ndcg@10", "hr@10")
CELLS_FOLDER, TRIALS_FILE = "sweep", "sweep_trials.json"  # a file per cell in the folder
SWEEP_JSON, SWEEP_MD = "sweep.json", "sweep.md"
LAST = {"complete": 0, "pruned": 1, "diverged": 2}  # order of the table

Row = dict[str, Any]


def rows(found: list[tuple[str, dict[str, Any]]]) -> list[Row]:
    """Return a row for each combination of values, best first.

    Args:
        found: who found it (`grid`, `trial 3`), and the result of one cell.

    Returns:
        Rows with `values`, `state` (complete, pruned, diverged), `ndcg@10` and `hr@10` (means
        over the seeds, None unless complete), `runs` by seed and `found_by`.
    """
    groups: dict[str, Row] = {}
    for by, result in found:
        name = sweep_cells.Cell(result["values"], 0).name
        row = groups.setdefault(name, {"values": result["values"], "found_by": [], "runs": {}})
        if by not in row["found_by"]:
            row["found_by"].append(by)
        _take(row["runs"], result)
    done = [row | _summary(list(row["runs"].values())) for row in groups.values()]
    return sorted(done, key=_place)


def _take(runs: dict[str, Any], result: dict[str, Any]) -> None:
    """Add a run; of two with one seed, the one that came to its end stays."""
    seed = str(result["seed"])
    if seed not in runs or LAST[_state(result)] < LAST[_state(runs[seed])]:
        told = ("epoch", *MEASURES, "pruned", "diverged")
        runs[seed] = {key: result[key] for key in told if key in result}


def _state(run: dict[str, Any]) -> str:
    return next((state for state in ("diverged", "pruned") if state in run), "complete")


def _summary(runs: list[dict[str, Any]]) -> Row:
    state = max(map(_state, runs), key=LAST.__getitem__)
    if state != "complete":
        return {"state": state} | dict.fromkeys(MEASURES)
    means = {key: statistics.fmean(run[key] for run in runs) for key in MEASURES}
    return {"state": state} | means


def _place(row: Row) -> tuple[int, float, str]:
    # Names part equals, so that the order does not depend on who came first.
    return LAST[row["state"]], -(row["ndcg@10"] or 0.0), sweep_cells.Cell(row["values"], 0).name


def markdown(table: dict[str, Any]) -> str:
    """Return the table with what it says of the best row; see `gathered`."""
    budget = ", ".join(f"{key} {value}" for key, value in table["budget"].items())
    keys = list(table["ranges"])
    lines = [
        f"{table['dataset']}, {table['model']}: validation items among 99 sampled ones.",
        f"Test was not read. Budget of each run: {budget}.",
        f"Seeds: {', '.join(map(str, table['seeds']))}.",
        "",
        f"| | {' | '.join(keys)} | NDCG@10 | HR@10 | epoch | from |",
        f"| --- |{' ---: |' * len(keys)} ---: | ---: | ---: | --- |",
    ]
    for row in table["rows"]:
        values = [sweep_cells.text(row["values"][key]) for key in keys]
        mark = "**best**" if row["values"] == table["best"] else ""
        cells = [mark, *values, *_measured(row), ", ".join(row["found_by"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_advice(table)]) + "\n"


def _measured(row: Row) -> list[str]:
    runs = list(row["runs"].values())
    epochs = ", ".join(str(run.get("epoch") or run.get("pruned") or "-") for run in runs)
    if row["state"] != "complete":
        return [row["state"], "", epochs]
    return [*(_spread([run[key] for run in runs]) for key in MEASURES), epochs]


def _spread(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def _advice(table: dict[str, Any]) -> Iterator[str]:
    if table["best"] is None:
        yield "No run came to its end: there is nothing to take over."
        return
    yield "The best, as lines of `params.yaml`:"
    yield ""
    yield f"    {table['model']}:"
    yield f"      {table['paste']}"
    edges = [
        key for key, values in table["ranges"].items() if _at_edge(table["best"], key, values)
    ]
    if edges:
        yield ""
        yield f"At an end of its range, beyond which may be better ones: {', '.join(edges)}."


def _at_edge(best: dict[str, Any], key: str, values: list[Any]) -> bool:
    numbers = [value for value in values if isinstance(value, int | float)]
    return len(numbers) > 2 and best[key] in (min(numbers), max(numbers))


def gathered(
    settings: params.Params, dataset: str, model: str, found: list[tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    """Return the content of sweep.json: the rows, the best one's values, and how to keep it."""
    sweep, own = sweep_cells.declared(settings), settings.sections[model].get(dataset) or {}
    every = rows(found)
    best = every[0]["values"] if every and every[0]["state"] == "complete" else None
    layer = ", ".join(f"{k}: {sweep_cells.text(v)}" for k, v in (own | (best or {})).items())
    return {
        "dataset": dataset,
        "model": model,
        "selected_on": "validation ndcg@10 (sampled)",
        "budget": sweep.budget.model_dump(),
        "seeds": sweep.seeds,
        "ranges": sweep_cells.ranges(settings, dataset, model),
        "rows": every,
        "best": best,
        "paste": f"{dataset}: {{{layer}}}" if best else None,
    }


def read(settings: params.Params, dataset: str, model: str, folder: Path) -> Any:
    """Return `(who found it, result)` of every cell and trial that params.yaml declares.

    Raises:
        SchemaError: a file is absent, or is of another cell.
    """
    found = []
    for cell in sweep_cells.cells(settings, dataset, model):
        path = folder / CELLS_FOLDER / f"{cell.name}.json"
        result = read_json(path)
        if (result.get("values"), result.get("seed")) != (cell.values, cell.seed):
            raise SchemaError(f"{path}: expected the result of {cell.name}; remove the file")
        found.append(("grid", result))
    if sweep_cells.declared(settings).trials:
        for trial in read_json(folder / TRIALS_FILE)["trials"]:
            found += [(f"trial {trial['number']}", result) for result in trial["results"]]
    return found


def main(argv: list[str] | None = None) -> None:
    """Read, sort, write."""
    parse = parser(__doc__, "dataset", "model", "results")
    args = parse.parse_args(argv)
    settings = params.load()
    found = read(settings, args.dataset, args.model, args.results)
    table = gathered(settings, args.dataset, args.model, found)
    write_json(table, args.results / SWEEP_JSON)
    write_text(markdown(table), args.results / SWEEP_MD)


if __name__ == "__main__":
    run(main)
