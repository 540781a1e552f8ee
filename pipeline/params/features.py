"""The settings of every extractor, as sections of params.yaml: `features.<dataset>.<modality>`.

What an extractor computes is described in pipeline/extractors. Adding one: a section here and
in `Feature`, a line in `EXTRACTORS`.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pipeline.params.section import Count, Positive, Section

# torchvision's, and one whose weights install from the package index.
NETWORKS = (
    "vgg16",
    "vgg19",
    "resnet50",
    "resnet152",
    "vit_b_16",
    "convnext_base",
    "swin_v2_b",
    "efficientnet_lite0",
)
MINILM = "all-MiniLM-L6-v2"  # the weights of minilm
IMAGE = "image"  # the field of extractors that read pictures
Precision = Literal["float32", "tensorfloat32", "bfloat16"]


class ImageNetwork(Section):
    """Activations of a network for image classification."""

    extractor: Annotated[
        str,
        Field(
            pattern=rf"^({'|'.join(NETWORKS)}|timm:[\w./-]+)$",
            # editors offer names, but not what a pattern would match
            json_schema_extra={"anyOf": [{"enum": list(NETWORKS)}, {"pattern": "^timm:"}]},
        ),
    ]
    field: Literal["image"] = "image"
    # imagenet (as published), a published version such as IMAGENET1K_V1, seeded (untrained), or
    # the path of a state dict
    weights: str = "imagenet"
    precision: Precision = "float32"  # of the arithmetic; features are float32 either way


class OpenClip(Section):
    """The projected embedding of a CLIP model, of pictures or of texts."""

    extractor: Annotated[str, Field(pattern=r"^openclip:[\w./-]+$")]
    field: str = "image"  # or a text column of items.parquet
    # a published tag such as laion2b_s34b_b79k, seeded (untrained), or the path of a state dict
    weights: str
    precision: Precision = "float32"


class Mcauley(Section):
    """The features published with the Amazon dumps: 4096 numbers per asin."""

    extractor: Literal["mcauley"]
    field: Literal["raw_id"] = "raw_id"
    path: str  # image_features_<category>.b


class Precomputed(Section):
    """Features from a file, by the raw id of the item."""

    extractor: Literal["precomputed"]
    field: Literal["raw_id"] = "raw_id"
    path: str  # .parquet, or .npy
    id_column: str = "raw_id"  # of a .parquet file
    column: str = "feature"  # of a .parquet file: a list of numbers
    # of an .npy file, either a text file with the raw id of each row on a line
    ids: str | None = None
    # or the raw ids of the items are the numbers of their rows, from 0
    rows: Literal["item_id"] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Precomputed:
        suffix = PurePath(self.path).suffix
        if suffix not in (".parquet", ".npy"):
            raise PydanticCustomError("path", "expected `path` to end in .parquet or .npy")
        if suffix == ".npy" and (self.ids is None) == (self.rows is None):
            raise PydanticCustomError(
                "ids",
                "expected either `ids`, the raw ids of the rows of an .npy file, or `rows: "
                "item_id`, where the raw ids are the numbers of the rows",
            )
        if suffix == ".parquet" and (self.ids is not None or self.rows is not None):
            raise PydanticCustomError(
                "ids", "expected neither `ids` nor `rows`: .parquet has an `id_column`"
            )
        return self


class OwnWords(Section):
    """Shared settings of the extractors that learn from the dataset's text."""

    field: str = "title"  # a text or token-list column of items.parquet
    dim: Count = 300
    window: Count = 5  # words on each side of the centre word
    epochs: Count = 20  # passes over the text
    min_count: Count = 1  # rarer words are left out
    workers: Count = 1  # training threads; results are reproducible with one only


class Word2VecMean(OwnWords):
    """The mean of the words' vectors."""

    extractor: Literal["word2vec_mean"]
    weights: str = "trained"  # on the dataset's text, or the path of a KeyedVectors file


class Sif(OwnWords):
    """Smooth inverse frequency sentence embedding over Word2Vec vectors."""

    extractor: Literal["sif"]
    weights: str = "trained"  # on the dataset's text, or the path of a KeyedVectors file
    smoothing: Positive = 0.001  # a in a / (a + p(w))


class Doc2Vec(OwnWords):
    """Paragraph vectors."""

    extractor: Literal["doc2vec"]


class TfidfSvd(Section):
    """Latent semantic analysis: the first singular directions of the tf-idf matrix."""

    extractor: Literal["tfidf_svd"]
    field: str = "title"
    dim: Count = 300
    min_count: Count = 1  # words in fewer texts are left out


class MiniLM(Section):
    """A small sentence transformer whose weights install from the package index."""

    extractor: Literal["minilm"]
    field: str = "title"


def family(extractor: str) -> str:
    """Return an extractor's name in the registry: the part before a colon."""
    return extractor.partition(":")[0]


def _tag(value: Any) -> str:
    """Return the tag in `Settings` of a mapping of params.yaml, or of a section."""
    is_mapping = isinstance(value, dict)
    extractor = value.get("extractor") if is_mapping else getattr(value, "extractor", "")
    name = family(str(extractor))
    return "network" if name in (*NETWORKS, "timm") else name


Settings: TypeAlias = (
    Annotated[ImageNetwork, Tag("network")]
    | Annotated[OpenClip, Tag("openclip")]
    | Annotated[Mcauley, Tag("mcauley")]
    | Annotated[Precomputed, Tag("precomputed")]
    | Annotated[Word2VecMean, Tag("word2vec_mean")]
    | Annotated[Sif, Tag("sif")]
    | Annotated[Doc2Vec, Tag("doc2vec")]
    | Annotated[TfidfSvd, Tag("tfidf_svd")]
    | Annotated[MiniLM, Tag("minilm")]
)
Feature = Annotated[
    Settings,
    Discriminator(
        _tag,
        custom_error_type="extractor",
        custom_error_message=f"expected `extractor` to be one of {', '.join(NETWORKS)}, "
        "timm:<name>, openclip:<name>, mcauley, precomputed, sif, word2vec_mean, doc2vec, "
        "tfidf_svd, minilm",
    ),
]


def in_words(feature: Settings) -> str:
    """Return a feature's label in a table: its extractor, field and weights."""
    weights = MINILM if isinstance(feature, MiniLM) else getattr(feature, "weights", None)
    suffix = {None: "", "seeded": ", seeded (untrained)"}.get(weights, f", {weights}")
    return f"{feature.extractor} of {feature.field}{suffix}"
