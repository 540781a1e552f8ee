"""The evaluation protocol and the features in words, as printed above every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.job.errors import SchemaError
from pipeline.tables.schema import COLD_ITEMS, TEST, TRAIN, VALIDATION

LEARNED = ("trained", "fitted")  # on the dataset's own text: the extractor says so


def in_words(metrics: Mapping[str, Any]) -> str:
    """Return the protocol behind a model's metrics.json, in a few sentences."""
    candidates, items = (metrics[part]["candidates"] for part in ("sampled", "full"))
    mask = metrics["full"].get("mask", "train_validation").replace("_", " or ")
    return (
        f"{_split(metrics)} sampled-{candidates - 1}: 1 target among "
        f"{candidates} candidates, the same for every model; full: ranking over {items} items "
        f"without those that the user has in {mask}. A tie counts against the "
        "target."
    )


def new_items_in_words(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which models do not score new items from content; nothing for other splits."""
    others = [m for m, content in metrics.items() if not content.get("scores_new_items", True)]
    if not others:
        return ""
    return (
        f" Not made for new items: {', '.join(others)}. They score items that are not in train "
        "at random, or all alike."
    )


def check_same(metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise SchemaError if the models of these metrics.json were not ranked in the same way."""
    candidates = {model: content["sampled"]["candidates"] for model, content in metrics.items()}
    masks = {model: content["full"].get("mask") for model, content in metrics.items()}
    same = {"ranked among the same number of candidates": candidates}
    same |= {"whose full ranking hides the same": masks}
    for expected, got in same.items():
        if len(set(got.values())) > 1:
            raise SchemaError(
                f"expected models {expected}, got {got}; run the stage evaluate again for all"
            )


def features_in_words(read: Mapping[str, Mapping[str, str]]) -> str:
    """Return what the models read, in a sentence, with `untrained` where weights are random.

    Args:
        read: of each modality, the metadata of its file, see `tables.features.METADATA`.
    """
    features = [f"{modality}: {_feature(facts)}" for modality, facts in read.items()]
    return f"Features: {'; '.join(features) or 'none, the models read interactions alone'}."


def _feature(facts: Mapping[str, str]) -> str:
    if facts["extractor"] == "none":
        return "none"
    weights = "" if facts["weights"] in LEARNED else f", {facts['weights']}"
    return f"{facts['extractor']} of {facts['field']}{weights}"


def _split(metrics: Mapping[str, Any]) -> str:
    """Return how the data were split, and over which users and items the metrics are means."""
    split = metrics.get("split")
    if not split:
        return f"Leave-one-out over {metrics['n_users']} users."
    test = split[TEST]
    if split["method"] == "ratio":
        how = (
            f"The last {split['shares'][2]:g} of each user's interactions, and the "
            f"{split['shares'][1]:g} before as validation"
        )
    elif split["method"] == COLD_ITEMS:
        train, validation, n_test = (split["items"][name] for name in (TRAIN, VALIDATION, TEST))
        how = (
            f"New items: {n_test} drawn at random for test and {validation} for validation, "
            f"{train} remain for train. Both rankings are among those of test alone"
        )
    elif split["method"] == "labels":
        how = "Train, validation and test as labelled in the file"
    else:
        start = split["validation_from"]
        how = f"Interactions from {split['test_from']} on, and those from {start} as validation"
    return (
        f"{how}: means over {test['users']} users with {test['targets']} test items; "
        f"{test['users_without_targets']} users have none, and "
        f"{test['targets_of_unknown_users']} test items are of users whom train lacks and left "
        "out."
    )
