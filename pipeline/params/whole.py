"""params.yaml as typed, frozen values: what the stages ask.

    params = load()
    params.kcore.k                              # a section
    params.model("mcln", "beauty_split")        # the model's default with the dataset's over it

pydantic rather than plain dataclasses: it names the full path of a wrong key and what was
expected. Nothing heavy is imported, since every `snakemake -n` pays for this module.
"""

from __future__ import annotations

from pydantic import Field

from pipeline.job.errors import ParamsError
from pipeline.params.declared import Declared
from pipeline.params.expand import Recommender, lacking, modalities_read
from pipeline.params.extractors import TABLE, Comparison
from pipeline.params.features import Settings as FeatureSettings
from pipeline.params.features import in_words
from pipeline.params.models import ARCHITECTURES, ContentModel, Model
from pipeline.params.sources import Source
from pipeline.params.yaml_file import unknown, validate


class Params(Declared):
    """The whole file, with every model expanded to plain settings."""

    recommenders: dict[str, Recommender]
    contradictions: dict[str, str] = Field(default_factory=dict)  # of `extractors`, by dataset

    def source(self, dataset: str) -> Source:
        """Return the source of `dataset`, or raise ParamsError with the names there are."""
        if dataset not in self.sources:
            add = f"sources.{dataset}"
            raise unknown("datasets", f"no dataset {dataset!r}", self.sources, add)
        return self.sources[dataset]

    def dataset_features(self, dataset: str) -> dict[str, FeatureSettings]:
        """Return `{modality: settings}` of a dataset, in the file's order; may be empty."""
        return dict(self.features.get(dataset, {}))

    def every_feature(self, dataset: str) -> dict[str, FeatureSettings]:
        """Return `dataset_features`, then what only the comparison of extractors reads."""
        features = self.dataset_features(dataset)
        if self.compares_extractors(dataset):
            features |= self.extractors[dataset].features()
        return features

    def feature(self, dataset: str, modality: str) -> FeatureSettings:
        """Return one modality's extractor settings, or raise ParamsError."""
        features = self.every_feature(dataset)
        if modality not in features:
            where = f"features.{dataset}"
            raise unknown(where, f"no modality {modality!r}", features, f"{where}.{modality}")
        return features[modality]

    def feature_key(self, dataset: str, modality: str) -> str:
        """Return the key of params.yaml that has the settings of a feature."""
        comparison = self.extractors.get(dataset)
        if comparison is None or modality in self.dataset_features(dataset):
            return f"features.{dataset}.{modality}"
        name = modality.removeprefix(f"{comparison.modality}_")
        return f"extractors.{dataset}.instead.{name}"

    def compares_extractors(self, dataset: str) -> bool:
        """Tell whether the dataset has a comparison of extractors that can be made."""
        return dataset in self.extractors and dataset not in self.contradictions

    def comparison(self, dataset: str) -> Comparison:
        """Return how the extractors of a dataset are compared.

        Raises:
            ParamsError: they are not, or `features` contradicts the entry.
        """
        if dataset not in self.extractors:
            what, add = f"nothing to compare on {dataset}", f"extractors.{dataset}"
            raise unknown("extractors", what, self.extractors, add)
        if reason := self.contradictions.get(dataset):
            raise ParamsError(reason)
        return self.extractors[dataset]

    def compared_extractors(self, dataset: str) -> dict[str, str]:
        """Return `{model: the replaced feature in words}` of the comparison of extractors."""
        comparison, features = self.comparison(dataset), self.every_feature(dataset)
        read = {comparison.model: comparison.modality} | comparison.models()
        return {model: in_words(features[feature]) for model, feature in read.items()}

    def recommender(self, model: str) -> Recommender:
        """Return a model's architecture and settings, or raise ParamsError with the names."""
        if model not in self.recommenders:
            add = f"a section {model}"
            raise unknown("models", f"no model {model!r}", self.sections, add)
        return self.recommenders[model]

    def architecture(self, model: str) -> str:
        """Return the registry name behind a model's name: `mcln` for `base`, say."""
        return self.recommender(model).architecture

    def model(self, model: str, dataset: str) -> Model:
        """Return a model's settings on a dataset.

        Raises:
            ParamsError: no such model, a value that its architecture does not take, or a
                modality that the dataset lacks.
        """
        settings = self._settings(model, dataset)
        read, features = self._read(settings, dataset), self.every_feature(dataset)
        if message := lacking(model, dataset, read, features):
            raise ParamsError(message)
        return settings

    def _settings(self, model: str, dataset: str) -> Model:
        recommender = self.recommender(model)
        if dataset not in recommender.settings:
            self.source(dataset)
            models = self.comparison(dataset).models()
            raise unknown(f"{TABLE}.{dataset}", f"no model {model!r}", models, "it there")
        architecture = recommender.architecture
        where = f"{model}.{dataset} (over {architecture}.default)"
        return validate(ARCHITECTURES[architecture], recommender.settings[dataset], where)

    def _read(self, settings: Model, dataset: str) -> list[str]:
        if not isinstance(settings, ContentModel):
            return []
        return modalities_read(settings.modalities, self.dataset_features(dataset))

    def model_modalities(self, model: str, dataset: str) -> list[str]:
        """Return the modalities whose features this model reads on this dataset."""
        return self._read(self.model(model, dataset), dataset)

    def content_models(self, dataset: str) -> list[str]:
        """Return those of `models` that read features of this dataset."""
        return [model for model in self.models if self.model_modalities(model, dataset)]

    def table(self, name: str, dataset: str) -> list[str]:
        """Return the models of a table, without those that need a modality the dataset lacks.

        Raises:
            ParamsError: no such table.
        """
        if name == TABLE:
            comparison = self.comparison(dataset)
            return [comparison.model, *comparison.models()]
        if name not in self.tables:
            raise unknown("tables", f"no table {name!r}", self.tables, f"tables.{name}")
        return self.possible(self.tables[name], dataset)

    def possible(self, models: list[str], dataset: str) -> list[str]:
        """Return `models` without those that need a modality the dataset lacks."""
        features = self.dataset_features(dataset)
        return [
            model
            for model in models
            if not lacking(
                model, dataset, self._read(self._settings(model, dataset), dataset), features
            )
        ]

    def all_models(self, dataset: str) -> list[str]:
        """Return `models`, then what the tables add to them on this dataset."""
        tables = [*self.tables, *([TABLE] if self.compares_extractors(dataset) else [])]
        more = [model for table in tables for model in self.table(table, dataset)]
        return list(dict.fromkeys([*self.models, *more]))
