"""The trainings of the section `study`, and which row of which table each of them fills.

A cell that two rows ask for is trained once: `mcln` with its own number of layers is `mcln`,
and so is a row of another name whose settings are all the same.

With a budget that searches, a model's settings are those that its sweep found best on
validation: the search of the paper's section 4.1.4. A variant that is not swept itself takes
what was found for the model it is a variant of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pipeline.job.errors import ParamsError
from pipeline.params.cell import Cell, Values, changed, check_models, check_unique, text
from pipeline.params.experiments import Grid, StudyBudget
from pipeline.params.model_section import Model
from pipeline.params.models import ARCHITECTURES
from pipeline.params.typed_file import Params

FOLDER = "study"  # below results/<dataset>


@dataclass(frozen=True)
class Row:
    """One row of a table, or one point of a figure."""

    model: str
    values: Values
    cells: tuple[Cell, ...]  # one per seed; of another row, where the settings are the same

    @property
    def label(self) -> str:
        """The row's name: `base_vt`, or `mcln, layers 2`."""
        changes = (f"{k.replace('_', ' ')} {text(value)}" for k, value in self.values.items())
        return ", ".join([self.model, *changes])


def budget(settings: Params) -> StudyBudget:
    """Return what the study may spend, or raise ParamsError if `study.budget` is unknown."""
    study = settings.study
    if study.budget not in study.budgets:
        raise ParamsError(
            f"params.yaml: study.budget: expected one of {list(study.budgets)}, got "
            f"{study.budget!r}"
        )
    return study.budgets[study.budget]


def searched(settings: Params, model: str) -> str | None:
    """Return the model whose sweep gives a model's settings; None if nothing is searched.

    Raises:
        ParamsError: neither the model nor the one it is a variant of is swept.
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


def tables(settings: Params, dataset: str) -> dict[str, list[Row]]:
    """Return `{table or grid: its rows}` of a dataset, in the file's order.

    Models that need a modality which the dataset lacks are left out, as in `tables`.

    Raises:
        ParamsError: no such table or budget, or a model does not take a value of a grid.
    """
    filled: dict[str, list[Row]] = {}
    trained = first_rows(settings, dataset)
    for table, rows in _rows(settings, dataset).items():
        for model, values in rows:
            swept = searched(settings, model)
            first, changes = trained[training_key(settings, dataset, model, values, swept)]
            cells = tuple(Cell(first, changes, seed) for seed in budget(settings).seeds)
            filled.setdefault(table, []).append(Row(model, values, cells))
    return filled


def first_rows(settings: Params, dataset: str) -> dict[str, tuple[str, Values]]:
    """Return `{training_key: model and changed settings of the first row that has it}`.

    Raises:
        ParamsError: as in `tables`.
    """
    if message := missing_table(settings):
        raise ParamsError(message)
    trained: dict[str, tuple[str, Values]] = {}
    for rows in _rows(settings, dataset).values():
        for model, values in rows:
            swept = searched(settings, model)
            key = training_key(settings, dataset, model, values, swept)
            trained.setdefault(key, (model, _without_own(settings, dataset, model, values)))
    return trained


def _rows(settings: Params, dataset: str) -> dict[str, list[tuple[str, Values]]]:
    """Return the model and the changed settings of each row of each table."""
    of_tables = {
        table: [(model, Values()) for model in settings.table(table, dataset)]
        for table in settings.study.tables
    }
    of_grids = {
        name: [
            (model, {grid.setting: value})
            for model in settings.possible(grid.models, dataset)
            for value in grid.values
        ]
        for name, grid in settings.study.grids.items()
    }
    return of_tables | of_grids


def _without_own(settings: Params, dataset: str, model: str, values: Values) -> Values:
    """Return the values that are not the model's own; all of them if those are searched."""
    if budget(settings).search:
        return values
    current = settings.model(model, dataset)
    return {key: value for key, value in values.items() if getattr(current, key) != value}


def training_key(
    settings: Params, dataset: str, model: str, values: Values, swept: str | None = None
) -> str:
    """Return a text that two rows share if and only if their trainings are the same.

    `swept` is what `searched` returned.
    """
    return json.dumps(
        [
            settings.architecture(model),
            model_settings(settings, dataset, model, values).model_dump(mode="json"),
            settings.model_modalities(model, dataset),
            swept,
            values if swept else None,
        ],
        sort_keys=True,
    )


def model_settings(settings: Params, dataset: str, model: str, values: Values) -> Model:
    """Return a model's settings on a dataset with some changed; see `cell.changed`."""
    return changed(settings.model(model, dataset), values, "study", f"{model} on {dataset}")


def cells(settings: Params, dataset: str) -> dict[str, Cell]:
    """Return `{name: cell}` of every training of a dataset, seed after seed."""
    if not is_possible(settings):
        return {}
    rows = [row for rows in tables(settings, dataset).values() for row in rows]
    by_seed = zip(*(row.cells for row in rows), strict=True)
    return {cell.name: cell for cells in by_seed for cell in cells}


def shown(settings: Params, dataset: str) -> dict[str, Cell]:
    """Return `{model: its cell with the first seed}` of the models whose lists are shown.

    These are the ones of `models`; all models of the tables if none of those is there.
    """
    rows = [row for rows in tables(settings, dataset).values() for row in rows]
    first = {row.model: row.cells[0] for row in rows if not row.values}
    return {model: first[model] for model in settings.models if model in first} or first


def is_possible(settings: Params) -> bool:
    """Return whether there is something to train, and all tables that it names exist."""
    study = settings.study
    return bool(study.tables or study.grids) and missing_table(settings) is None


def missing_table(settings: Params) -> str | None:
    """Return a message about a table that the study names and params.yaml lacks, or None.

    Nothing but the study needs the table, so only the study is refused.
    """
    for table in settings.study.tables:
        if table not in settings.tables:
            return (
                f"params.yaml: study.tables: no table {table!r}; expected some of "
                f"{sorted(settings.tables)}"
            )
    return None


def check(settings: Params) -> None:
    """Refuse a section that cannot be run on every dataset.

    Raises:
        ParamsError: an unknown model, setting or budget, a value that a model does not take, a
            name or value that is there twice, or a search of models that are not swept. A
            missing table is refused when the study is asked for.
    """
    study = settings.study
    if FOLDER in settings.tables:
        raise ParamsError(
            f"params.yaml: tables.{FOLDER}: the folder of the study has this name; rename it"
        )
    check_unique([*study.tables, *study.grids], "study.tables")
    for name, grid in study.grids.items():
        _check_grid(settings, f"study.grids.{name}", grid)
    if is_possible(settings):
        check_unique(budget(settings).seeds, f"study.budgets.{study.budget}.seeds")
        for dataset in settings.datasets:
            tables(settings, dataset)


def _check_grid(settings: Params, key: str, grid: Grid) -> None:
    check_models(grid.models, settings.sections, f"{key}.models")
    for model in grid.models:
        # A job's features are those of its model, so `modalities` cannot be changed.
        fields = ARCHITECTURES[settings.architecture(model)].model_fields.keys()
        expected = sorted(fields - {"modalities"})
        if grid.setting not in expected:
            raise ParamsError(
                f"params.yaml: {key}.setting: {model} has no setting {grid.setting!r} to "
                f"change; expected one of {expected}"
            )
    check_unique(grid.models, f"{key}.models")
    check_unique(grid.values, f"{key}.values")
