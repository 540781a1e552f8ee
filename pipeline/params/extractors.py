"""The section `extractors`: one model of a dataset, on several extractors in turn.

    extractors.<dataset>: {model: vbpr, modality: visual, instead: {resnet50: {...}}}

Each name below `instead` makes a feature, `visual_resnet50`, and a model, `vbpr_resnet50`:
`vbpr` with that feature in place of `visual`. Only their comparison asks for them: they are
not among `modalities: all`, and DVC, whose matrix is `datasets` x `modalities`, has none.

An entry that `features` contradicts is left out, like the row of a table that needs a modality
which the dataset lacks; who asks for the comparison is told why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.job.errors import ParamsError
from pipeline.params.features import Feature
from pipeline.params.features import Settings as FeatureSettings
from pipeline.params.models import ARCHITECTURES, KEYED_BY_MODALITY, ContentModel, Model
from pipeline.params.section import Name, Section
from pipeline.params.yaml_file import unknown

if TYPE_CHECKING:
    from pipeline.params import Params

TABLE = "extractors"  # the comparison's name among the tables, and its folder

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


class Swap(Section):
    """What a dataset's comparison of extractors consists of."""

    model: Name  # whose settings every row has
    modality: Name  # of those that the model reads, the one that is swapped
    instead: Annotated[dict[Name, Feature], Field(min_length=1)]

    def features(self) -> dict[str, FeatureSettings]:
        """Return `{feature: settings}` of what takes the modality's place."""
        return {f"{self.modality}_{name}": own for name, own in self.instead.items()}

    def models(self) -> dict[str, str]:
        """Return `{model: the feature that it reads instead}`."""
        return {f"{self.model}_{n}": f"{self.modality}_{n}" for n in self.instead}

    def applied(self, settings: Model, read: list[str], feature: str) -> Model:
        """Return the model's settings with `feature` in the modality's place.

        Args:
            settings: of `model` on the dataset.
            read: its modalities, in its order, which is kept.
            feature: one of `features`.
        """

        def renamed(modality: str) -> str:
            return feature if modality == self.modality else modality

        changes: dict[str, object] = {"modalities": [renamed(one) for one in read]}
        for name in KEYED_BY_MODALITY:
            value = getattr(settings, name, None)
            if isinstance(value, dict):
                changes[name] = {renamed(key): one for key, one in value.items()}
        return settings.model_copy(update=changes)


def check(settings: Params) -> None:
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
    for dataset, swap in settings.extractors.items():
        _check_names(settings, dataset, swap)
        _check_fields(settings, dataset, swap)
        for name, model in zip(swap.instead, swap.models(), strict=True):
            if model in settings.sections or model in settings.tables:
                raise _taken(dataset, name, f"{model}: a model or table has this name")
            if made.setdefault(model, swap.model) != swap.model:
                raise _taken(dataset, name, f"{model}: another dataset's entry makes it")
    _check_not_listed(settings, made)


def contradiction(settings: Params, dataset: str) -> str | None:
    """Return what keeps a dataset's entry from being compared, or None if nothing does."""
    swap, own = settings.extractors[dataset], settings.dataset_features(dataset)
    key = f"params.yaml: {TABLE}.{dataset}"
    if swap.modality not in own:
        return (
            f"{key}.modality: {swap.modality!r} is not in features.{dataset}, which has "
            f"{sorted(own)}"
        )
    try:
        read = settings.model_modalities(swap.model, dataset)
    except ParamsError as error:
        return str(error)
    if swap.modality not in read:
        return (
            f"{key}.modality: expected one that {swap.model} reads on {dataset}, which are "
            f"{read}, got {swap.modality!r}"
        )
    for name, feature in zip(swap.instead, swap.features(), strict=True):
        if feature in own or feature in settings.modalities:
            return str(_taken(dataset, name, f"{feature}: `features` or `modalities` has it"))
    # Or `evaluate` would have to fetch them for a comparison that it does not make.
    pictures_are_read = any(one.field == "image" for one in own.values())
    for name, one in swap.instead.items():
        if one.field == "image" and not pictures_are_read:
            return (
                f"{key}.instead.{name}.field: no picture is fetched, since none of "
                f"features.{dataset} reads `image`; let one of them read it"
            )
    return None


def settings_of(settings: Params, model: str, dataset: str) -> Model:
    """Return the settings of a model that an entry makes.

    Raises:
        ParamsError: the dataset has no such entry, or one that does not make this model.
    """
    swap = settings.swap(dataset)
    if model not in swap.models():
        raise unknown(f"{TABLE}.{dataset}", f"no model {model!r}", swap.models(), "it there")
    read = settings.model_modalities(swap.model, dataset)
    return swap.applied(settings.model(swap.model, dataset), read, swap.models()[model])


def _check_names(settings: Params, dataset: str, swap: Swap) -> None:
    key = f"params.yaml: {TABLE}.{dataset}"
    if dataset not in settings.sources:
        raise ParamsError(f"{key}: expected a dataset of {sorted(settings.sources)}")
    if swap.model not in settings.sections:
        raise ParamsError(
            f"{key}.model: no model {swap.model!r}; expected one of {sorted(settings.sections)}"
        )
    if not issubclass(ARCHITECTURES[settings.architecture(swap.model)], ContentModel):
        raise ParamsError(f"{key}.model: expected a model with features, got {swap.model!r}")


def _check_fields(settings: Params, dataset: str, swap: Swap) -> None:
    format_ = settings.source(dataset).format
    for name, feature in swap.instead.items():
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


def _taken(dataset: str, name: str, what: str) -> ParamsError:
    return ParamsError(
        f"params.yaml: {TABLE}.{dataset}.instead.{name}: expected another name; it makes {what}"
    )
