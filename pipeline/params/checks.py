"""The checks across sections of params.yaml: that they refer to what there is."""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline.job.errors import ParamsError
from pipeline.params import benchmark, expand, study, sweep, tune
from pipeline.params.extractors import TABLE, Comparison
from pipeline.params.model_section import ContentModel
from pipeline.params.models import ARCHITECTURES
from pipeline.params.sources import WITH_SPLIT, InterSource
from pipeline.params.tokens import VisualWords
from pipeline.params.typed_file import File, Params

# The fields of an item that can hold something, by the source's format; see pipeline/sources.
AMAZON = ("raw_id", "title", "description", "image", "brand", "category")
FIELDS: dict[str, tuple[str, ...]] = {
    "sample": AMAZON,
    "amazon2014": AMAZON,
    "amazon2018": AMAZON,
    "amazon2023": AMAZON,
    "tianchi": ("raw_id", "image", "category", "title_tokens"),
    "published_split": ("raw_id", "title_tokens", "visual_tokens"),
    "inter": ("raw_id",),
}


def check(settings: Params) -> None:
    """Refuse a file that cannot be run on one of its datasets.

    Raises:
        ParamsError: a dataset, model or table that does not exist, a value that a model does
            not take, or a modality that a dataset lacks.
    """
    for dataset in settings.tokens:
        settings.source(dataset)
    for dataset, stages in settings.own_stages.items():
        has_split = settings.sources[dataset].format in WITH_SPLIT
        if has_split and stages.get("split", settings.split) != settings.split:
            raise ParamsError(
                f"params.yaml: split.datasets.{dataset}: expected no entry, since the files of "
                f"{dataset} say which part an interaction belongs to; leave it out"
            )
    for dataset in settings.datasets:
        settings.source(dataset)
        _check_downloaded(settings, dataset)
        _check_tokens(settings, dataset)
        for model in settings.models:
            settings.model(model, dataset)
        _check_tables(settings, dataset)
        if settings.deploy.model:
            settings.typed_model(settings.deploy.model, dataset)
        for model, expanded in settings.expanded.items():
            if dataset in expanded.settings:
                settings.typed_model(model, dataset)
    sweep.check(settings)
    tune.check(settings)
    study.check(settings)
    benchmark.check(settings)


def _check_tokens(settings: Params, dataset: str) -> None:
    """Refuse tokens of a field that the dataset lacks, or with a taken name."""
    source = settings.source(dataset)
    for kind, tokens in settings.dataset_tokens(dataset).items():
        key = f"params.yaml: tokens.{dataset}.{kind}"
        if kind in settings.every_feature(dataset):
            raise ParamsError(f"{key}: expected another name; a feature has this one")
        if isinstance(tokens, VisualWords):
            continue
        # The fields of own tables are not known here.
        available = FIELDS.get(source.format, (tokens.field,))
        if tokens.field not in available:
            raise ParamsError(
                f"{key}.field: expected one of {sorted(available)}, got {tokens.field!r}"
            )


def _check_downloaded(settings: Params, dataset: str) -> None:
    """Refuse the feature of a published benchmark whose file the download does not bring."""
    source = settings.source(dataset)
    if not isinstance(source, InterSource):
        return
    brought = {PurePosixPath(name).name for name in source.files}
    for modality, feature in settings.dataset_features(dataset).items():
        for key in ("path", "ids"):
            path = PurePosixPath(getattr(feature, key, None) or "")
            if path.is_relative_to(f"data/raw/{dataset}") and path.name not in brought:
                raise ParamsError(
                    f"params.yaml: features.{dataset}.{modality}.{key}: expected a file that "
                    f"sources.{dataset}.files names, got {path.name!r}; add it there"
                )


def _check_tables(settings: Params, dataset: str) -> None:
    for table, models in settings.tables.items():
        if table in settings.sections:
            raise ParamsError(f"params.yaml: tables.{table}: a model has this name")
        for model in models:
            settings.typed_model(model, dataset)


def check_comparisons(file: File) -> None:
    """Refuse comparisons of extractors that no edit of `features` would make possible.

    Raises:
        ParamsError: an unknown dataset or model, or one without features; a field that the
            source lacks; a name that is taken; a model made here among `models` or `tables`.
    """
    if TABLE in file.tables:
        raise ParamsError(
            f"params.yaml: tables.{TABLE}: expected another name; the folder "
            f"results/<dataset>/{TABLE} is that of the section `{TABLE}`"
        )
    made: dict[str, str] = {}
    for dataset, comparison in file.extractors.items():
        _check_references(file, dataset, comparison)
        for name, model in zip(comparison.instead, comparison.models(), strict=True):
            reason = None
            if model in file.sections or model in file.tables:
                reason = "a model or table has this name"
            elif made.setdefault(model, comparison.model) != comparison.model:
                reason = "another dataset's entry makes it"
            if reason:
                raise ParamsError(expand.taken(dataset, name, f"{model}: {reason}"))
    lists = {"models": file.models} | {f"tables.{t}": m for t, m in file.tables.items()}
    for key, models in lists.items():
        for model in models:
            if model in made:
                raise ParamsError(
                    f"params.yaml: {key}: expected models with a section of their own, got "
                    f"{model!r}, which only the comparison of `{TABLE}` has"
                )


def _check_references(file: File, dataset: str, comparison: Comparison) -> None:
    """Refuse a dataset, model or field that does not exist."""
    key, model = f"params.yaml: {TABLE}.{dataset}", comparison.model
    if dataset not in file.sources:
        raise ParamsError(f"{key}: expected a dataset of {sorted(file.sources)}")
    if model not in file.sections:
        raise ParamsError(
            f"{key}.model: no model {model!r}; expected one of {sorted(file.sections)}"
        )
    architecture = ARCHITECTURES[expand.architecture(model, file.sections[model])]
    if not issubclass(architecture, ContentModel):
        raise ParamsError(f"{key}.model: expected a model with features, got {model!r}")
    source_format = file.sources[dataset].format
    for name, feature in comparison.instead.items():
        # The fields of own tables are not known here.
        fields = FIELDS.get(source_format, (feature.field,))
        if feature.field not in fields:
            raise ParamsError(
                f"{key}.instead.{name}.field: expected one of {sorted(fields)}, which "
                f"{source_format} has, got {feature.field!r}"
            )
