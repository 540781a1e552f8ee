r"""Try settings of models under one budget, on validation alone.

    GRID (YAML), data/processed/D, data/features/D -> OUT (JSON), and a table beside it (.md)

A grid says the budget, the seeds, and for each run its model and what differs from
params.yaml:

    budget: {epochs: 40, evaluate_every: 5, patience: 4}
    seeds: [2023]
    runs:
      plain: {model: base_vt, lr: 0.005}
      gated: {model: mcln, lr: 0.005, gate: 0.01}

Each run learns from train without the validation items and is measured on the validation
candidates. Test is never read. OUT is written after every run, and what it holds already is
not run again, so a search that was stopped goes on.

    python -m pipeline.experiments.sweep.grid beauty_split docs/experiments/forms.yaml \
        data/processed/beauty_split data/features/beauty_split forms.json
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from pipeline import params
from pipeline.experiments.trial import measured, settings_of
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.pages import markdown_table
from pipeline.params.cell import Cell
from pipeline.params.sweep import Budget
from pipeline.tables.io import read_json, write_json, write_text
from pipeline.train import Trainer

log = logging.getLogger("search")


class Grid(params.Section):
    """The whole file."""

    budget: Budget
    seeds: Annotated[list[int], Field(min_length=1)]
    runs: dict[params.Name, dict[str, Any]]  # `model`, and the settings that differ


def read_grid(path: Path) -> Grid:
    """Read and check a grid.

    Raises:
        ParamsError: the file is absent, is not YAML, or a key is unknown or missing.
    """
    try:
        grid = Grid.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: expected YAML, got {error}") from None
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


def markdown(found: Mapping[str, Any]) -> str:
    """Return the runs as a table, best first, mean and standard deviation over the seeds."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for key, result in found["runs"].items():
        rows.setdefault(key.rsplit("/", 1)[0], []).append(result)
    lines = [
        f"{found['dataset']}: validation items among 99 sampled ones, one budget for all runs:",
        ", ".join(f"{key} {value}" for key, value in found["budget"].items()) + ".",
        "",
    ]
    head = ["run", "what differs", "NDCG@10", "HR@10", "seeds", "best epoch"]
    table = []
    for name, results in sorted(rows.items(), key=lambda row: -_mean(row[1], "ndcg@10")):
        ndcg, hr = (_spread(results, measure) for measure in ("ndcg@10", "hr@10"))
        epochs = ", ".join(str(result["epoch"]) for result in results)
        changes = ", ".join(f"{k} {v}" for k, v in found["grid"].get(name, {}).items())
        table.append([name, changes, ndcg, hr, str(len(results)), epochs])
    return "\n".join([*lines, *markdown_table.lines(head, table, "llrrrr")]) + "\n"


def _mean(results: list[dict[str, Any]], measure: str) -> float:
    return statistics.fmean(result[measure] for result in results)


def _spread(results: list[dict[str, Any]], measure: str) -> str:
    text = f"{_mean(results, measure):.4f}"
    if len(results) > 1:
        text += f" ± {statistics.stdev(result[measure] for result in results):.4f}"
    return text


def _changes(run: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != "model"}


def main(argv: list[str] | None = None) -> None:
    """Run what is not there yet."""
    parse = parser(__doc__, "dataset", "--device", "--threads")
    parse.add_argument("grid", type=Path, help="YAML file of the runs")
    parse.add_argument("processed", type=Path, help="folder of the processed tables")
    parse.add_argument("features", type=Path, help="folder of the features")
    parse.add_argument("out", type=Path, help="JSON file to write, or to go on with")
    args = parse.parse_args(argv)
    use_threads(args.threads)
    grid = read_grid(args.grid)
    params.load()  # for its messages
    raw = params.read()
    jobs = {
        f"{name}/{seed}": settings_of(
            raw, args.dataset, name, Cell(_changes(run), seed, run["model"]), grid.budget
        )
        for seed in grid.seeds
        for name, run in grid.runs.items()
    }
    found = read_json(args.out) if args.out.exists() else {"runs": {}}
    found |= {"dataset": args.dataset, "budget": grid.budget.model_dump(), "grid": grid.runs}
    for key, settings in jobs.items():
        name = key.rsplit("/", 1)[0]
        wanted = settings.model(name, args.dataset).model_dump(mode="json")
        done = found["runs"].get(key)
        if done and (done["settings"], done["budget"]) == (wanted, found["budget"]):
            continue
        arguments = Arguments(
            args.dataset, name, args.processed, args.features, args.out.parent, args.device
        )
        found["runs"][key] = measured(Trainer(arguments, settings))
        log.info("%s: %s", key, {k: found["runs"][key][k] for k in ("epoch", "ndcg@10")})
        write_json(found, args.out)
        write_text(markdown(found), args.out.with_suffix(".md"))


if __name__ == "__main__":
    run(main)
