"""The settings of every stage, as sections of params.yaml, in running order."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from model.measures import FULL, MEASURES, SELECT_BY, split_metric
from pipeline.params.section import Count, Name, Positive, Section, Share, Whole


class Download(Section):
    """Retries and limits of the download."""

    retries: Whole
    timeout: Positive  # seconds without a byte
    connections: Count = 4  # to all servers together
    max_megabytes_per_second: Positive | None = None  # of all connections together


class Ingest(Section):
    """What ingest tolerates in raw files."""

    max_bad_lines: Whole  # records that are skipped, per file
    # of the values of an optional field in a file: the share that may be there without being
    # understood, such as "perhaps" for a flag; they count as absent
    max_not_understood: Share = 0.01
    # of the items of the interactions, or of the items table if that has fewer: the share that
    # must be in both. Ids of two catalogues, or of one in two notations, share less; a table
    # that has only a part of the catalogue shares nearly all of that part.
    min_known_items: Share = 0.1


def _check_day(value: object) -> object:
    if isinstance(value, date):  # what YAML makes of 2014-07-01
        raise PydanticCustomError("day", "write it in quotes, as a text")
    try:
        date.fromisoformat(str(value))
    except ValueError:
        raise PydanticCustomError("day", "expected a day such as '2014-07-01'") from None
    return value


Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$"), BeforeValidator(_check_day)]
ProperShare = Annotated[float, Field(gt=0, lt=1)]
SUM_ERROR = 1e-9  # rounding error of shares that add up to 1


class KCore(Section):
    """Which users and items are kept."""

    k: Count  # interactions that each user and each item must have
    k_user: Count | None = None  # of each user, if not k
    k_item: Count | None = None  # of each item, if not k
    require: list[str]  # item fields that must not be empty, such as image
    min_rating: Annotated[float, Field(allow_inf_nan=False)] | None = None  # stars
    verified: bool | None = None  # only reviews of verified purchases
    since: Day | None = None  # UTC; the first day that is kept
    before: Day | None = None  # UTC; the first day that is not kept
    max_per_user: Count | None = None  # items; users with more, such as bots, are left out

    @model_validator(mode="after")
    def _check_days(self) -> KCore:
        if self.since and self.before and self.since >= self.before:
            raise PydanticCustomError("day", "expected `since` to be earlier than `before`")
        return self


class LeaveOneOut(Section):
    """Each user's last interaction is for test, the one before for validation."""

    method: Literal["leave_one_out"]


class Shares(Section):
    """Shares of train, validation and test."""

    # they add up to 1
    shares: Annotated[list[ProperShare], Field(min_length=3, max_length=3)]

    @model_validator(mode="after")
    def _check_sum(self) -> Shares:
        if abs(sum(self.shares) - 1) > SUM_ERROR:
            raise PydanticCustomError("shares", "expected `shares` that add up to 1")
        return self


class RatioSplit(Shares):
    """The last shares of each user's interactions are for validation and test."""

    method: Literal["ratio"]


class ColdItemsSplit(Shares):
    """Shares of the items, drawn by the seed: no part has items of another one."""

    method: Literal["cold_items"]


class TimeSplit(Section):
    """The same two instants for all users: days, or shares of all interactions."""

    method: Literal["time"]
    validation_from: Day | None = None  # UTC; the first day of validation
    test_from: Day | None = None  # UTC; the first day of test
    # shares of all interactions before validation, and before test
    quantiles: Annotated[list[ProperShare], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _check_instants(self) -> TimeSplit:
        days = [day for day in (self.validation_from, self.test_from) if day]
        if len(days) != (0 if self.quantiles else 2):
            raise PydanticCustomError(
                "instants", "expected either `quantiles`, or `validation_from` and `test_from`"
            )
        first, second = map(str, self.quantiles or days)  # which sort as the values do
        if first >= second:
            raise PydanticCustomError("instants", "expected validation to begin before test")
        return self


Split = Annotated[
    LeaveOneOut | RatioSplit | TimeSplit | ColdItemsSplit, Field(discriminator="method")
]


class Images(Section):
    """Limits of fetching pictures."""

    connections: Count  # to all hosts together
    connections_per_host: Count
    processes: Count = 1  # that share hosts and connections
    retries: Whole
    timeout: Positive  # seconds
    max_megabytes: Positive  # per picture
    max_failed: Share  # share of items whose picture is unavailable
    # also fetch from this machine and its network, where an address may name any service
    allow_private: bool = False


def _check_metric(value: str) -> str:
    try:
        split_metric(value)
    except ValueError as error:
        raise PydanticCustomError("metric", "{error}", {"error": str(error)}) from None
    return value


def _check_measure(value: str) -> str:
    if value not in MEASURES[FULL]:
        message = f"expected one of {', '.join(MEASURES[FULL])}"
        raise PydanticCustomError("measure", "{message}", {"message": message})
    return value


class Train(Section):
    """The budget and how the best epoch is chosen, the same for every model."""

    epochs: Count
    batch_size: Count
    evaluate_every: Count  # epochs
    patience: Count  # evaluations without an improvement on validation
    refit: bool
    select_on: Literal["validation", "test"]
    # The metric by which the epoch is chosen: protocol, measure and k, such as full recall@20.
    select_by: Annotated[str, AfterValidator(_check_metric)] = SELECT_BY
    # triples of an epoch: distinct users with one of their items, or a pass over the pairs
    sampling: Literal["users", "pairs"] = "users"


class Evaluate(Section):
    """Cut-offs of the metrics, and what is ranked."""

    k: Annotated[list[Count], Field(min_length=1)]
    # shown in tables, where the protocol has them; metrics.json has all that there are
    metrics: Annotated[
        list[Annotated[str, AfterValidator(_check_measure)]], Field(min_length=1)
    ] = Field(default_factory=lambda: ["hr", "ndcg"])
    # what the full ranking of test hides: the user's items in these parts
    mask: Literal["train_validation", "train"] = "train_validation"
    # items that the user never met, with which each held-out item is ranked; drawn by `split`
    candidates: Count = 99


class Recommend(Section):
    """Length of the lists."""

    k: Count


class Deploy(Section):
    """What goes to production; asked for by name, no part of `evaluate`."""

    model: Name | None = None  # the one that the target `deploy` trains
    k: Count = 100  # items per user
    faiss: bool = False  # also write a search index of the items


class Compare(Section):
    """Size of the report's gallery."""

    users: Count
    k: Count


class Stages(Section):
    """The sections of every stage; each may have `datasets`, see own_stages.py."""

    download: Download
    ingest: Ingest
    kcore: KCore
    split: Split
    images: Images
    train: Train
    evaluate: Evaluate
    recommend: Recommend
    compare: Compare
