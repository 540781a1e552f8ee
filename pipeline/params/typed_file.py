"""params.yaml as typed, frozen values.

    settings = params.load()
    settings = params.load().of("beauty_split") # with the dataset's own settings of stages
    settings.kcore.k                            # a section
    settings.model("mcln", "beauty_split")      # a model's settings on a dataset

pydantic rather than plain dataclasses: it names the full path of a wrong key and what was
expected. Nothing heavy is imported, since every `snakemake -n` pays for this module.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from pipeline.job.errors import ParamsError
from pipeline.params.expand import ExpandedModel, absent
from pipeline.params.experiments import Benchmark, Factors, Study, Sweep, Tune
from pipeline.params.extractors import TABLE, Comparison
from pipeline.params.features import IMAGE, Feature, in_words
from pipeline.params.features import Settings as FeatureSettings
from pipeline.params.model_section import Model
from pipeline.params.models import ARCHITECTURES
from pipeline.params.section import Name, Section
from pipeline.params.sources import Source
from pipeline.params.stages import Deploy, Stages
from pipeline.params.tokens import TokenKind, Tokens, Words
from pipeline.params.yaml_file import unknown, validate


class File(Stages):
    """Every section as it is written, valid by itself."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Annotated[list[Name], Field(min_length=1)]
    modalities: list[Name]
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    sources: dict[Name, Source]
    features: dict[Name, dict[Name, Feature]]
    tokens: dict[Name, dict[Name, TokenKind]] = Field(default_factory=dict)
    # Models with a comparison of their own.
    tables: dict[Name, list[Name]] = Field(default_factory=dict)
    extractors: dict[Name, Comparison] = Field(default_factory=dict)  # by dataset
    # Beside the stages: a file without them is complete.
    deploy: Deploy = Deploy()
    sweep: Sweep | None = None
    tune: Tune = Tune()
    study: Study = Study()
    benchmark: Benchmark = Benchmark()
    factors: Factors = Factors()
    # <model>: {default: {...}, <dataset>: {...}}; `variant_of` names the model it starts from.
    sections: dict[Name, dict[str, dict[str, Any]]]


