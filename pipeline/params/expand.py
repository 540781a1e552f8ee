"""From the layers of params.yaml to one plain section per model, before the file is typed.

    mcln: {default: {dim: 64, layers: 4}, art: {layers: 5}}
    base: {default: {variant_of: mcln, intra: false}}

makes of `base` the architecture `mcln` with {dim: 64, layers: 4, intra: false} on `sample` and
{dim: 64, layers: 5, intra: false} on `art`. Entries of `extractors` make further models. Values
are validated when they are looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.job.errors import ParamsError
from pipeline.params.extractors import TABLE, Comparison
from pipeline.params.features import Settings as FeatureSettings
from pipeline.params.model_section import KEYED_BY_MODALITY
from pipeline.params.models import ARCHITECTURES

Layers = Mapping[str, Mapping[str, Any]]  # {"default" or dataset: settings}
DatasetFeatures = Mapping[str, FeatureSettings]  # {modality: settings}


@dataclass(frozen=True)
class ExpandedModel:
    """A model whose settings refer to nothing else."""

    architecture: str  # one of ARCHITECTURES: `mcln` for `base`, say
    settings: dict[str, dict[str, Any]]  # {dataset: all of them}


def check_layers(sections: Mapping[str, Any], sources: object) -> None:
    """Refuse what is not a model's section, and unknown keys in every layer.

    Args:
        sections: the keys of the file that belong to no stage.
        sources: the file's section `sources`, not validated yet.

    Raises:
        ParamsError: such a key, layer or setting.
    """
    allowed = {"default", *(sources if isinstance(sources, Mapping) else ())}
    for name, layers in sections.items():
        if not isinstance(layers, dict) or not (name in ARCHITECTURES or "default" in layers):
            raise ParamsError(
                f"params.yaml: {name}: unknown key; expected a stage's section or a model with "
                f"a `default`. Models are {sorted(ARCHITECTURES)}"
            )
        for layer, values in layers.items():
            where = f"params.yaml: {name}.{layer}"
            if layer not in allowed:
                raise ParamsError(
                    f"{where}: expected `default` or a dataset of `sources`, got {layer!r}"
                )
            if not isinstance(values, dict):
                raise ParamsError(f"{where}: expected a mapping, got {values!r}")
        _check_keys(name, layers)


def _check_keys(name: str, layers: Layers) -> None:
    parent = architecture(name, layers)
    if not isinstance(parent, str) or parent not in ARCHITECTURES:
        raise ParamsError(
            f"params.yaml: {name}.default: expected `variant_of` to name one of "
            f"{sorted(ARCHITECTURES)}, got {layers['default'].get('variant_of')!r}"
        )
    fields = ARCHITECTURES[parent].model_fields
    for layer, values in layers.items():
        if unknown := sorted(values.keys() - fields.keys() - {"variant_of"}, key=str):
            raise ParamsError(
                f"params.yaml: {name}.{layer}.{unknown[0]}: unknown key; expected one of "
                f"{sorted(fields)}"
            )


def architecture(name: str, layers: Layers) -> Any:
    """Return what a model is a variant of; its own name if it is none."""
    parent = layers.get("default", {}).get("variant_of")
    return name if parent is None else parent


def merged(sections: Mapping[str, Layers], datasets: Iterable[str]) -> dict[str, ExpandedModel]:
    """Return every model with its settings on every dataset.

    From weak to strong: the parent's default, the parent's layer of the dataset, the model's
    own default, its own layer of the dataset.
    """
    models = {}
    for name, layers in sections.items():
        parent = architecture(name, layers)
        settings: dict[str, dict[str, Any]] = {dataset: {} for dataset in datasets}
        for dataset, values in settings.items():
            for section in (sections.get(parent, {}), layers):
                values |= {**section.get("default", {}), **section.get(dataset, {})}
            values.pop("variant_of", None)
        models[name] = ExpandedModel(parent, settings)
    return models


def compared(
    comparisons: Mapping[str, Comparison],
    models: Mapping[str, ExpandedModel],
    features: Mapping[str, DatasetFeatures],
    modalities: list[str],
) -> tuple[dict[str, ExpandedModel], dict[str, str]]:
    """Return the models that `extractors` makes, and `{dataset: why it is not compared}`.

    A comparison that `features` contradicts is left out, like the row of a table that needs a
    modality which the dataset lacks; whoever asks for it gets the reason.

    Args:
        comparisons: by dataset.
        models: what `merged` returned.
        features: by dataset.
        modalities: the section of that name.
    """
    made: dict[str, ExpandedModel] = {}
    reasons: dict[str, str] = {}
    for dataset, comparison in comparisons.items():
        base, available = models[comparison.model], features.get(dataset, {})
        settings = base.settings[dataset]
        # A value of another type is refused when it is looked up.
        value = settings.get("modalities")
        read = list(available) if value == "all" else value if isinstance(value, list) else []
        reason = _contradiction(dataset, comparison, read, available, modalities)
        if reason:
            reasons[dataset] = reason
        for name, feature in comparison.models().items():
            model = made.setdefault(name, ExpandedModel(base.architecture, {}))
            if not reason:
                model.settings[dataset] = _replaced(
                    settings, read, comparison.modality, feature
                )
    return made, reasons


def _replaced(
    settings: dict[str, Any], read: list[str], modality: str, feature: str
) -> dict[str, Any]:
    """Return a model's settings with `feature` in place of `modality`, in the same order."""

    def renamed(name: str) -> str:
        return feature if name == modality else name

    changes: dict[str, Any] = {"modalities": [renamed(name) for name in read]}
    for key in KEYED_BY_MODALITY:
        if isinstance(settings.get(key), dict):
            changes[key] = {renamed(name): value for name, value in settings[key].items()}
    return settings | changes


def _contradiction(
    dataset: str,
    comparison: Comparison,
    read: list[str],
    features: DatasetFeatures,
    modalities: list[str],
) -> str | None:
    """Return why a dataset's comparison is impossible, or None."""
    where, modality = f"params.yaml: {TABLE}.{dataset}", comparison.modality
    if modality not in features:
        return (
            f"{where}.modality: {modality!r} is not in features.{dataset}, which has "
            f"{sorted(features)}"
        )
    for name in read:
        if name not in features:
            return absent(comparison.model, dataset, name, features)
    if modality not in read:
        return (
            f"{where}.modality: expected one that {comparison.model} reads on {dataset}, which "
            f"are {read}, got {modality!r}"
        )
    # Or `evaluate` would have to fetch pictures for a comparison that it does not make.
    pictures_are_read = any(feature.field == "image" for feature in features.values())
    for name, replacement in comparison.instead.items():
        feature = f"{modality}_{name}"
        if feature in features or feature in modalities:
            return taken(dataset, name, f"{feature}: `features` or `modalities` has it")
        if replacement.field == "image" and not pictures_are_read:
            return (
                f"{where}.instead.{name}.field: no picture is fetched, since none of "
                f"features.{dataset} reads `image`; let one of them read it"
            )
    return None


def absent(
    model: str, dataset: str, name: str, available: Iterable[str], section: str = "features"
) -> str:
    """Return the message about a modality or tokens that a model reads and a dataset lacks."""
    setting = {"features": "modalities"}.get(section, section)
    return (
        f"params.yaml: {model}.{dataset}.{setting}: {name!r} is not in "
        f"{section}.{dataset}, which has {sorted(available)}"
    )


def taken(dataset: str, name: str, what: str) -> str:
    """Return the message about an entry of `extractors` whose name is taken."""
    return (
        f"params.yaml: {TABLE}.{dataset}.instead.{name}: expected another name; it makes {what}"
    )
