"""params.yaml as typed, frozen values: validated once, here, before anything runs.

    params = load()
    params.kcore.k                              # a section
    params.model("mcln", "beauty_split")        # the model's default with the dataset's over it

pydantic rather than plain dataclasses: it names the full path of a wrong key and what was
expected. Nothing heavy is imported, since every `snakemake -n` pays for this module.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from pipeline import swaps
from pipeline.errors import ParamsError
from pipeline.feature_settings import Feature, in_words
from pipeline.feature_settings import Settings as FeatureSettings
from pipeline.model_settings import ARCHITECTURES, ContentModel, Model
from pipeline.sections import Count, Name, Positive, Section, Share

PARAMS_FILE = Path("params.yaml")
T = TypeVar("T", bound=BaseModel)


# --- sources: where a dataset comes from -------------------------------------------------


class SampleSource(Section):
    """The generator: a raw dump in Amazon's 2018 format, made from the seed."""

    format: Literal["sample"]
    scale: Positive = 1.0  # 1 is about 600 users and 240 items


class AmazonSource(Section):
    """A category of the Amazon review dumps of 2014 or 2018, by its published name."""

    format: Literal["amazon2014", "amazon2018"]
    category: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    reviews: Literal["5core", "full"] = "5core"  # which of the two published review files
    metadata: str | None = None  # name of the metadata file, where it is not the published one


class TianchiSource(Section):
    """Tianchi 231506 (Taobao clothes matching); behind a log-in, so from the mirror only."""

    format: Literal["tianchi"]


class PublishedSplitSource(Section):
    """A split published with the MEGCF code, with its token lists."""

    format: Literal["published_split"]
    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # amazon-beauty, Art or taobao


Source = Annotated[
    SampleSource | AmazonSource | TianchiSource | PublishedSplitSource,
    Field(discriminator="format"),
]


# --- stages ------------------------------------------------------------------------------


class Download(Section):
    """How patient the download is."""

    retries: Annotated[int, Field(ge=0)]
    timeout: Positive  # seconds without a byte


class Ingest(Section):
    """What ingest tolerates."""

    max_bad_lines: Annotated[int, Field(ge=0)]


class KCore(Section):
    """Which users and items stay."""

    k: Count
    require: list[str]  # item fields that must not be empty, such as image


class Split(Section):
    """How interactions are divided."""

    method: Literal["leave_one_out"]


class Images(Section):
    """How pictures are fetched."""

    connections: Count  # at once, to all hosts together
    connections_per_host: Count  # at once
    retries: Annotated[int, Field(ge=0)]
    timeout: Positive  # seconds
    max_megabytes: Positive  # per picture
    max_failed: Share  # share of items with a picture that could not be had


class Train(Section):
    """The budget and the rule of choice, the same for every model."""

    epochs: Count
    batch_size: Count
    evaluate_every: Count  # epochs
    patience: Count  # evaluations without a better validation NDCG@10
    refit: bool
    select_on: Literal["validation", "test"]


class Evaluate(Section):
    """Cut-offs of the metrics."""

    k: list[Count]


class Recommend(Section):
    """Length of the lists."""

    k: Count


class Compare(Section):
    """Size of the report's gallery."""

    users: Count
    k: Count


class Study(Section):
    """Size of the study of what moves a score."""

    items: Count = 60  # with a copy for each factor


