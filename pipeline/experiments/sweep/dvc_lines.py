"""The cells of the section `sweep` as experiments of DVC: prints a command for each.

    params.yaml -> lines of `dvc exp run --queue ...`, for `sh`

Each line sets a cell's values where they count (the dataset's layer of a model is over its
default) and puts `sweep.budget` in place of the same keys of `train`. Only cells of the file's
own `seed`: in an experiment another seed would be another split. DVC builds `models` alone, and
so the model has to be among them. An experiment runs every stage, and so measures on test as
well; workflow/README.md sorts them by validation.

    python -m pipeline.experiments.sweep.dvc_lines sample mcln | sh
"""

from __future__ import annotations

import logging
import shlex

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.params import sweep_cells
from pipeline.params.cell import Cell, text

log = logging.getLogger("sweep_lines")


def lines(settings: params.Params, dataset: str, model: str) -> list[str]:
    """Return a command for each cell that an experiment can be.

    Args:
        settings: the validated parameters.
        dataset: one of `datasets`.
        model: one of `sweep.models` that is among `models`.

    Raises:
        ParamsError: DVC does not build this, or there is no cell with the file's seed.
    """
    for key, name, names in (
        ("datasets", dataset, settings.datasets),
        ("models", model, settings.models),
    ):
        if name not in names:
            raise ParamsError(
                f"params.yaml: {key}: expected {name!r} among them, since DVC builds no "
                f"others; got {names}"
            )
    cells = sweep_cells.cells(settings, dataset, model)
    own = [cell for cell in cells if cell.seed == settings.seed]
    if not own:
        raise ParamsError(
            f"params.yaml: sweep: no cell of {model} on {dataset} has the file's seed, "
            f"{settings.seed}; see sweep.seeds and sweep.cells"
        )
    if len(own) < len(cells):
        log.info("%d cells of other seeds are left out", len(cells) - len(own))
    return [_line(settings, dataset, model, cell) for cell in own]


def _line(settings: params.Params, dataset: str, model: str, cell: Cell) -> str:
    budget = sweep_cells.declared(settings).budget.model_dump()
    changes = [
        _place(settings, dataset, model, key) + f"={text(v)}" for key, v in cell.values.items()
    ]
    changes += [f"train.{key}={value}" for key, value in budget.items()]
    words = ["dvc", "exp", "run", "--queue", "--name", f"{dataset}-{model}-{cell.name}"]
    return shlex.join([*words, *(word for change in changes for word in ("-S", change))])


def _place(settings: params.Params, dataset: str, model: str, key: str) -> str:
    """Return the key of params.yaml that decides a setting, with + where it is not there."""
    section = settings.sections[model]
    layer = dataset if key in (section.get(dataset) or {}) else "default"
    there = key in (section.get(layer) or {})
    return f"{'' if there else '+'}{model}.{layer}.{key}"


def main(argv: list[str] | None = None) -> None:
    """Print the commands."""
    parse = parser(__doc__, "dataset", "model")
    args = parse.parse_args(argv)
    print("\n".join(lines(params.load(), args.dataset, args.model)))


if __name__ == "__main__":
    run(main)
