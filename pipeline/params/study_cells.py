"""The trainings of the section `study`, and which row of which table each of them fills.

A cell is a model, at most one of its settings changed, and a seed; its name,
`mcln__layers-2__seed-2023`, is that of its folder. A cell that two rows ask for is trained
once: `mcln` with its own number of layers is `mcln`, and so is a row of another name whose
settings are all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipeline.job.errors import ParamsError, SchemaError
from pipeline.params.cell import Cell, text
from pipeline.params.study import Budget
from pipeline.params.whole import Params

Values = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of a table, or one point of a figure."""

    model: str
    values: Values
    cells: tuple[Cell, ...]  # a seed each; of another row, where the settings are the same

    @property
    def label(self) -> str:
        """The row's name: `base_vt`, or `mcln, layers 2`."""
        changed = (
            f"{key.replace('_', ' ')} {text(value)}" for key, value in self.values.items()
        )
        return ", ".join([self.model, *changed])


def tables(settings: Params, dataset: str) -> dict[str, list[Row]]:
    """Return `{table or grid: its rows}` of a dataset, in the file's order.

    Left out are models that need a modality which the dataset lacks, as in `tables`.

    Raises:
        ParamsError: no such table or budget, or a model does not take a value of a grid.
    """
    study = settings.study
    if found_wrong := contradiction(settings):
        raise ParamsError(found_wrong)
    first: dict[str, tuple[str, Values]] = {}
    asked: dict[str, list[tuple[str, Values]]] = {
        table: [(model, {}) for model in settings.table(table, dataset)]
        for table in study.tables
    }
    for name, grid in study.grids.items():
        asked[name] = [
            (model, {grid.setting: value})
            for model in settings.possible(grid.models, dataset)
            for value in grid.values
        ]
    found: dict[str, list[Row]] = {}
    for table, rows in asked.items():
        found[table] = []
        for model, values in rows:
            key = _same(settings, dataset, model, values)
            own = first.setdefault(key, (model, _changed(settings, dataset, model, values)))
            cells = tuple(Cell(own[1], seed, own[0]) for seed in budget(settings).seeds)
            found[table].append(Row(model, values, cells))
    return {table: rows for table, rows in found.items() if rows}


def _changed(settings: Params, dataset: str, model: str, values: Values) -> Values:
    """Return the values that are not the model's own; all of them where those are searched."""
    if budget(settings).search:
        return values
    own = settings.model(model, dataset)
    return {key: value for key, value in values.items() if getattr(own, key) != value}


def _same(settings: Params, dataset: str, model: str, values: Values) -> str:
    """Return a text that two rows share if and only if their trainings are the same."""
    searched_on = searched(settings, model)
    return json.dumps(
        [
            settings.architecture(model),
            taken(settings, dataset, model, values).model_dump(mode="json"),
            settings.model_modalities(model, dataset),
            searched_on,
            values if searched_on else None,
        ],
        sort_keys=True,
    )


def taken(settings: Params, dataset: str, model: str, changes: dict[str, Any]) -> Any:
    """Return a model's settings on a dataset with some changed.

    Raises:
        ParamsError: the model does not take one of the values.
    """
    own = settings.model(model, dataset)
    try:
        return type(own).model_validate(own.model_dump() | changes)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]
        key = ".".join(map(str, said["loc"]))
        raise ParamsError(
            f"params.yaml: study: {model} on {dataset} does not take {key} {said['input']!r}: "
            f"{said['msg'][0].lower()}{said['msg'][1:]}"
        ) from None


def cells(settings: Params, dataset: str) -> dict[str, Cell]:
    """Return `{name: cell}` of every training of a dataset, seed after seed."""
    every = [
        cell
        for place in range(len(budget(settings).seeds) if is_asked(settings) else 0)
        for rows in tables(settings, dataset).values()
        for row in rows
        for cell in (row.cells[place],)
    ]
    return {cell.name: cell for cell in every}


def is_asked(settings: Params) -> bool:
    """Tell whether there is something to train, of which all tables are there."""
    study = settings.study
    return bool(study.tables or study.grids) and contradiction(settings) is None


def contradiction(settings: Params) -> str | None:
    """Return why the study cannot be made though everything else can; None if it can."""
    for table in settings.study.tables:
        if table not in settings.tables:
            return (
                f"params.yaml: study.tables: no table {table!r}; expected some of "
                f"{sorted(settings.tables)}"
            )
    return None


def shown(settings: Params, dataset: str) -> dict[str, Cell]:
    """Return `{model: training with the first seed}` of the models whose lists are shown.

    These are the ones of `models`; all of the first table if it has none of them.
    """
    rows = [row for rows in tables(settings, dataset).values() for row in rows]
    own = {row.model: row.cells[0] for row in rows if not row.values}
    return {m: own[m] for m in settings.models if m in own} or own


def cell(settings: Params, dataset: str, name: str) -> Cell:
    """Return the cell that has this name.

    Raises:
        ParamsError: none has.
    """
    found = cells(settings, dataset)
    if name not in found:
        such = f", such as {next(iter(found))}" if found else ""
        raise ParamsError(
            f"params.yaml: study: no cell {name!r} on {dataset}; expected one of "
            f"{len(found)}{such}"
        )
    return found[name]


def budget(settings: Params) -> Budget:
    """Return what the study may spend.

    Raises:
        ParamsError: `study.budget` names none of `study.budgets`.
    """
    study = settings.study
    if study.budget not in study.budgets:
        raise ParamsError(
            f"params.yaml: study.budget: expected one of {list(study.budgets)}, got "
            f"{study.budget!r}"
        )
    return study.budgets[study.budget]


def searched(settings: Params, model: str) -> str | None:
    """Return the model whose sweep gives a model's settings; None where nothing is searched.

    A variant that is not swept itself has what was found for the model it is a variant of.

    Raises:
        ParamsError: neither is swept.
    """
    if not budget(settings).search:
        return None
    swept = settings.sweep.models if settings.sweep else []
    for name in (model, settings.architecture(model)):
        if name in swept:
            return name
    raise ParamsError(
        f"params.yaml: study.budget: {settings.study.budget} searches each model's settings: "
        f"expected {settings.architecture(model)} in sweep.models, got {swept}"
    )


def changes(
    settings: Params, dataset: str, cell: Cell, sweep: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what a cell changes in its model's settings.

    Args:
        settings: the file params.yaml.
        dataset: where it is trained.
        cell: the training.
        sweep: content of the sweep.json that `searched` asks for; None where it asks for none.

    Raises:
        ParamsError: the budget searches and there is no sweep, or that of another model.
        SchemaError: no run of the sweep came to its end.
    """
    wanted, given = searched(settings, cell.model), sweep and sweep["model"]
    if wanted != given:
        raise ParamsError(
            f"params.yaml: study.budget: {cell.name} needs the sweep of {wanted}, got that of "
            f"{given}; give --sweep results/{dataset}/{wanted}/sweep.json"
        )
    if sweep is None:
        return dict(cell.values)
    if sweep["best"] is None:
        raise SchemaError(
            f"results/{dataset}/{wanted}/sweep.json: no run came to its end; widen "
            "sweep.ranges in params.yaml"
        )
    own = settings.model(cell.model, dataset)
    # What makes a variant a variant stays, such as M of the paper's own form.
    kept = set() if wanted == cell.model else set(settings.sections[cell.model]["default"])
    best = {k: v for k, v in sweep["best"].items() if hasattr(own, k) and k not in kept}
    return best | cell.values