class Params(Section):
    """The whole file."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Annotated[list[Name], Field(min_length=1)]
    modalities: list[Name]
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    sources: dict[Name, Source]
    features: dict[Name, dict[Name, Feature]]
    download: Download
    ingest: Ingest
    kcore: KCore
    split: Split
    images: Images
    train: Train
    evaluate: Evaluate
    recommend: Recommend
    compare: Compare
    tables: dict[Name, list[Name]] = Field(
        default_factory=dict
    )  # models that make a table of their own
    extractors: dict[Name, swaps.Swap] = Field(default_factory=dict)  # <dataset>: compared
    study: Study = Study()  # an analysis: a file without it is whole
    # <model>: {default: {...}, <dataset>: {...}}; `variant_of` names the model it starts from.
    sections: dict[Name, dict[str, dict[str, Any]]]

    @model_validator(mode="after")
    def _hangs_together(self) -> Params:
        swaps.check(self)
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
            raise ParamsError(
                f"params.yaml: datasets: no dataset {dataset!r}; expected one of "
                f"{sorted(self.sources)}, or add sources.{dataset}"
            )
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
            raise ParamsError(
                f"params.yaml: features.{dataset}: no modality {modality!r}; expected one of "
                f"{sorted(features)}, or add features.{dataset}.{modality}"
            )
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
            raise ParamsError(
                f"params.yaml: extractors: nothing to compare on {dataset}; expected one of "
                f"{sorted(self.extractors)}, or add extractors.{dataset}"
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
            names = sorted(set(self.sections))
            raise ParamsError(
                f"params.yaml: models: no model {model!r}; expected one of {names}, "
                f"or add a section {model}"
            )
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
            return self._swapped_settings(model, dataset)
        settings = self._settings(model, dataset)
        self._check_modalities(settings, model, dataset)
        return settings

    def _swapped_settings(self, model: str, dataset: str) -> Model:
        swap = self.swap(dataset)
        if model not in swap.models():
            raise ParamsError(
                f"params.yaml: extractors.{dataset}: no model {model!r}; expected one of "
                f"{sorted(swap.models())}"
            )
        settings = self.model(swap.model, dataset)
        read = self.model_modalities(swap.model, dataset)
        return swap.applied(settings, read, swap.models()[model])

    def _settings(self, model: str, dataset: str) -> Model:
        architecture = self.architecture(model)
        merged: dict[str, Any] = {}
        for name in dict.fromkeys([architecture, model]):
            for layer in ("default", dataset):
                merged |= self.sections.get(name, {}).get(layer) or {}
        merged.pop("variant_of", None)
        where = f"{model}.{dataset} (over {architecture}.default)"
        return _validate(ARCHITECTURES[architecture], merged, where)

    def table(self, name: str, dataset: str) -> list[str]:
        """Return the models of a table, without those that need a modality the dataset lacks.

        Raises:
            ParamsError: no such table.
        """
        if name == swaps.TABLE:
            swap = self.swap(dataset)
            return [swap.model, *swap.models()]
        if name not in self.tables:
            raise ParamsError(
                f"params.yaml: tables: no table {name!r}; expected one of "
                f"{sorted(self.tables)}, or add tables.{name}"
            )
        return [
            model
            for model in self.tables[name]
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

    def _check_modalities(self, settings: Model, model: str, dataset: str) -> None:
        for modality in self._absent(settings, dataset):
            raise ParamsError(
                f"params.yaml: {model}.{dataset}.modalities: {modality!r} is not in "
                f"features.{dataset}, which has {sorted(self.dataset_features(dataset))}"
            )

    def _absent(self, settings: Model, dataset: str) -> list[str]:
        """Return the modalities that the settings ask for by name and the dataset lacks."""
        if not isinstance(settings, ContentModel) or settings.modalities == "all":
            return []
        return [m for m in settings.modalities if m not in self.dataset_features(dataset)]


def learning_rate(settings: Model) -> float:
    """Return Adam's step size; 0 for a model without parameters."""
    return float(getattr(settings, "lr", 0.0))


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    Args:
        path: the file; by default the one in the working directory.

    Returns:
        The validated parameters.

    Raises:
        ParamsError: the file is absent, is not YAML, or holds an unknown key, a wrong type or
            a value out of range; every such key is named in full.
    """
    return parse(read(path))


def read(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read params.yaml without checking what is in it; see `load`.

    Raises:
        ParamsError: the file is absent, is not YAML or is no mapping.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the project's root") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: expected YAML, got {error}") from error
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected a mapping, got {type(raw).__name__}")
    return raw


class _Loader(yaml.SafeLoader):
    """The safe loader, to which 5e-05 is a number, as it is in YAML 1.2.

    `dvc exp run -S mcln.default.lr=0.00005` writes it so.
    """


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse(raw: dict[str, Any]) -> Params:
    """Check the content of a params.yaml that is already a mapping; see `load`."""
    known = {name for name in Params.model_fields if name != "sections"}
    sections = {key: value for key, value in raw.items() if key not in known}
    _check_sections(sections, raw)
    body = {key: value for key, value in raw.items() if key in known}
    return _validate(Params, body | {"sections": sections}, "")


def _check_sections(sections: dict[str, Any], raw: dict[str, Any]) -> None:
    """Tell a model's section from a key that nobody reads."""
    layers = {"default", *(raw.get("sources") or {})}
    for name, section in sections.items():
        is_model = isinstance(section, dict) and (name in ARCHITECTURES or "default" in section)
        if not is_model:
            raise ParamsError(
                f"params.yaml: {name}: unknown key; expected a stage's section or a model with "
                f"a `default`. Models are {sorted(ARCHITECTURES)}"
            )
        for layer, values in section.items():
            if layer not in layers:
                raise ParamsError(
                    f"params.yaml: {name}.{layer}: expected `default` or a dataset of "
                    f"`sources`, got {layer!r}"
                )
            if not isinstance(values, dict):
                raise ParamsError(
                    f"params.yaml: {name}.{layer}: expected a mapping, got {values!r}"
                )
        allowed = ARCHITECTURES.get(name)
        parent = (section.get("default") or {}).get("variant_of")
        allowed = ARCHITECTURES.get(parent, allowed) if isinstance(parent, str) else allowed
        if allowed is None:
            raise ParamsError(
                f"params.yaml: {name}.default: expected `variant_of` to name one of "
                f"{sorted(ARCHITECTURES)}, got {parent!r}"
            )
        _check_keys(name, section, allowed)


def _check_keys(name: str, section: dict[str, Any], allowed: type[Model]) -> None:
    """Refuse unknown keys in every layer, also of datasets that do not run now."""
    for layer, values in section.items():
        for key in values:
            if key not in allowed.model_fields and key != "variant_of":
                raise ParamsError(
                    f"params.yaml: {name}.{layer}.{key}: unknown key; expected one of "
                    f"{sorted(allowed.model_fields)}"
                )


def _validate(kind: type[T], raw: dict[str, Any], where: str) -> T:
    """Build `kind`, turning pydantic's findings into one ParamsError with full key names."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ParamsError("\n".join(_explain(error, where))) from None


def _explain(error: ValidationError, where: str) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(
            str(part) for part in (where, *_without_tag(problem["loc"])) if part != ""
        )
        got = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
        hint = ""
        if problem["type"] == "float_type" and _looks_like_a_number(problem["input"]):
            hint = " (that is a text: write the number without quotes)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"params.yaml: {key}: unknown key")
            continue
        message = problem["msg"][0].lower() + problem["msg"][1:]
        lines.append(f"params.yaml: {key}: {message}{got}{hint}")
    return lines


def _without_tag(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Drop the union's tag, which is no key: sources.<name>.<tag>, features.<d>.<m>.<tag>."""
    depth = {"sources": 2, "features": 3, "extractors": 4}.get(
        str(location[0]) if location else ""
    )
    return location if depth is None else location[:depth] + location[depth + 1 :]


def _looks_like_a_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)
