"""How a model was measured, in the words that stand above every table.

Not a stage: what `compare` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.tables.schema import TEST


def in_words(found: Mapping[str, Any]) -> str:
    """Return the protocol behind a model's metrics.json, in a few sentences."""
    among, items = (
        found["sampled"].get("candidates", 100),
        found["full"].get("candidates", "all"),
    )
    return (
        f"{_split(found)} sampled-{among - 1}: 1 target among "
        f"{among} candidates, the same for every model; full: ranking over {items} items "
        "without those that the user has in train or validation. A tie counts against the "
        "target."
    )


def _split(found: Mapping[str, Any]) -> str:
    """Return how the data were split, over whom and over what measures are means."""
    said = found.get("split")
    if not said:
        return f"Leave-one-out over {found['n_users']} users."
    test = said[TEST]
    if said["method"] == "ratio":
        how = (
            f"The last {said['shares'][2]:g} of each user's interactions, and the "
            f"{said['shares'][1]:g} before as validation"
        )
    else:
        first = said["validation_from"]
        how = f"Interactions from {said['test_from']} on, and those from {first} as validation"
    return (
        f"{how}: means over {test['targets']} test items of {test['users']} users, each item "
        f"ranked by itself; {test['users_without_targets']} users have none, and "
        f"{test['targets_of_unknown_users']} test items are of users whom train lacks and left "
        "out."
    )
