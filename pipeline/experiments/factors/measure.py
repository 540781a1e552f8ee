r"""Stage `study`: how much of a score comes from what nobody chooses by.

    data/raw/D (ground truth), data/processed/D, data/features/D, data/images/D, checkpoints
        -> results/D/{study.json,study.md,study.svg}

The paper's counterfactual layers are to keep preference-irrelevant content out of the scores.
In a dataset of format `sample` it is known what is irrelevant. Of some items copies are made in
which one factor is changed: one that people choose by (colour, pattern, fabric) or one that
only decides what they are shown (background, photo style, brand, slogan). A copy's features
take the place of its item's in the trained model, one copy at a time, and the item's score and
rank are compared with before. Models of ids alone do not see a copy and are left out.

    python -m pipeline.experiments.factors.measure sample data/raw/sample \
        data/processed/sample data/features/sample data/images/sample.parquet results/sample
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from model.parts.content import FeatureNorm
from pipeline import params
from pipeline.experiments.factors import effects as study_report
from pipeline.experiments.factors import plot
from pipeline.experiments.factors.copies import (
    Copied,
    Features,
    Originals,
    choose,
    copied_features,
    scaled,
)
from pipeline.experiments.factors.effects import Effects
from pipeline.extractors import Machine, n_cpus
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.learning.dataset import Dataset, load_features
from pipeline.pages.files import STUDY_JSON, STUDY_MD, STUDY_SVG
from pipeline.sources.sample import copies
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_json, write_text

DRAWS, RESAMPLING = 4, 5  # streams of the seed; the dump draws from 0 to 3
LEAST = 1e-12  # a standard deviation of 0 is taken for this
log = logging.getLogger("study")

Score: TypeAlias = Callable[[Features], Tensor]  # features of all items -> (U, I)


def sample_source(settings: params.Params, dataset: str) -> params.SampleSource:
    """Return the generator's settings, or raise ParamsError for data of another origin."""
    source = settings.source(dataset)
    if not isinstance(source, params.SampleSource):
        raise ParamsError(
            f"params.yaml: sources.{dataset}.format: expected sample, got {source.format}: "
            "what people choose by is known of generated items only"
        )
    return source


def modalities_read(settings: params.Params, dataset: str) -> dict[str, list[str]]:
    """Return `{model: modalities}` of the models that read content, or raise ParamsError."""
    models = settings.content_models(dataset)
    if not models:
        raise ParamsError(
            "params.yaml: models: expected one that reads content, such as mcln, got "
            f"{settings.models}; ids alone do not see a change of a picture or a title"
        )
    return {model: settings.model_modalities(model, dataset) for model in models}


def effects(score: Score, features: Features, items: Sequence[int], copied: Copied) -> Effects:
    """Return what each copy does to its item's score and rank.

    Args:
        score: the trained model's scores on given features.
        features: of all items as they are, scaled.
        items: n items.
        copied: factor -> modality -> (n, width), the copies' features.

    Returns:
        For each factor that shows in a feature: (n, 2), see `effect`.
    """
    before, found = score(features), {}
    for factor, rows in copied.items():
        shows = torch.stack([(row != features[m][items]).any(1) for m, row in rows.items()])
        if not shows.any():
            continue
        found[factor] = np.zeros((len(items), 2))
        for place in torch.nonzero(shows.any(0)).flatten().tolist():
            item = items[place]
            one = {m: _with_row(features[m], item, row[place]) for m, row in rows.items()}
            found[factor][place] = effect(before, score(one), item)
    return found


def effect(before: Tensor, after: Tensor, item: int) -> tuple[float, float]:
    """Return how far an item moves from one (U, I) table of scores to another.

    Returns:
        Means over users of the absolute change of its score, in standard deviations of the
        user's scores before, and of its rank among all items, in places.
    """
    spread = before.std(dim=1).clamp_min(LEAST)
    moved = (after[:, item] - before[:, item]).abs() / spread
    ranks = [(scores > scores[:, item, None]).sum(1) for scores in (before, after)]
    return moved.mean().item(), (ranks[1] - ranks[0]).abs().double().mean().item()


def _with_row(feature: Tensor, item: int, row: Tensor) -> Tensor:
    feature = feature.clone()
    feature[item] = row
    return feature


