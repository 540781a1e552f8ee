r"""Turn texts and features of items into tokens that several items share.

    data/processed/<dataset>/items.parquet, data/features/<dataset>/<feature>.parquet
        -> data/tokens/<dataset>.parquet

params.yaml's `tokens.<dataset>.<kind>` names an extractor: `words` of a field of the items, or
`visual_words`, which are clusters of a feature. The table has one row per item, ascending:
`item`, and a list of token ids for each kind. The schema's metadata describes each kind:
extractor, field or feature, settings, size of the vocabulary, number of tokens, versions.

A dataset without tokens gets a table with the items alone, since DVC plans the stage for every
dataset. Texts of reviews are not read: they may be of held-out interactions.

    python -m pipeline.tokens sample data/processed/sample data/features/sample \
        data/tokens/sample.parquet
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.extractors.item_tokens import ItemTokens, visual_words, words
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.params.tokens import Tokens, VisualWords
from pipeline.tables.features import read_features
from pipeline.tables.processed import read_items, text_column
from pipeline.tables.tokens import write_tokens

log = logging.getLogger("tokens")


def make(
    items: pl.DataFrame, features: Path, settings: Tokens, seed: int, where: str
) -> ItemTokens:
    """Return one kind of tokens.

    Args:
        items: schema.ITEMS, ascending.
        features: the folder of the dataset's features.
        settings: of the kind.
        seed: of `visual_words`.
        where: tokens.<dataset>.<kind>, for messages.

    Raises:
        ParamsError: the field is not a text column of the items.
        RawDataError: no item has a word, or there are fewer different items than clusters.
        SchemaError: the features are missing or damaged, or are of other items.
    """
    if not isinstance(settings, VisualWords):
        return words(text_column(items, settings.field, where), settings)
    path = features / f"{settings.feature}.parquet"
    present, feature, _ = read_features(path)
    if len(feature) != items.height:
        raise SchemaError(
            f"{path}: expected {items.height} rows, one per item, got {len(feature)}; run the "
            "stage features again"
        )
    return visual_words(present, feature, settings, seed)


def metadata(settings: Tokens, tokens: ItemTokens) -> dict[str, Any]:
    """Return the entries of `tables.tokens.METADATA`."""
    return {
        "extractor": settings.extractor,
        "read": settings.feature if isinstance(settings, VisualWords) else settings.field,
        "settings": settings.model_dump(),
        "vocabulary": tokens.vocabulary,
        "tokens": int(tokens.ids.list.len().sum()),
        "preprocessing": tokens.preprocessing,
        "versions": tokens.versions,
    }


def main(argv: list[str] | None = None) -> None:
    """Read, make every kind, write."""
    arguments = parser(__doc__, "dataset", "processed", "features")
    arguments.add_argument("output", type=Path, help="data/tokens/<dataset>.parquet")
    args = arguments.parse_args(argv)
    settings = params.load().of(args.dataset)
    items = read_items(args.processed)
    kinds, described = {}, {}
    for kind, section in settings.dataset_tokens(args.dataset).items():
        where = f"tokens.{args.dataset}.{kind}"
        tokens = make(items, args.features, section, settings.seed, where)
        kinds[kind], described[kind] = tokens.ids, metadata(section, tokens)
        log.info("%s: %d tokens of %d", where, described[kind]["tokens"], tokens.vocabulary)
    for kind in settings.tokens.get(args.dataset, {}).keys() - kinds.keys():
        log.warning(
            "tokens.%s.%s: left out, since features.%s lacks the feature that it names",
            *(args.dataset, kind, args.dataset),
        )
    write_tokens(kinds, described, items.height, args.output)


if __name__ == "__main__":
    run(main)
