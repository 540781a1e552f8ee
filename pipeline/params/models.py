"""The settings of every model, as sections of params.yaml.

The docstring of a model's class, in model/recommenders, describes what its settings do. Adding
a model: a section here, which has the name of that class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from model.recommenders import MODELS
from pipeline.params.model_section import ContentModel, Model, TokenModel
from pipeline.params.section import Count, Name, NonNegative, Positive, Section, Share, Whole

FeatureNorm = Literal["none", "unit_mean", "unit_rows", "whitened", "half_whitened"]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class BPRMF(Model):
    """Matrix factorisation under the BPR loss."""

    dim: Count
    lr: Positive
    l2: NonNegative


class SVDPP(BPRMF):
    """SVD++: a user's vector includes their items."""

    exclude_target: bool


class LightGCN(BPRMF):
    """Linear graph convolution."""

    layers: Whole


class NGCF(LightGCN):
    """Graph convolution with weights and activations."""

    variant: Literal["official", "paper"]
    dropout: Dropout  # of messages


class JMPGCF(LightGCN):
    """Graph convolution at several granularities of popularity."""

    layers: Count
    popularity: Annotated[list[NonNegative], Field(min_length=1)]
    stage: Whole  # epochs; 0 for all granularities from the start


class VBPR(BPRMF, ContentModel):
    """Matrix factorisation with projected content."""

    content_dim: Count
    l2_projection: NonNegative
    feature_norm: FeatureNorm


class MMGCN(LightGCN, ContentModel):
    """A graph network for each modality."""

    layers: Count
    content_dim: Count
    feature_norm: FeatureNorm
    concat: bool
    learn_ids: bool


class MGAT(LightGCN, ContentModel):
    """A gated attention network for each modality."""

    layers: Count
    content_dim: Count
    feature_norm: FeatureNorm
    representation: Literal["concat", "last"]
    gate: Literal["receiver", "source"]
    loss_form: Literal["mean", "released"]


class InvRLStages(Section):
    """The stages before InvRL's final model."""

    pretrain_epochs: Count
    iterations: Whole
    environments: Count
    environment_rounds: Count
    environment_epochs: Count
    mask_epochs: Count
    invariance: NonNegative
    gate_l2: NonNegative
    l2_projection: NonNegative
    lr: Positive
    batch_size: Count


class InvRL(BPRMF, ContentModel):
    """Matrix factorisation with content, under a mask learned across environments."""

    negatives: Count
    loss: Literal["bce", "bpr"]
    weights: Annotated[list[NonNegative], Field(min_length=4, max_length=4)]
    l2_projection: NonNegative
    init: Literal["xavier", "normal"]
    stages: InvRLStages


class DMRL(BPRMF, ContentModel):
    """Disentangled factors, with an attention over modalities for each."""

    feature_norm: FeatureNorm
    factors: Count
    negatives: Count
    decorrelation: NonNegative
    pairs: Literal["all", "adjacent"]
    decorrelation_rows: Count
    dropout: Dropout
    hidden: Count | dict[Name, Count]
    trained: Literal["all", "tables"]


class BM3(LightGCN, ContentModel):
    """Views of IDs and content that predict each other, without negatives."""

    dropout: Dropout  # of the views
    alignment_weight: NonNegative


class FREEDOM(LightGCN, ContentModel):
    """A frozen item-item graph, and a user-item graph without some of its edges."""

    item_layers: Whole
    neighbours: Count
    modality_weights: dict[Name, NonNegative]  # in the item-item graph; 1 for all others
    edge_dropout: Dropout
    content_weight: NonNegative


class MHGCF(LightGCN, ContentModel, TokenModel):
    """Separate streams of IDs, tokens and each modality."""

    content_layers: Count
    token_layers: Count
    popularity: NonNegative
    l2_others: NonNegative  # on the rows of the streams of tokens and content
    feature_norm: FeatureNorm
    token_loss: NonNegative  # weight of the BPR term of items and tokens
    modality_weights: dict[Name, NonNegative]  # at ranking; 1 for all others


class MCLN(LightGCN, ContentModel):
    """The paper's model; the rows of its Tables 3 and 4 are settings of it."""

    popularity: NonNegative  # alpha of Eq. 2-3
    feature_norm: FeatureNorm
    intra: bool  # e_v + e_t in Eq. 19
    counterfactual: bool  # the counterfactual layers, e_vt of Eq. 19
    identity: bool  # e_base among the modalities of X, Eq. 6
    counterfactual_layers: Count  # M
    attention: Literal["modality", "batch", "dimension"]  # axis of the softmax, Eq. 12-13
    context: Count | None  # items of one softmax with `batch`; null for all
    difference: Literal["distributions", "logits", "factual", "none"]  # Eq. 14; 2 controls
    negatives: Literal["counterfactual", "factual"]  # layers for j of the loss
    others: Literal["random", "popular", "hard"]  # how i* is drawn in training
    inference: Literal["self", "permutation", "mean"]  # i* outside training
    dropout: Dropout  # in the counterfactual layers
    gate: float | None  # initial value of a learned factor on e_vt; null for no factor
    modality_weight: NonNegative  # lambda_m of Eq. 22


class MCLNPlus(MCLN, TokenModel):
    """MCLN with a graph of tokens, a graph of items and a linear model."""

    token_layers: Count
    token_l2: NonNegative | None  # on the rows of the token graph; null: l2
    item_graph: Literal["none", "before", "after"]  # the layers of the user-item graph
    item_graph_of: Literal["both", "content", "cooccurrence"]
    item_neighbours: Count  # of each item, in each of the two
    shrinkage: NonNegative  # of the co-occurrence
    linear_weight: NonNegative  # of the linear model's score, as a share of the spread; 0: off
    linear_l2: Positive
    linear_content: NonNegative  # weight of the features in it
    linear_tokens: NonNegative  # weight of the tokens in it


class ReleasedMCLN(LightGCN, ContentModel):
    """MCLN as its authors released it."""

    popularity: NonNegative
    counterfactual_layers: Count
    modality_weights: dict[Name, NonNegative]  # at ranking; 1 for all others


class Popularity(Model):
    """Ranking by the number of interactions."""


class ItemKNN(ContentModel):
    """Similarity to the user's items."""

    similarity: Literal["cooccurrence", "content", "both"]
    neighbours: Count
    shrinkage: NonNegative
    content_weight: Share


class EASE(ContentModel):
    """A linear model of items from items, in closed form."""

    l2: Positive  # in users
    content_weight: NonNegative


def architectures(recommenders: Mapping[str, str]) -> dict[str, type[Model]]:
    """Return `{name: section}`, from `{name: class}`; a section has the name of its class.

    Raises:
        LookupError: a class without a section.
    """
    sections = {section.__name__: section for section in _subclasses(Model)}
    if missing := sorted(set(recommenders.values()) - sections.keys()):
        raise LookupError(
            f"model/recommenders: {missing[0]}: expected a section of this name in "
            f"pipeline/params/models.py, got {sorted(sections)}"
        )
    return {name: sections[recommender] for name, recommender in recommenders.items()}


def _subclasses(section: type[Model]) -> Iterator[type[Model]]:
    for subclass in section.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


ARCHITECTURES = architectures(MODELS)


def learning_rate(settings: Model) -> float:
    """Return Adam's step size; 0 for a model without parameters."""
    return float(getattr(settings, "lr", 0.0))
