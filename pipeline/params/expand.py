"""From layers, variants and compared extractors to plain settings per model and dataset.

    mcln: {default: {...}, beauty: {lr: ...}}      -> mcln on beauty: one mapping
    base: {default: {variant_of: mcln, ...}}       -> architecture mcln, one mapping per dataset
    extractors.beauty: {model: vbpr, instead: ...} -> vbpr_resnet50 on beauty

An entry of `extractors` that `features` contradicts is left out, with the reason, like the row
of a table that needs a modality which the dataset lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pipeline.job.errors import ParamsError
from pipeline.params.declared import Declared
from pipeline.params.extractors import TABLE, Comparison
from pipeline.params.features import Settings as FeatureSettings
from pipeline.params.models import ARCHITECTURES, KEYED_BY_MODALITY, Model
from pipeline.params.section import Section

Values = dict[str, Any]


class Recommender(Section):
    """One model by its name in params.yaml."""

    architecture: str  # the file below model/recommenders: `mcln` for `base`, say
    settings: dict[str, Values] = Field(default_factory=dict)  # by dataset, not yet typed


def recommenders(declared: Declared) -> dict[str, Recommender]:
    """Return every model that has a section, with its settings on each dataset of `sources`."""
    expanded = {}
    for model, section in declared.sections.items():
        architecture = str(section.get("default", {}).get("variant_of", model))
        expanded[model] = Recommender(
            architecture=architecture,
            settings={
                dataset: _merged(declared.sections, architecture, model, dataset)
                for dataset in declared.sources
            },
        )
    return expanded


def _merged(
    sections: Mapping[str, Mapping[str, Values]], architecture: str, model: str, dataset: str
) -> Values:
    """Merge from weak to strong: the parent's default and dataset, then the model's own."""
    merged: Values = {}
    for name in dict.fromkeys([architecture, model]):
        section = sections.get(name, {})
        merged |= section.get("default", {}) | section.get(dataset, {})
    merged.pop("variant_of", None)
    return merged


def add_compared(
    declared: Declared, expanded: Mapping[str, Recommender]
) -> tuple[dict[str, Recommender], dict[str, str]]:
    """Add the models that `extractors` makes.

    Returns:
        The models, and `{dataset: why its entry is left out}`.
    """
    models, contradictions = dict(expanded), {}
    for dataset, comparison in declared.extractors.items():
        original = expanded.get(comparison.model)
        settings = original.settings.get(dataset, {}) if original else {}
        if original is None or "modalities" not in settings:
            continue  # `checks` refuses it
        if reason := _contradiction(declared, dataset, comparison, settings):
            contradictions[dataset] = reason
            continue
        for model, feature in comparison.models().items():
            made = models.get(model, Recommender(architecture=original.architecture))
            replaced = _replaced(settings, comparison.modality, feature, declared, dataset)
            models[model] = made.model_copy(
                update={"settings": made.settings | {dataset: replaced}}
            )
    return models, contradictions


def _replaced(
    settings: Values, modality: str, feature: str, declared: Declared, dataset: str
) -> Values:
    """Return a model's settings with `feature` in the modality's place."""

    def renamed(name: str) -> str:
        return feature if name == modality else name

    read = modalities_read(settings["modalities"], declared.features.get(dataset, {}))
    changes: Values = {"modalities": [renamed(name) for name in read]}
    for key in KEYED_BY_MODALITY:
        if isinstance(settings.get(key), dict):
            changes[key] = {renamed(name): value for name, value in settings[key].items()}
    return settings | changes


def modalities_read(
    modalities: list[str] | str, features: Mapping[str, FeatureSettings]
) -> list[str]:
    """Return the names behind a model's setting `modalities`, where `all` is a dataset's."""
    return list(features) if modalities == "all" else list(modalities)


def lacking(
    model: str, dataset: str, modalities: list[str], features: Mapping[str, FeatureSettings]
) -> str | None:
    """Return the message about a modality that a model reads and the dataset lacks."""
    for modality in modalities:
        if modality not in features:
            return (
                f"params.yaml: {model}.{dataset}.modalities: {modality!r} is not in "
                f"features.{dataset}, which has {sorted(features)}"
            )
    return None


def _contradiction(
    declared: Declared, dataset: str, comparison: Comparison, settings: Values
) -> str | None:
    """Return what keeps a dataset's extractors from being compared; None if nothing does."""
    features = declared.features.get(dataset, {})
    key, model, modality = (
        f"params.yaml: {TABLE}.{dataset}",
        comparison.model,
        comparison.modality,
    )
    if modality not in features:
        return (
            f"{key}.modality: {modality!r} is not in features.{dataset}, which has "
            f"{sorted(features)}"
        )
    read = modalities_read(settings["modalities"], features)
    if message := lacking(model, dataset, read, features):
        return message
    if modality not in read:
        return (
            f"{key}.modality: expected one that {model} reads on {dataset}, which are {read}, "
            f"got {modality!r}"
        )
    for name, made in zip(comparison.instead, comparison.features(), strict=True):
        if made in features or made in declared.modalities:
            return str(taken(dataset, name, f"{made}: `features` or `modalities` has it"))
    # Or `evaluate` would have to fetch them for a comparison that it does not make.
    pictures_are_read = any(feature.field == "image" for feature in features.values())
    for name, feature in comparison.instead.items():
        if feature.field == "image" and not pictures_are_read:
            return (
                f"{key}.instead.{name}.field: no picture is fetched, since none of "
                f"features.{dataset} reads `image`; let one of them read it"
            )
    return None


