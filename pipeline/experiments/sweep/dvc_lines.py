"""The cells of the section `sweep` as DVC experiments: prints a command for each.

    params.yaml -> lines of `dvc exp run --queue ...`, for `sh`

Each line sets a cell's values where they take effect (the dataset's layer of a model is over
its default) and puts `sweep.budget` in place of the same keys of `train`. Only cells with the
file's `seed` are printed: in an experiment another seed would be another split. DVC builds
`models` alone, so the model has to be among them. An experiment measures on test as well;
workflow/README.md shows how to sort them by validation.

    python -m pipeline.experiments.sweep.dvc_lines sample mcln | sh
"""

from __future__ import annotations

import logging
import shlex

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.params import sweep
from pipeline.params.cell import Cell, text

log = logging.getLogger("dvc_lines")


def lines(settings: params.Params, dataset: str, model: str) -> list[str]:
    """Return a command for each cell that can be an experiment.

    Raises:
        ParamsError: DVC does not build this, or no cell has the file's seed.
    """
    for key, name in (("datasets", dataset), ("models", model)):
        if name not in (names := getattr(settings, key)):
            raise ParamsError(
                f"params.yaml: {key}: expected {name!r} among them, since DVC builds no "
                f"others; got {names}"
            )
    cells = sweep.cells(settings, dataset, model)
    queued = [cell for cell in cells if cell.seed == settings.seed]
    if not queued:
        raise ParamsError(
            f"params.yaml: sweep: no cell of {model} on {dataset} has the file's seed, "
            f"{settings.seed}; see sweep.seeds and sweep.cells"
        )
    if len(queued) < len(cells):
        log.info("%d cells with other seeds are left out", len(cells) - len(queued))
    return [_line(settings, dataset, cell) for cell in queued]


def _line(settings: params.Params, dataset: str, cell: Cell) -> str:
    changes = {_key(settings, dataset, cell.model, k): text(v) for k, v in cell.values.items()}
    budget = sweep.section(settings).budget.model_dump()
    changes |= {f"train.{key}": value for key, value in budget.items()}
    name = f"{dataset}-{cell.model}-{cell.short_name}"
    options = [word for key, value in changes.items() for word in ("-S", f"{key}={value}")]
    return shlex.join(["dvc", "exp", "run", "--queue", "--name", name, *options])


def _key(settings: params.Params, dataset: str, model: str, setting: str) -> str:
    """Return the key of params.yaml that decides a setting, after + if it is not there."""
    section = settings.sections[model]
    layer = dataset if setting in (section.get(dataset) or {}) else "default"
    is_there = setting in (section.get(layer) or {})
    return f"{'' if is_there else '+'}{model}.{layer}.{setting}"


def main(argv: list[str] | None = None) -> None:
    """Print the commands."""
    args = parser(__doc__, "dataset", "model").parse_args(argv)
    print("\n".join(lines(params.load(), args.dataset, args.model)))


if __name__ == "__main__":
    run(main)
