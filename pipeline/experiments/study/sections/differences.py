"""The section on what differs from the paper, made from the settings and the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.experiments.study.sections.section import Part, Row, Table
from pipeline.params import Params, study
from pipeline.params.cell import text

OWN_FORM = ("mcln", "mcln_printed")  # as params.yaml has it; as the paper prints it
PAPER_FEATURES = {"visual": "a VGG's 4,096 numbers of a picture"}


def part(settings: Params, tables: Mapping[str, Any]) -> Part:
    """Return the section."""
    return Part(
        name="differences",
        title="What differs from the paper, and why",
        text=[
            *_data(tables),
            _protocol(tables),
            _budget(settings, tables),
            *_form(settings, tables["dataset"]),
        ],
        tables=list(_numbers(tables)),
    )


def _data(tables: Mapping[str, Any]) -> Iterator[str]:
    data = tables["data"]
    ours, paper = data["ours"], data["paper"]
    if paper is None:
        yield (
            f"Data. {tables['dataset']} is none of the paper's splits, so that no number of "
            "the paper stands beside these, and an order of models found here says nothing of "
            "theirs."
        )
    else:
        same = all(ours[key] == paper[key] for key in ("users", "items", "interactions"))
        yield f"Data. The counts of Table 1 are {'the same' if same else 'not the same'}."
    for modality in data["modalities"]:
        facts = data["features"][modality]
        expected = PAPER_FEATURES.get(modality, "300 numbers from sentence embeddings (SIF)")
        untrained = ", whose weights are random" if "untrained" in facts["weights"] else ""
        yield (
            f"Features, {modality}. Here: {facts['extractor']} of {facts['field']}{untrained}, "
            f"{int(facts['dim']):,} numbers. The paper: {expected}."
        )


def _protocol(tables: Mapping[str, Any]) -> str:
    choice = (
        "The epoch was chosen on test here too: the numbers are optimistic"
        if tables["optimistic"]
        else "The released code measures on test every few epochs and keeps the best, which "
        "raises its numbers; here validation chooses the epoch and test is opened once"
    )
    return (
        f"Protocol. {choice}. The {tables['candidates']['sampled'] - 1} negatives are drawn "
        "once and are the same for all models; the released code draws them anew each time. A "
        "tie counts against the target."
    )


def _budget(settings: Params, tables: Mapping[str, Any]) -> str:
    budget = study.budget(settings)
    searched = (
        "Each model's settings are what its sweep found best on validation, in the ranges of "
        "the paper's section 4.1.4"
        if budget.search
        else "Settings were not searched for this dataset and budget, as they were in the paper"
    )
    short = (
        f" At most {budget.epochs} epochs are too few for some models: they are under-trained, "
        "and not equally so."
        if budget.epochs < settings.train.epochs
        else ""
    )
    return f"Budget {tables['budget']['name']}. {searched}.{short} The paper states no seeds."


def _form(settings: Params, dataset: str) -> Iterator[str]:
    """Yield in which settings mcln is not the form that the paper prints."""
    if any(name not in settings.sections for name in OWN_FORM):
        return
    ours, printed = (settings.model(name, dataset).model_dump() for name in OWN_FORM)
    differing = [
        f"{key} {text(value)} (paper: {text(printed[key])})"
        for key, value in ours.items()
        if value != printed[key]
    ]
    if differing:
        yield (
            "MCLN. The equations can be read in more than one way, and the form here is what "
            f"won on Beauty's validation: {'; '.join(differing)}. The model mcln_printed is "
            "the paper's own form."
        )


def _numbers(tables: Mapping[str, Any]) -> Iterator[Table]:
    rows = []
    for name in tables["order"]:
        for measure in ("hr@5", "ndcg@5"):
            gaps = {
                row["label"]: row["sampled"][measure]["mean"] - row["paper"][measure]
                for row in tables["tables"][name]["rows"]
                if row["paper"] and measure in row["sampled"]
            }
            if gaps:
                low, high = min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)
                mean = sum(gaps.values()) / len(gaps)
                ends = [f"{gaps[row]:+.4f} ({row})" for row in (low, high)]
                rows.append(Row(cells=[f"{name}, {measure}", f"{mean:+.4f}", *ends]))
    if rows:
        yield Table(
            title="Here less printed",
            head=["", "mean", "lowest", "highest"],
            rows=rows,
            caption="Sampled measures, mean over the seeds, less what the paper prints.",
        )
