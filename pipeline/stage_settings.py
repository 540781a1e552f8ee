"""The settings of every stage, as sections of params.yaml: one each, in running order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.sections import Count, Positive, Section, Share


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


class Stages(Section):
    """The sections of every stage."""

    download: Download
    ingest: Ingest
    kcore: KCore
    split: Split
    images: Images
    train: Train
    evaluate: Evaluate
    recommend: Recommend
    compare: Compare
    study: Study = Study()  # an analysis: a file without it is whole
