"""What the sections of params.yaml must agree on."""

from __future__ import annotations

from pipeline.job.errors import ParamsError
from pipeline.params import study, sweep
from pipeline.params.expand import taken
from pipeline.params.extractors import TABLE, Comparison
from pipeline.params.models import ARCHITECTURES, ContentModel
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
    sweep.check(settings)
    study.check(settings)


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