def taken(dataset: str, name: str, what: str) -> ParamsError:
    """Return the error about a name below `instead` that makes a name which is in use."""
    return ParamsError(
        f"params.yaml: {TABLE}.{dataset}.instead.{name}: expected another name; it makes {what}"
    )


def check_sections(sections: Mapping[str, Any], datasets: set[str]) -> None:
    """Refuse keys that are neither a stage's section nor a model's.

    Args:
        sections: the keys of the file that are no stage's.
        datasets: the names under `sources`.

    Raises:
        ParamsError: such a key, or a model's layer or setting that does not exist.
    """
    for name, section in sections.items():
        is_model = isinstance(section, dict) and (name in ARCHITECTURES or "default" in section)
        if not is_model:
            raise ParamsError(
                f"params.yaml: {name}: unknown key; expected a stage's section or a model with "
                f"a `default`. Models are {sorted(ARCHITECTURES)}"
            )
        for layer, values in section.items():
            if layer not in {"default", *datasets}:
                raise ParamsError(
                    f"params.yaml: {name}.{layer}: expected `default` or a dataset of "
                    f"`sources`, got {layer!r}"
                )
            if not isinstance(values, dict):
                raise ParamsError(
                    f"params.yaml: {name}.{layer}: expected a mapping, got {values!r}"
                )
        _check_keys(name, section, _architecture(name, section))


def _architecture(name: str, section: Mapping[str, Values]) -> type[Model]:
    parent = section.get("default", {}).get("variant_of", name)
    if not isinstance(parent, str) or parent not in ARCHITECTURES:
        raise ParamsError(
            f"params.yaml: {name}.default.variant_of: expected one of "
            f"{sorted(ARCHITECTURES)}, got {parent!r}"
        )
    return ARCHITECTURES[parent]


def _check_keys(name: str, section: Mapping[str, Values], kind: type[Model]) -> None:
    """Refuse unknown keys in every layer, also of datasets that do not run now."""
    for layer, values in section.items():
        for key in values:
            if key not in kind.model_fields and key != "variant_of":
                raise ParamsError(
                    f"params.yaml: {name}.{layer}.{key}: unknown key; expected one of "
                    f"{sorted(kind.model_fields)}"
                )
