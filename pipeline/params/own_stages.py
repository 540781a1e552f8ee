"""Settings of stages for one dataset: the key `datasets` in the section of any stage.

    train: {epochs: 400, batch_size: 2048, datasets: {shop: {epochs: 60}}}

A dataset's entry changes the keys that it names. That of `split` replaces the section, since
every method has its own keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.job.errors import ParamsError
from pipeline.params.section import Section
from pipeline.params.stages import Stages
from pipeline.params.yaml_file import unknown, validate

KEY = "datasets"
REPLACED = ("split",)  # by a dataset's entry, not changed
Raw = Mapping[str, Any]


def shared(raw: Raw) -> dict[str, Any]:
    """Return the content of params.yaml with its stages as they are for all datasets."""
    return {
        key: {k: v for k, v in section.items() if k != KEY}
        if key in Stages.model_fields and isinstance(section, dict)
        else section
        for key, section in raw.items()
    }


def section_of(raw: Raw, stage: str, dataset: str) -> Any:
    """Return the content of a stage's section for a dataset, before it is checked."""
    section, own = shared(raw)[stage], entries(raw, stage).get(dataset)
    return section if own is None else own if stage in REPLACED else {**section, **own}


def entries(raw: Raw, stage: str) -> dict[str, dict[str, Any]]:
    """Return `{dataset: changes}` of a stage; empty without such a key.

    Raises:
        ParamsError: not a mapping of datasets to mappings.
    """
    section = raw.get(stage)
    if not isinstance(section, dict) or KEY not in section:
        return {}
    by_dataset, where = section[KEY], f"params.yaml: {stage}.{KEY}"
    if not isinstance(by_dataset, dict):
        raise ParamsError(f"{where}: expected a mapping of datasets, got {by_dataset!r}")
    for dataset, changes in by_dataset.items():
        if not isinstance(changes, dict):
            raise ParamsError(f"{where}.{dataset}: expected a mapping, got {changes!r}")
    return by_dataset


def typed(raw: Raw, file: Stages, sources: Mapping[str, Any]) -> dict[str, dict[str, Section]]:
    """Return `{dataset: {stage: its section there}}` of the stages with a key `datasets`.

    Args:
        raw: the content of params.yaml.
        file: the sections for all datasets.
        sources: by dataset; every one of these gets an entry.

    Raises:
        ParamsError: a dataset that `sources` lacks, or a section that is not valid there.
    """
    stages = [stage for stage in Stages.model_fields if entries(raw, stage)]
    for stage in stages:
        for dataset in entries(raw, stage):
            if dataset not in sources:
                what = f"no dataset {dataset!r}"
                raise unknown(f"{stage}.{KEY}", what, sources, "a source")
    for_all: dict[str, Section] = {stage: getattr(file, stage) for stage in stages}
    made = {dataset: dict(for_all) for dataset in sources}
    everything = {stage: raw[stage] for stage in Stages.model_fields} if stages else {}
    for dataset in {name: None for stage in stages for name in entries(raw, stage)}:
        changed = [stage for stage in stages if dataset in entries(raw, stage)]
        sections = {stage: section_of(raw, stage, dataset) for stage in changed}
        valid = validate(Stages, shared(everything) | sections, "", inside=(KEY, dataset))
        made[dataset] |= {stage: getattr(valid, stage) for stage in changed}
    return made
