r"""Rule `factors`: how much of a score comes from factors irrelevant to preference.

    data/raw/D (ground truth), data/processed/D, data/features/D, data/images/D, checkpoints
        -> results/D/{factors.json,factors.md,factors.svg}

The paper's counterfactual layers are to keep preference-irrelevant content out of the scores. A
dataset of format `sample` knows what is irrelevant. Of some items copies are made in which one
factor is changed: one that people choose by (colour, pattern, fabric) or one that only decides
what they are shown (background, photo style, brand, slogan). A copy's features replace those of
its item in the trained model, one copy at a time, and the item's score and rank are compared
with those before. Models of ids alone do not see a copy and are left out.

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
from pipeline.experiments.factors import plot
from pipeline.experiments.factors.copies import (
    Copied,
    Features,
    Originals,
    choose,
    copied_features,
    scaled,
)
from pipeline.experiments.factors.effects import Effects, markdown, table
from pipeline.extractors.extraction import Machine, n_cpus
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.learning.dataset import Dataset, load_features, load_tokens
from pipeline.pages import file_names
from pipeline.sources.sample import copies
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_json, write_text

DRAWS, RESAMPLING = 4, 5  # streams of the seed; the dump draws from 0 to 3
LEAST = 1e-12  # replaces a standard deviation of 0
log = logging.getLogger("factors")

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
    before, by_factor = score(features), {}
    for factor, rows in copied.items():
        shows = torch.stack([(row != features[m][items]).any(1) for m, row in rows.items()])
        if not shows.any():
            continue
        by_factor[factor] = np.zeros((len(items), 2))
        for place in torch.nonzero(shows.any(0)).flatten().tolist():
            item = items[place]
            copy = {m: _with_row(features[m], item, row[place]) for m, row in rows.items()}
            by_factor[factor][place] = effect(before, score(copy), item)
    return by_factor


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
    """Return the scores of a trained model as a function of the features, already scaled."""
    modalities = settings.model_modalities(arguments.model, arguments.dataset)
    kinds = settings.model_tokens(arguments.model, arguments.dataset)
    tokens = load_tokens(arguments.features, kinds, dataset.n_items)  # a copy keeps its item's
    other = {} if _norm(settings, arguments) is None else {"feature_norm": "none"}

    def score(features: Features) -> Tensor:
        # In the order of training: the model's weights know the modalities by their place.
        used = {modality: features[modality] for modality in modalities}
        model, _ = restored(settings, arguments, dataset, used | tokens, **other)
        with torch.inference_mode():
            scores: Tensor = model.scorer()(torch.arange(dataset.n_users))  # type: ignore[operator]
            return scores.cpu()

    return score


def _norm(settings: params.Params, arguments: Arguments) -> FeatureNorm | None:
    """Return how the model scales features; None if it has no such setting."""
    return getattr(settings.model(arguments.model, arguments.dataset), "feature_norm", None)


def _read(args: Namespace, settings: params.Params, modalities: Iterable[str]) -> Originals:
    source = sample_source(settings, args.dataset)
    items = read_parquet(args.processed / s.ITEMS_FILE, s.ITEMS).sort(s.ITEM)
    return Originals(
        settings=settings,
        dataset=args.dataset,
        catalogue=copies.redraw(source, settings.seed, args.raw),
        table=items,
        images=args.images,
        features=load_features(args.features, list(modalities), items.height),
        machine=Machine(device=args.device, threads=args.threads or n_cpus()),
    )


def _effects(
    args: Namespace, model: str, originals: Originals, items: list[int], copied: Copied
) -> Effects:
    """Return the effects on one model, whose modalities are those of `originals`."""
    folders = args.processed, args.features, args.results / model
    arguments = Arguments(args.dataset, model, *folders, args.device)
    norm = _norm(originals.settings, arguments) or "none"
    features, rows = scaled(originals.features, items, copied, norm)
    log.info("%s %s: %d copies", args.dataset, model, len(items) * len(rows))
    score = trained_score(originals.settings, arguments, Dataset(args.processed))
    return effects(score, features, items, rows)


@contextmanager
def _without_counts() -> Iterator[None]:
    """Keep the readers from logging counts: each changed catalogue is read like a dump."""
    readers = logging.getLogger("pipeline.sources")
    level = readers.level
    readers.setLevel(logging.WARNING)
    try:
        yield
    finally:
        readers.setLevel(level)


def main(argv: list[str] | None = None) -> None:
    """Read, make the copies, score them, write."""
    names = "dataset", "raw", "processed", "features", "images", "results"
    args = parser(__doc__, *names, "--device", "--threads").parse_args(argv)
    settings = params.load()
    sample_source(settings, args.dataset)
    by_model = modalities_read(settings, args.dataset)
    modalities = dict.fromkeys(name for read in by_model.values() for name in read)
    originals = _read(args, settings, modalities)
    generator = np.random.default_rng([settings.seed, DRAWS])
    n_items = settings.factors.items
    chosen = choose(originals.table, originals.catalogue, n_items, generator)
    with _without_counts():
        copied = copied_features(originals, chosen, generator)

    use_threads(args.threads)
    items = chosen[s.ITEM].to_list()
    of_models = {
        model: _effects(args, model, originals.only(read), items, copied)
        for model, read in by_model.items()
    }
    draws = np.random.default_rng([settings.seed, RESAMPLING])
    summary = {
        "dataset": args.dataset,
        "seed": settings.seed,
        "left_out": [model for model in settings.models if model not in by_model],
    } | table(originals.features, items, copied, of_models, draws)
    text = markdown(summary)
    log.info("%s:\n%s", args.dataset, text)
    write_json(summary, args.results / file_names.FACTORS_JSON)
    write_text(text, args.results / file_names.FACTORS_MD)
    write_text(plot.draw(summary), args.results / file_names.FACTORS_SVG)


if __name__ == "__main__":
    run(main)