def trained_score(settings: params.Params, arguments: Arguments, dataset: Dataset) -> Score:
    """Return the scores of a trained model as a function of the features, already scaled.

    Args:
        settings: the file params.yaml.
        arguments: names, folders and device.
        dataset: the processed tables.
    """
    read = settings.model_modalities(arguments.model, arguments.dataset)
    other = {} if _norm(settings, arguments) is None else {"feature_norm": "none"}

    def score(features: Features) -> Tensor:
        # In the order of training: the model's weights know the modalities by their place.
        used = {modality: features[modality] for modality in read}
        model, _ = restored(settings, arguments, dataset, used, **other)
        with torch.inference_mode():
            scores: Tensor = model.scorer()(torch.arange(dataset.n_users))  # type: ignore[operator]
            return scores.cpu()

    return score


def _norm(settings: params.Params, arguments: Arguments) -> FeatureNorm | None:
    """Return how the model scales features; None if it takes no order in this."""
    return getattr(settings.model(arguments.model, arguments.dataset), "feature_norm", None)


def _arguments(argv: list[str] | None) -> Namespace:
    arguments = parser(
        __doc__,
        "dataset",
        "raw",
        "processed",
        "features",
        "images",
        "results",
        "--device",
        "--threads",
    )
    return arguments.parse_args(argv)


def _read(
    args: Namespace,
    settings: params.Params,
    source: params.SampleSource,
    modalities: Iterable[str],
) -> Originals:
    table = read_parquet(args.processed / s.ITEMS_FILE, s.ITEMS).sort(s.ITEM)
    return Originals(
        settings=settings,
        dataset=args.dataset,
        catalogue=copies.redraw(source, settings.seed, args.raw),
        table=table,
        images=args.images,
        features=load_features(args.features, list(modalities), table.height),
        machine=Machine(device=args.device, threads=args.threads or n_cpus()),
    )


def _effects(
    args: Namespace, model: str, originals: Originals, items: list[int], copied: Copied
) -> Effects:
    """Return the effects on one model, whose modalities are those of `originals`."""
    dataset = Dataset(args.processed)
    folders = args.processed, args.features, args.results / model
    names = Arguments(args.dataset, model, *folders, args.device)
    norm = _norm(originals.settings, names) or "none"
    features, rows = scaled(originals.features, items, copied, norm)
    log.info("%s %s: %d copies", args.dataset, model, len(items) * len(rows))
    return effects(trained_score(originals.settings, names, dataset), features, items, rows)


@contextmanager
def _without_counts() -> Iterator[None]:
    """Keep the readers from counting lines: each changed catalogue is read like a dump."""
    readers = logging.getLogger("pipeline.sources")
    level = readers.level
    readers.setLevel(logging.WARNING)
    try:
        yield
    finally:
        readers.setLevel(level)


def main(argv: list[str] | None = None) -> None:
    """Read, make the copies, score them, write."""
    args = _arguments(argv)
    settings = params.load()
    source = sample_source(settings, args.dataset)
    read = modalities_read(settings, args.dataset)
    every = dict.fromkeys(modality for own in read.values() for modality in own)
    originals = _read(args, settings, source, every)
    generator = np.random.default_rng([settings.seed, DRAWS])
    chosen = choose(originals.table, originals.catalogue, settings.study.items, generator)
    with _without_counts():
        copied = copied_features(originals, chosen, generator)

    use_threads(args.threads)
    items = chosen[s.ITEM].to_list()
    found = {
        model: _effects(args, model, originals.only(modalities), items, copied)
        for model, modalities in read.items()
    }
    facts = {
        "dataset": args.dataset,
        "seed": settings.seed,
        "left_out": [model for model in settings.models if model not in read],
    }
    draws = np.random.default_rng([settings.seed, RESAMPLING])
    table = facts | study_report.table(originals.features, items, copied, found, draws)
    text = study_report.markdown(table)
    log.info("%s:\n%s", args.dataset, text)
    write_json(table, args.results / STUDY_JSON)
    write_text(text, args.results / STUDY_MD)
    write_text(plot.figure(table), args.results / STUDY_SVG)


if __name__ == "__main__":
    run(main)
