r"""Train the runs that a file lists, under one budget, and measure them on validation alone.

    GRID (YAML), data/processed/D, data/features/D -> OUT (JSON), and a table beside it (.md)

A grid has a budget, seeds, and for each run its model and what differs from params.yaml:

    budget: {epochs: 40, evaluate_every: 5, patience: 4}
    seeds: [2023]
    runs:
      plain: {model: base_vt, lr: 0.005}
      gated: {model: mcln, lr: 0.005, gate: 0.01}

Each run learns from train without the validation items and is measured on the validation
candidates. Test is never read. OUT is written after every run; a run that it already holds is
skipped, so an interrupted search resumes.

    python -m pipeline.experiments.sweep.grid beauty_split docs/experiments/forms.yaml \
        data/processed/beauty_split data/features/beauty_split forms.json
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field, ValidationError

from model.measures import SELECT_BY
from pipeline import params
from pipeline.experiments.sweep.table import spread
from pipeline.experiments.trial import Trial, validated
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.pages import markdown_table
from pipeline.params.cell import Cell
from pipeline.params.experiments import Budget
from pipeline.tables.io import read_json, write_json, write_text
from pipeline.train import Trainer

log = logging.getLogger("grid")
SHOWN = ("ndcg@10", "hr@10")


class Grid(params.Section):
    """The whole file."""

    budget: Budget
    seeds: Annotated[list[int], Field(min_length=1)]
    runs: dict[params.Name, dict[str, Any]]  # `model`, and the settings that differ

    def trials(self) -> dict[str, Trial]:
        """Return `{RUN/SEED: trial}`, seed after seed."""
        return {
            f"{name}/{seed}": Trial(name, _cell(changes, seed), self.budget)
            for seed in self.seeds
            for name, changes in self.runs.items()
        }


def _cell(changes: Mapping[str, Any], seed: int) -> Cell:
    return Cell(changes["model"], {k: v for k, v in changes.items() if k != "model"}, seed)


def read_grid(path: Path) -> Grid:
    """Read and check a grid.

    Raises:
        ParamsError: the file is absent, is not YAML, or a key is unknown or missing.
    """
    try:
        grid = Grid.model_validate(params.read(path))
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(map(str, p['loc']))}: {p['msg']}, got {p['input']!r}"
            for p in error.errors(include_url=False)
        ]
        raise ParamsError("\n".join(problems)) from None
    for name, changes in grid.runs.items():
        if "model" not in changes:
            raise ParamsError(f"{path}: runs.{name}: expected a key `model`, got {changes}")
    return grid


def _selected_by(result: Mapping[str, Any]) -> str:
    """Return what chose a run's epoch; files from before it could be set do not say it."""
    return str(result.get("selected_by", SELECT_BY))


def _value(result: Mapping[str, Any]) -> float:
    return float(result.get("value", result["ndcg@10"]))


def markdown(table: Mapping[str, Any]) -> str:
    """Return the runs as a table, best first, mean and standard deviation over the seeds."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for key, result in table["runs"].items():
        runs.setdefault(key.rsplit("/", 1)[0], []).append(result)
    lines = [
        f"{table['dataset']}: validation items among {table['negatives']} sampled ones, one "
        "budget for all runs:",
        ", ".join(f"{key} {value}" for key, value in table["budget"].items()) + ".",
        "",
    ]
    rows = []
    chosen = dict.fromkeys(_selected_by(result) for result in table["runs"].values())
    extra = [metric for metric in chosen if metric != SELECT_BY]
    for name, results in sorted(runs.items(), key=lambda run: -fmean(map(_value, run[1]))):
        values = [spread(list(map(_value, results)))] if extra else []
        values += [spread([result[name] for result in results]) for name in SHOWN]
        epochs = ", ".join(str(result["epoch"]) for result in results)
        changes = ", ".join(f"{k} {v}" for k, v in table["grid"].get(name, {}).items())
        rows.append([name, changes, *values, f"{len(results)}", epochs])
    measured = [*([", ".join(extra)] if extra else []), "NDCG@10", "HR@10"]
    head = ["run", "what differs", *measured, "seeds", "best epoch"]
    alignment = f"ll{'r' * (len(head) - 2)}"
    return "\n".join([*lines, *markdown_table.lines(head, rows, alignment)]) + "\n"


def _begun(out: Path, negatives: int) -> dict[str, Any]:
    """Return the results so far.

    Raises:
        ParamsError: they were measured with another number of negatives.
    """
    if not out.exists():
        return {"runs": {}, "negatives": negatives}
    table: dict[str, Any] = read_json(out)
    # Files that were written before the number could be set do not have it.
    if (measured := table.setdefault("negatives", 99)) != negatives:
        raise ParamsError(
            f"{out}: expected runs measured among {negatives} sampled items "
            f"(evaluate.candidates in params.yaml), got {measured}; name another file"
        )
    return table


def main(argv: list[str] | None = None) -> None:
    """Train the runs that are missing."""
    parse = parser(__doc__, "dataset", "--device", "--threads")
    parse.add_argument("grid", type=Path, help="YAML file of the runs")
    parse.add_argument("processed", type=Path, help="folder of the processed tables")
    parse.add_argument("features", type=Path, help="folder of the features")
    parse.add_argument("out", type=Path, help="JSON file to write, or to resume")
    args = parse.parse_args(argv)
    use_threads(args.threads)
    grid = read_grid(args.grid)
    negatives = params.load().of(args.dataset).evaluate.candidates
    raw, budget = params.read(), grid.budget.model_dump()
    trials = grid.trials()
    # All at once, so that a wrong run is refused before the first is trained.
    settings = {key: trial.settings(raw, args.dataset) for key, trial in trials.items()}
    table = _begun(args.out, negatives)
    table |= {"dataset": args.dataset, "budget": budget, "grid": grid.runs}
    for key, trial in trials.items():
        wanted = settings[key].model(trial.name, args.dataset).model_dump(mode="json")
        done = table["runs"].get(key)
        select_by = settings[key].train.select_by
        known = done and (done["settings"], done["budget"], _selected_by(done))
        if known == (wanted, budget, select_by):
            continue
        folders = args.processed, args.features, args.out.parent
        job = Arguments(args.dataset, trial.name, *folders, args.device)
        table["runs"][key] = validated(Trainer(job, settings[key]))
        log.info("%s: %s", key, {k: table["runs"][key][k] for k in ("epoch", "value")})
        write_json(table, args.out)
        write_text(markdown(table), args.out.with_suffix(".md"))


if __name__ == "__main__":
    run(main)
