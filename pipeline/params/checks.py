"""What the sections of params.yaml must agree on."""

from __future__ import annotations

from typing import Any

from pipeline.job.errors import ParamsError
from pipeline.params import study_cells, sweep_cells
from pipeline.params.cell import text
from pipeline.params.expand import taken
from pipeline.params.extractors import TABLE, Comparison
from pipeline.params.models import ARCHITECTURES, ContentModel
from pipeline.params.study import FOLDER, Grid
from pipeline.params.sweep import Sweep
from pipeline.params.whole import Params
from pipeline.params.yaml_file import unknown

# The fields of an item that can hold something, by the source's format; pipeline/sources.
AMAZON = ("raw_id", "title", "description", "image", "brand", "category")
FIELDS: dict[str, tuple[str, ...]] = {
    "sample": AMAZON,
    "amazon2014": AMAZON,
    "amazon2018": AMAZON,
    "amazon2023": AMAZON,
    "tianchi": ("raw_id", "image", "category", "title_tokens"),
    "published_split": ("raw_id", "title_tokens", "visual_tokens"),
}


def check(settings: Params) -> None:
    """Refuse a file that cannot be run on every dataset of `datasets`.

    Raises:
        ParamsError: the full key, what was expected and what is there.
    """
    _check_extractors(settings)
    if lost := sorted(settings.kcore.datasets.keys() - settings.sources.keys()):
        raise unknown("kcore.datasets", f"no dataset {lost[0]!r}", settings.sources, "a source")
    for dataset in settings.datasets:
        settings.source(dataset)
        for model in settings.models:
            settings.model(model, dataset)
        for table, models in settings.tables.items():
            if table in settings.sections:
                raise ParamsError(f"params.yaml: tables.{table}: a model has this name")
            settings.possible(models, dataset)
    _check_sweep(settings)
    _check_study(settings)


def _check_extractors(settings: Params) -> None:
    """Refuse what no edit of `features` would put right.

    Raises:
        ParamsError: an unknown dataset or model, or one without features; a field that the
            source lacks; a name that is taken; a model made here among `models` or `tables`.
    """
    if TABLE in settings.tables:
        raise ParamsError(
            f"params.yaml: tables.{TABLE}: expected another name; the folder "
            f"results/<dataset>/{TABLE} is that of the section `{TABLE}`"
        )
    made: dict[str, str] = {}
    for dataset, comparison in settings.extractors.items():
        _check_names(settings, dataset, comparison)
        _check_fields(settings, dataset, comparison)
        for name, model in zip(comparison.instead, comparison.models(), strict=True):
            if model in settings.sections or model in settings.tables:
                raise taken(dataset, name, f"{model}: a model or table has this name")
            if made.setdefault(model, comparison.model) != comparison.model:
                raise taken(dataset, name, f"{model}: another dataset's entry makes it")
    _check_not_listed(settings, made)


def _check_names(settings: Params, dataset: str, comparison: Comparison) -> None:
    key = f"params.yaml: {TABLE}.{dataset}"
    if dataset not in settings.sources:
        raise ParamsError(f"{key}: expected a dataset of {sorted(settings.sources)}")
    if comparison.model not in settings.sections:
        raise ParamsError(
            f"{key}.model: no model {comparison.model!r}; expected one of "
            f"{sorted(settings.sections)}"
        )
    if not issubclass(ARCHITECTURES[settings.architecture(comparison.model)], ContentModel):
        raise ParamsError(
            f"{key}.model: expected a model with features, got {comparison.model!r}"
        )


def _check_fields(settings: Params, dataset: str, comparison: Comparison) -> None:
    format_ = settings.source(dataset).format
    for name, feature in comparison.instead.items():
        fields = FIELDS.get(format_, (feature.field,))  # those of own tables are not known here
        if feature.field not in fields:
            raise ParamsError(
                f"params.yaml: {TABLE}.{dataset}.instead.{name}.field: expected one of "
                f"{sorted(fields)}, which {format_} has, got {feature.field!r}"
            )


