"""The page of a benchmark: what was run, the table, and what differs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from model.measures import split_metric, split_name
from pipeline.comparison.published_numbers import TITLES
from pipeline.comparison.user_metrics import legend, short
from pipeline.pages import markdown_table

COMMAND = "snakemake --cores 8 benchmark"


def page(found: Mapping[str, Any]) -> str:
    """Return the Markdown of benchmark.json's content."""
    lines = [f"# {found['dataset']} beside published numbers", ""]
    lines += [line for text in _opening(found) for line in (text, "")]
    lines += [*_table(found), "", _caption(found), ""]
    lines += [f"{n}. {text}" for n, text in enumerate(_sources(found), 1)]
    lines += ["", "## What differs", "", *(f"- {text}" for text in _differences(found))]
    return "\n".join(lines) + "\n"


def _counts(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{counts[key]:,} {key}" for key in ("users", "items", "interactions"))


def _opening(found: Mapping[str, Any]) -> Iterator[str]:
    budget, seeds = found["budget"], ", ".join(map(str, found["seeds"]))
    yield f"{_counts(found['counts'])}. {found['protocol']}"
    yield found["features"]
    yield (
        f"Epoch chosen on {found['selected_on']}, trained on {found['trained_on']}; at most "
        f"{budget['epochs']} epochs, measured every {budget['evaluate_every']}, patience "
        f"{budget['patience']}; batches of {budget['batch_size']:,}. Seeds of the training: "
        f"{seeds}."
    )
    yield f"Made by `{COMMAND}`."


def _table(found: Mapping[str, Any]) -> list[str]:
    head = ["model", "published as"]
    for metric in found["metrics"]:
        head += [_head(metric), "published", "difference"]
    head += ["epoch", "minutes"]
    rows = [_row(found, row) for row in found["rows"]]
    return markdown_table.lines(head, rows, f"ll{'r' * (len(head) - 2)}")


def _head(metric: str) -> str:
    return short(split_metric(metric)[1])


def _row(found: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    name, ours = row["model"], row["ours"]
    title = "–" if row["source"] is None else f"{TITLES.get(name, name)} [{row['source'] + 1}]"
    cells = [name if ours else "–", title]
    for metric in found["metrics"]:
        published = row["published"].get(metric)
        cells.append(_mean(ours[metric]) if ours else "–")
        cells.append("–" if published is None else f"{published:.4f}")
        percent = row["percent"].get(metric) if ours else None
        cells.append("–" if percent is None else f"{percent:+.1f} %")
    if not ours:
        return [*cells, "–", "–"]
    timed = [value for value in row["minutes"] if value is not None]
    minutes = f"{statistics.fmean(timed):.1f}" if timed else "–"
    return [*cells, ", ".join(map(str, row["epochs"])), minutes]


def _mean(value: Mapping[str, Any]) -> str:
    mean = f"{value['mean']:.4f}"
    return mean if value["sd"] is None else f"{mean} ± {value['sd']:.4f}"


def _caption(found: Mapping[str, Any]) -> str:
    parts = list(dict.fromkeys(split_metric(metric)[0] for metric in found["metrics"]))
    measures = [split_name(split_metric(metric)[1])[0] for metric in found["metrics"]]
    n = len(found["seeds"])
    spread = f"Mean ± standard deviation over {n} seeds (none is drawn without ±)"
    spread = spread if n > 1 else "One seed"
    return (
        f"{' and '.join(parts).capitalize()} ranking. {legend(list(dict.fromkeys(measures)))}"
        f"{spread}; epoch: the one chosen for each seed; minutes: of one training with its "
        "evaluation, the mean of the seeds. Difference: of our mean from the published number, "
        "in percent of that. A row with – as its model was published and is not trained here."
    )


def _sources(found: Mapping[str, Any]) -> list[str]:
    return found["published"]["sources"] if found["published"] else []


def _differences(found: Mapping[str, Any]) -> Iterator[str]:
    published = found["published"]
    for model, reason in found["left_out"].items():
        yield f"`{model}` is left out: it {reason}."
    if found["optimistic"]:
        yield "Optimistic: the epoch was chosen on test."
    if published is None:
        yield "No published numbers are linked with this dataset (`benchmark.published`)."
        return
    yield f"Data. {_data(found)} Published split: {published['split']}"
    yield f"Ranking. {_ranking(found)}"
    yield (
        f"Choice of the epoch. Here: {found['selected_on']}, trained on {found['trained_on']}. "
        f"Published: {published['selection']}"
    )
    here = found["features"].removeprefix("Features: ")
    yield f"Features. Here: {here} Published: {published['features']}"
    own = ", ".join(f"`{model}`" for model in found["own_settings"])
    others = "have their defaults, most of them chosen on another dataset"
    here = f"{own} with settings for this dataset, the others {others}"
    here = here if own else f"all models {others}"
    yield f"Settings. Here, in params.yaml: {here}. Published: {published['settings']}"
    last = found["budget"]["epochs"]
    if rising := [row["model"] for row in found["rows"] if last in row.get("epochs", [])]:
        names = ", ".join(f"`{model}`" for model in rising)
        yield f"Best at the last epoch allowed, {last}, so under-trained: {names}."
    yield f"Training. Here: triples by `train.sampling: {found['sampling']}`."


def _data(found: Mapping[str, Any]) -> str:
    published = found["published"]
    if found["counts"] == published["counts"]:
        return (
            f"The counts are those of {published['title']}. That each interaction is in the "
            "same part as there is not checked: another draw moves the numbers."
        )
    return (
        f"Not the same data: {published['title']} has {_counts(published['counts'])}, here "
        f"there are {_counts(found['counts'])}."
    )


def _ranking(found: Mapping[str, Any]) -> str:
    published = found["published"]
    hidden = found["mask"].replace("_", " and ")
    here = f"Here the full ranking hides a user's items of {hidden}"
    same = "the same" if found["mask"] == published["mask"] else "not the same"
    if not published["mask"]:
        same = "not comparable, since the published ranking is no full one"
    return f"{here}: {same}. Published: {published['ranking']}"
