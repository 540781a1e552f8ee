"""params.yaml as typed, frozen values: validated once, here, before anything runs.

    params = load()
    params.kcore.k                              # a section
    params.model("mcln", "beauty_split")        # the model's default with the dataset's over it

pydantic rather than plain dataclasses: it names the full path of a wrong key and what was
expected. Nothing heavy is imported, since every `snakemake -n` pays for this module.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from pipeline.job.errors import ParamsError
from pipeline.params import extractors as swaps
from pipeline.params.experiments import Factors, Study, Sweep
from pipeline.params.features import Feature, in_words
from pipeline.params.features import Settings as FeatureSettings
from pipeline.params.models import ARCHITECTURES, ContentModel, Model, learning_rate  # noqa: F401
from pipeline.params.section import Count, Name, Positive, Section, Share  # noqa: F401
from pipeline.params.sources import (
    Source,
)
from pipeline.params.stages import (
    Stages,
)
from pipeline.params.yaml_file import unknown, validate


class Params(Stages):
    """The whole file."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Annotated[list[Name], Field(min_length=1)]
    modalities: list[Name]
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    sources: dict[Name, Source]
    features: dict[Name, dict[Name, Feature]]
    # Models that make a table of their own.
    tables: dict[Name, list[Name]] = Field(default_factory=dict)
    extractors: dict[Name, swaps.Swap] = Field(default_factory=dict)  # <dataset>: compared
    # Analyses: a file without them is complete.
    sweep: Sweep | None = None
    study: Study = Study()
    factors: Factors = Factors()
    # <model>: {default: {...}, <dataset>: {...}}; `variant_of` names the model it starts from.
    sections: dict[Name, dict[str, dict[str, Any]]]

    @model_validator(mode="after")
    def _hangs_together(self) -> Params:
        swaps.check(self)
        if lost := sorted(self.kcore.datasets.keys() - self.sources.keys()):
            raise unknown("kcore.datasets", f"no dataset {lost[0]!r}", self.sources, "a source")
        for dataset in self.datasets:
            self.source(dataset)
            for model in self.models:
                self.model(model, dataset)
            for table, models in self.tables.items():
                if table in self.sections:
                    raise ParamsError(f"params.yaml: tables.{table}: a model has this name")
                for model in models:
                    self._settings(model, dataset)
        return self

    def source(self, dataset: str) -> Source:
        """Return the source of `dataset`, or raise ParamsError with the names there are."""
        if dataset not in self.sources:
            add = f"sources.{dataset}"
            raise unknown("datasets", f"no dataset {dataset!r}", self.sources, add)
        return self.sources[dataset]

    def compared_extractors(self, dataset: str) -> dict[str, str]:
        """Return `{model: the swapped feature in words}` of the comparison of extractors."""
        swap, features = self.swap(dataset), self.every_feature(dataset)
        read = {swap.model: swap.modality} | swap.models()
        return {model: in_words(features[feature]) for model, feature in read.items()}

    def dataset_features(self, dataset: str) -> dict[str, FeatureSettings]:
        """Return `{modality: settings}` of a dataset, in the file's order; may be empty."""
        return dict(self.features.get(dataset, {}))

    def every_feature(self, dataset: str) -> dict[str, FeatureSettings]:
        """Return `dataset_features`, then what only the comparison of extractors reads."""
        swap = self._swap(dataset)
        return self.dataset_features(dataset) | (swap.features() if swap else {})

    def feature(self, dataset: str, modality: str) -> FeatureSettings:
        """Return one modality's extractor settings, or raise ParamsError."""
        features = self.every_feature(dataset)
        if modality not in features:
            where = f"features.{dataset}"
            raise unknown(where, f"no modality {modality!r}", features, f"{where}.{modality}")
        return features[modality]

    def feature_key(self, dataset: str, modality: str) -> str:
        """Return where in params.yaml the settings of a feature stand."""
        swap = self.extractors.get(dataset)
        if swap is None or modality in self.dataset_features(dataset):
            return f"features.{dataset}.{modality}"
        return f"extractors.{dataset}.instead.{modality.removeprefix(f'{swap.modality}_')}"

    def swap(self, dataset: str) -> swaps.Swap:
        """Return how the extractors of a dataset are compared.

        Raises:
            ParamsError: they are not, or `features` contradicts the entry.
        """
        if dataset not in self.extractors:
            add = f"extractors.{dataset}"
            raise unknown(
                "extractors", f"nothing to compare on {dataset}", self.extractors, add
            )
        if found := swaps.contradiction(self, dataset):
            raise ParamsError(found)
        return self.extractors[dataset]

    def _swap(self, dataset: str) -> swaps.Swap | None:
        is_there = dataset in self.extractors and not swaps.contradiction(self, dataset)
        return self.extractors[dataset] if is_there else None

    def _swapped(self, model: str) -> str:
        """Return the model whose extractor is swapped in `model`; `model` itself if none is."""
        found = (swap.model for swap in self.extractors.values() if model in swap.models())
        return next(found, model)

    def architecture(self, model: str) -> str:
        """Return the registry name behind a model's name: `mcln` for `base`, say."""
        model = self._swapped(model)
        section = self.sections.get(model)
        if section is None:
            raise unknown("models", f"no model {model!r}", self.sections, f"a section {model}")
        parent = section.get("default", {}).get("variant_of")
        if parent is None:
            return model
        if parent not in ARCHITECTURES:
            raise ParamsError(
                f"params.yaml: {model}.default.variant_of: expected one of "
                f"{sorted(ARCHITECTURES)}, got {parent!r}"
            )
        return str(parent)

    def model(self, model: str, dataset: str) -> Model:
        """Return a model's settings on a dataset.

        From weak to strong: the parent's default, the parent's dataset, the model's own
        default, its dataset.

        Raises:
            ParamsError: no such model, a value that its architecture does not take, or a
                modality that the dataset lacks.
        """
        if self._swapped(model) != model:
            return swaps.settings_of(self, model, dataset)
        settings = self._settings(model, dataset)
        for modality in self._absent(settings, dataset):
            raise ParamsError(
                f"params.yaml: {model}.{dataset}.modalities: {modality!r} is not in "
                f"features.{dataset}, which has {sorted(self.dataset_features(dataset))}"
            )
        return settings

    def _settings(self, model: str, dataset: str) -> Model:
        architecture = self.architecture(model)
        merged: dict[str, Any] = {}
        for name in dict.fromkeys([architecture, model]):
            section = self.sections.get(name, {})
            merged |= (section.get("default") or {}) | (section.get(dataset) or {})
        merged.pop("variant_of", None)
        where = f"{model}.{dataset} (over {architecture}.default)"
        return validate(ARCHITECTURES[architecture], merged, where)

    def table(self, name: str, dataset: str) -> list[str]:
        """Return the models of a table, without those that need a modality the dataset lacks.

        Raises:
            ParamsError: no such table.
        """
        if name == swaps.TABLE:
            swap = self.swap(dataset)
            return [swap.model, *swap.models()]
        if name not in self.tables:
            raise unknown("tables", f"no table {name!r}", self.tables, f"tables.{name}")
        return self.possible(self.tables[name], dataset)

    def possible(self, models: list[str], dataset: str) -> list[str]:
        """Return `models` without those that need a modality the dataset lacks."""
        return [
            model
            for model in models
            if not self._absent(self._settings(model, dataset), dataset)
        ]

    def all_models(self, dataset: str) -> list[str]:
        """Return `models`, then what the tables add to them on this dataset."""
        tables = [*self.tables, *([swaps.TABLE] if self._swap(dataset) else [])]
        more = [model for table in tables for model in self.table(table, dataset)]
        return list(dict.fromkeys([*self.models, *more]))

    def model_modalities(self, model: str, dataset: str) -> list[str]:
        """Return the modalities whose features this model reads on this dataset."""
        settings = self.model(model, dataset)
        if not isinstance(settings, ContentModel):
            return []
        wanted = settings.modalities
        return list(self.dataset_features(dataset)) if wanted == "all" else list(wanted)

    def content_models(self, dataset: str) -> list[str]:
        """Return those of `models` that read features of this dataset."""
        return [model for model in self.models if self.model_modalities(model, dataset)]

    def _absent(self, settings: Model, dataset: str) -> list[str]:
        """Return the modalities that the settings ask for by name and the dataset lacks."""
        if not isinstance(settings, ContentModel) or settings.modalities == "all":
            return []
        return [m for m in settings.modalities if m not in self.dataset_features(dataset)]