def _check_not_listed(settings: Params, made: dict[str, str]) -> None:
    listed = {"models": settings.models} | {
        f"tables.{t}": m for t, m in settings.tables.items()
    }
    for key, models in listed.items():
        for model in models:
            if model in made:
                raise ParamsError(
                    f"params.yaml: {key}: expected models with a section of their own, got "
                    f"{model!r}, which only the comparison of `{TABLE}` has"
                )


def _check_sweep(settings: Params) -> None:
    """Refuse a section that cannot be run on every dataset.

    Raises:
        ParamsError: an unknown model, a value that a model does not take, a range that no model
            has, a name or value that is there twice, nothing to do, or too much.
    """
    if (sweep := settings.sweep) is None:
        return
    if sweep.cells == "none" and not sweep.trials:
        raise ParamsError(
            "params.yaml: sweep.trials: expected 1 or more where sweep.cells is none, got 0"
        )
    _check_once("sweep.models", sweep.models)
    _check_once("sweep.seeds", sweep.seeds)
    _check_ranges(settings, sweep)
    for dataset in settings.datasets:
        for model in sweep_cells.models(settings, dataset):
            tried = sweep_cells.ranges(settings, dataset, model)
            for key, values in tried.items():
                _check_once(f"sweep.ranges.{key}", values)
            sweep_cells.cells(settings, dataset, model)


def _check_ranges(settings: Params, sweep: Sweep) -> None:
    if "modalities" in sweep.ranges:
        raise ParamsError(
            "params.yaml: sweep.ranges.modalities: a job reads the features that the model has "
            "as it stands; sweep models of other names instead, such as base_v and base_t"
        )
    fields = {}
    for model in sweep.models:
        if model not in settings.sections:
            raise ParamsError(
                f"params.yaml: sweep.models: no model {model!r}; expected some of "
                f"{sorted(settings.sections)}"
            )
        fields[model] = ARCHITECTURES[settings.architecture(model)].model_fields.keys()
        if not fields[model] & sweep.ranges.keys():
            raise ParamsError(
                f"params.yaml: sweep.models: {model} has none of {list(sweep.ranges)}; leave "
                f"it out, or add a range of {sorted(fields[model])}"
            )
    for key in sweep.ranges:
        if not any(key in own for own in fields.values()):
            raise ParamsError(
                f"params.yaml: sweep.ranges.{key}: none of {sweep.models} has this setting"
            )


def _check_study(settings: Params) -> None:
    """Refuse a section that cannot be run on every dataset.

    Raises:
        ParamsError: an unknown model, setting or budget, a value that a model does not take, a
            name or value that is there twice, or a search of models that are not swept. A
            table that is not there is refused when the study is asked for.
    """
    study = settings.study
    if FOLDER in settings.tables:
        raise ParamsError(
            f"params.yaml: tables.{FOLDER}: the folder of the study has this name; rename it"
        )
    _check_once("study.tables", [*study.tables, *study.grids])
    for name, grid in study.grids.items():
        _check_grid(settings, name, grid)
    if study_cells.is_asked(settings):
        budget = study_cells.budget(settings)
        _check_once(f"study.budgets.{study.budget}.seeds", budget.seeds)
        for dataset in settings.datasets:
            study_cells.tables(settings, dataset)


def _check_grid(settings: Params, name: str, grid: Grid) -> None:
    where = f"params.yaml: study.grids.{name}"
    for model in grid.models:
        if model not in settings.sections:
            raise ParamsError(
                f"{where}.models: no model {model!r}; expected some of "
                f"{sorted(settings.sections)}"
            )
        kind = ARCHITECTURES[settings.architecture(model)]
        if grid.setting not in kind.model_fields or grid.setting == "modalities":
            # A job's features are those of its model.
            expected = sorted(kind.model_fields.keys() - {"modalities"})
            raise ParamsError(
                f"{where}.setting: {model} has no setting {grid.setting!r} to change; expected "
                f"one of {expected}"
            )
    _check_once(f"study.grids.{name}.models", grid.models)
    _check_once(f"study.grids.{name}.values", grid.values)


def _check_once(key: str, values: list[Any]) -> None:
    written = [text(value) for value in values]
    for value in written:
        if written.count(value) > 1:
            raise ParamsError(f"params.yaml: {key}: {value} is there twice")
