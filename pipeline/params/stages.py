"""The settings of every stage, as sections of params.yaml: one each, in running order."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.params.section import Count, Name, Positive, Section, Share


class Download(Section):
    """How patient the download is."""

    retries: Annotated[int, Field(ge=0)]
    timeout: Positive  # seconds without a byte
    connections: Count = 4  # at once, to all servers together
    max_megabytes_per_second: Positive | None = None  # of all connections together


class Ingest(Section):
    """What ingest tolerates."""

    max_bad_lines: Annotated[int, Field(ge=0)]


def _as_day(written: object) -> object:
    if isinstance(written, date):  # YAML makes it of 2014-07-01
        raise PydanticCustomError("day", "write it in quotes, as a text")
    return written


def _is_day(written: str) -> str:
    try:
        date.fromisoformat(written)
    except ValueError:
        raise PydanticCustomError("day", "expected a day such as '2014-07-01'") from None
    return written


Day = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\d$"), AfterValidator(_is_day), BeforeValidator(_as_day)
]


Within = Annotated[float, Field(gt=0, lt=1)]
SUM_ERROR = 1e-9  # of shares that add up to 1


class Filters(Section):
    """What of `kcore` may differ between datasets; what is not set is as for all."""

    k: Count | None = None  # interactions of each user and of each item
    k_user: Count | None = None  # of each user, where that is not k
    k_item: Count | None = None  # of each item, where that is not k
    require: list[str] | None = None  # item fields that must not be empty, such as image
    min_rating: Annotated[float, Field(allow_inf_nan=False)] | None = None  # stars
    verified: bool | None = None  # only reviews of those who bought the item
    since: Day | None = None  # UTC; the first day
    before: Day | None = None  # UTC; the first day that is out

    @model_validator(mode="after")
    def _has_days(self) -> Filters:
        if self.since and self.before and self.since >= self.before:
            raise PydanticCustomError("day", "expected `since` to be earlier than `before`")
        return self


class KCore(Filters):
    """Which users and items stay."""

    k: Count
    require: list[str]
    datasets: dict[Name, Filters] = Field(default_factory=dict)

    def of(self, dataset: str) -> KCore:
        """Return the settings of a dataset: its own over those for all."""
        own = self.datasets.get(dataset, Filters())
        changes = {name: getattr(own, name) for name in own.model_fields_set}
        changes |= {
            name: getattr(self, name) for name in ("k", "require") if not changes.get(name)
        }
        return self.model_copy(update=changes | {"datasets": {}})


class LeaveOneOut(Section):
    """Each user's last interaction to test, the one before to validation."""

    method: Literal["leave_one_out"]


class RatioSplit(Section):
    """The last shares of each user's interactions to validation and test."""

    method: Literal["ratio"]
    # Of train, validation and test; they add up to 1.
    shares: Annotated[list[Within], Field(min_length=3, max_length=3)]

    @model_validator(mode="after")
    def _adds_up(self) -> RatioSplit:
        if abs(sum(self.shares) - 1) > SUM_ERROR:
            raise PydanticCustomError("shares", "expected `shares` that add up to 1")
        return self


class TimeSplit(Section):
    """The same two instants for everybody: either days, or shares of all interactions."""

    method: Literal["time"]
    validation_from: Day | None = None  # UTC; the first day that is no longer train
    test_from: Day | None = None  # UTC; the first day of test
    # Shares of all interactions that lie before validation, and before test.
    quantiles: Annotated[list[Within], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _has_two_instants(self) -> TimeSplit:
        days = [day for day in (self.validation_from, self.test_from) if day]
        if len(days) != (0 if self.quantiles else 2):
            raise PydanticCustomError(
                "instants", "expected either `quantiles`, or `validation_from` and `test_from`"
            )
        # Texts of days compare as the days do.
        if days != sorted(set(days)) or (self.quantiles or []) != sorted(
            set(self.quantiles or [])
        ):
            raise PydanticCustomError("instants", "expected validation to begin before test")
        return self


Split = Annotated[LeaveOneOut | RatioSplit | TimeSplit, Field(discriminator="method")]


class Images(Section):
    """How pictures are fetched."""

    connections: Count  # at once, to all hosts together
    connections_per_host: Count  # at once
    processes: Count = 1  # among which hosts and connections are divided
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
