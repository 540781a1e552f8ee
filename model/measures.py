"""The names of metrics: `full recall@20` is a protocol, a measure and a cut-off.

model/metrics.py computes them from tensors, pipeline/tables/rank_metrics.py from tables.
"""

from __future__ import annotations

import re

SAMPLED, FULL = "sampled", "full"
SELECT_BY = "sampled ndcg@10"  # the default of train.select_by
# Sampled, each held-out item has candidates of its own: there is no list of the user of which a
# part could be relevant, and HR and recall are the same.
MEASURES = {
    SAMPLED: ("hr", "recall", "ndcg", "mrr"),
    FULL: ("hr", "recall", "precision", "ndcg", "map", "mrr"),
}
WORDS = {  # of which texts are made
    "hr": "HR",
    "recall": "Recall",
    "precision": "Precision",
    "ndcg": "NDCG",
    "map": "MAP",
    "mrr": "MRR",
}
NAME = re.compile(r"([a-z]+)@([1-9][0-9]*)")


def split_name(name: str) -> tuple[str, int]:
    """Return the measure and k of a name such as `ndcg@10`, or raise ValueError."""
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(f"expected a measure and k such as ndcg@10, got {name!r}")
    return match[1], int(match[2])


def split_metric(metric: str) -> tuple[str, str]:
    """Return the protocol and the name of a metric such as `full recall@20`.

    Raises:
        ValueError: it is not written so, or the protocol has no such measure.
    """
    protocol, _, name = metric.partition(" ")
    if protocol not in MEASURES:
        raise ValueError(
            f"expected {SAMPLED} or {FULL}, then a measure and k, such as `full recall@20`, "
            f"got {metric!r}"
        )
    measure, _ = split_name(name)
    if measure not in MEASURES[protocol]:
        raise ValueError(
            f"expected one of {', '.join(MEASURES[protocol])} in the {protocol} ranking, got "
            f"{measure!r}"
        )
    return protocol, name


def in_words(part: str, metric: str) -> str:
    """Return what chose an epoch, as metrics.json has it: `validation ndcg@10 (sampled)`."""
    protocol, name = split_metric(metric)
    return f"{part} {name} ({protocol})"


def is_measured(protocol: str, name: str) -> bool:
    """Return whether a protocol has the measure of a name such as `map@10`."""
    return split_name(name)[0] in MEASURES[protocol]