class Params(File):
    """The file with its models expanded: every method is a look-up."""

    # Made of a valid `File`: building a second validator would only make the import slower.
    model_config = ConfigDict(defer_build=True)

    expanded: dict[str, ExpandedModel]  # the models of `sections` and of `extractors`
    left_out: dict[str, str]  # {dataset: why its extractors cannot be compared}
    own_stages: dict[str, dict[str, Section]]  # {dataset: {stage: its section there}}

    def of(self, dataset: str) -> Params:
        """Return the file as it is for a dataset: its stages with the dataset's own settings.

        Raises:
            ParamsError: no such dataset.
        """
        self.source(dataset)
        return self.model_copy(update=self.own_stages[dataset])

    def source(self, dataset: str) -> Source:
        """Return the source of `dataset`, or raise ParamsError with the names there are."""
        if dataset not in self.sources:
            raise self._no_dataset(dataset)
        return self.sources[dataset]

    def dataset_features(self, dataset: str) -> dict[str, FeatureSettings]:
        """Return `{modality: settings}` of a dataset, in the file's order; may be empty."""
        return dict(self.features.get(dataset, {}))

    def dataset_tokens(self, dataset: str) -> dict[str, Tokens]:
        """Return `{kind: settings}` of a dataset's tokens, in the file's order.

        Clusters of a feature that the dataset lacks are left out, like the models of a table
        that need it.
        """
        features = self.dataset_features(dataset)
        return {
            kind: tokens
            for kind, tokens in self.tokens.get(dataset, {}).items()
            if isinstance(tokens, Words) or tokens.feature in features
        }

    def reads_images(self, dataset: str) -> bool:
        """Return whether a feature of a dataset is made of pictures."""
        return any(
            feature.field == IMAGE for feature in self.dataset_features(dataset).values()
        )

    def every_feature(self, dataset: str) -> dict[str, FeatureSettings]:
        """Return `dataset_features`, then what only the comparison of extractors reads."""
        features = self.dataset_features(dataset)
        if TABLE in self.table_names(dataset):
            features |= self.comparison(dataset).features()
        return features

    def feature(self, dataset: str, modality: str) -> FeatureSettings:
        """Return one modality's extractor settings, or raise ParamsError."""
        features = self.every_feature(dataset)
        if modality not in features:
            where = f"features.{dataset}"
            raise unknown(where, f"no modality {modality!r}", features, f"{where}.{modality}")
        return features[modality]

    def feature_key(self, dataset: str, modality: str) -> str:
        """Return the key of params.yaml that holds the settings of a feature."""
        comparison = self.extractors.get(dataset)
        if comparison is None or modality in self.dataset_features(dataset):
            return f"features.{dataset}.{modality}"
        name = modality.removeprefix(f"{comparison.modality}_")
        return f"{TABLE}.{dataset}.instead.{name}"

    def comparison(self, dataset: str) -> Comparison:
        """Return how the extractors of a dataset are compared.

        Raises:
            ParamsError: they are not, or `features` contradicts the entry.
        """
        if dataset not in self.extractors:
            what, add = f"nothing to compare on {dataset}", f"{TABLE}.{dataset}"
            raise unknown(TABLE, what, self.extractors, add)
        if dataset in self.left_out:
            raise ParamsError(self.left_out[dataset])
        return self.extractors[dataset]

    def compared_extractors(self, dataset: str) -> dict[str, str]:
        """Return `{model: its extractor in words}` of the comparison of extractors."""
        comparison, features = self.comparison(dataset), self.every_feature(dataset)
        read = {comparison.model: comparison.modality} | comparison.models()
        return {model: in_words(features[feature]) for model, feature in read.items()}

    def architecture(self, model: str) -> str:
        """Return the registry name behind a model's name: `mcln` for `base`, say."""
        if model not in self.expanded:
            add = f"a section {model}"
            raise unknown("models", f"no model {model!r}", self.sections, add)
        return self.expanded[model].architecture

    def model(self, model: str, dataset: str) -> Model:
        """Return a model's settings on a dataset.

        Raises:
            ParamsError: no such model, a value that its architecture does not take, or a
                modality or kind of tokens that the dataset lacks.
        """
        settings, features = self.typed_model(model, dataset), self.dataset_features(dataset)
        if model not in self.sections:
            features = self.every_feature(dataset)
        for modality in settings.reads(features):
            if modality not in features:
                raise ParamsError(absent(model, dataset, modality, features))
        kinds = self.dataset_tokens(dataset)
        for kind in settings.reads_tokens(kinds):
            if kind not in kinds:
                raise ParamsError(absent(model, dataset, kind, kinds, "tokens"))
        return settings

    def has_layer(self, model: str, dataset: str) -> bool:
        """Return whether a model, or what it is a variant of, has settings for a dataset."""
        names = model, self.architecture(model)
        return any(dataset in self.sections.get(name, {}) for name in names)

    def typed_model(self, model: str, dataset: str) -> Model:
        """Return `model(...)`, also where the dataset lacks a modality."""
        architecture = self.architecture(model)
        settings = self.expanded[model].settings
        if dataset not in settings:
            if model in self.sections:
                raise self._no_dataset(dataset)
            made = self.comparison(dataset).models()
            raise unknown(f"{TABLE}.{dataset}", f"no model {model!r}", made, "it there")
        where = f"{model}.{dataset} (over {architecture}.default)"
        return validate(ARCHITECTURES[architecture], settings[dataset], where)

    def model_modalities(self, model: str, dataset: str) -> list[str]:
        """Return the modalities whose features this model reads on this dataset."""
        return self.model(model, dataset).reads(self.dataset_features(dataset))

    def model_tokens(self, model: str, dataset: str) -> list[str]:
        """Return the kinds of tokens that this model reads on this dataset."""
        return self.model(model, dataset).reads_tokens(self.dataset_tokens(dataset))

    def content_models(self, dataset: str) -> list[str]:
        """Return those of `models` that read features of this dataset."""
        return [model for model in self.models if self.model_modalities(model, dataset)]

    def possible(self, models: list[str], dataset: str) -> list[str]:
        """Return `models` without those that need a modality or tokens the dataset lacks."""
        features, kinds = self.dataset_features(dataset), self.dataset_tokens(dataset)
        typed = {model: self.typed_model(model, dataset) for model in models}
        return [
            model
            for model, settings in typed.items()
            if set(settings.reads(features)) <= features.keys()
            and set(settings.reads_tokens(kinds)) <= kinds.keys()
        ]

    def table_names(self, dataset: str) -> list[str]:
        """Return the tables, and the comparison of extractors if the dataset has one."""
        is_compared = dataset in self.extractors and dataset not in self.left_out
        return [*self.tables, *([TABLE] if is_compared else [])]

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

    def all_models(self, dataset: str) -> list[str]:
        """Return `models`, then what the tables and `deploy` add to them on this dataset."""
        tables = self.table_names(dataset)
        added = [model for table in tables for model in self.table(table, dataset)]
        if self.deploy.model:
            added += self.possible([self.deploy.model], dataset)
        return list(dict.fromkeys([*self.models, *added]))

    def _no_dataset(self, dataset: str) -> ParamsError:
        what, add = f"no dataset {dataset!r}", f"sources.{dataset}"
        return unknown("datasets", what, self.sources, add)
