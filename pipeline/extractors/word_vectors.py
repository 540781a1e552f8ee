"""Words of a text, and a vector for each word: trained on the dataset, or read from a file."""

from __future__ import annotations

import html
import re
import zlib
from pathlib import Path

import polars as pl
from gensim.models import KeyedVectors, Word2Vec

from pipeline.errors import ParamsError, RawDataError

TRAINED = "trained"  # the setting `weights`
NEGATIVES = 5  # noise words per positive; Mikolov et al. 2013 use 5 to 20 on small data
TAG = re.compile(r"<[a-zA-Z/!][^>]*>")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def tokenise(texts: pl.Series) -> pl.Series:
    """Return the words of each text.

    Args:
        texts: strings or token lists, (n,). Token lists are used as they are, less nulls and
            empty tokens. A string is unescaped, freed of HTML tags, lower-cased and cut into
            runs of letters and digits (an apostrophe may stand inside).

    Returns:
        (n,) list<string>, never null.

    Raises:
        RawDataError: there is not one word.
    """
    if texts.dtype == pl.String:
        words = [_words(text) for text in texts.fill_null("")]
        tokens = pl.Series(texts.name, words, pl.List(pl.String))
    else:
        tokens = texts.fill_null([]).list.drop_nulls()
        tokens = tokens.list.eval(pl.element().filter(pl.element() != ""))
    if not tokens.list.len().sum():
        raise RawDataError(
            f"field {texts.name!r}: expected text, got {len(texts)} items without a word; name "
            "another field, or leave this modality out of `features`"
        )
    return tokens


def _words(text: str) -> list[str]:
    return WORD.findall(TAG.sub(" ", html.unescape(text)).lower().replace("’", "'"))


def train(
    tokens: pl.Series, *, dim: int, window: int, epochs: int, min_count: int, seed: int
) -> KeyedVectors:
    """Train Word2Vec (skip-gram, negative sampling) on the texts; see `sif`.

    One worker and a hash that does not depend on PYTHONHASHSEED: the same text and seed give
    the same bytes.
    """
    sentences = [words for words in tokens.to_list() if words]
    counts = tokens.explode().drop_nulls().value_counts()["count"]
    if (counts < min_count).all():
        raise RawDataError(
            f"field {tokens.name!r}: expected words that occur {min_count} times or more, got "
            "none; lower min_count"
        )
    model = Word2Vec(
        sentences,
        vector_size=dim,
        window=window,
        epochs=epochs,
        min_count=min_count,
        sg=1,
        negative=NEGATIVES,
        sample=0,  # SIF already weighs frequent words down; titles are too short to lose words
        seed=seed,
        workers=1,
        hashfxn=lambda word: zlib.crc32(str(word).encode()),
    )
    return model.wv


def load(path: Path, dim: int) -> KeyedVectors:
    """Read word vectors in word2vec's format: binary if `.bin` or `.bin.gz`, else text.

    gensim's own `.load` is not offered: it unpickles, which runs whatever the file says.
    """
    if not path.is_file():
        raise RawDataError(
            f"{path}: no such file; `weights` of sif is `{TRAINED}` or a file of word vectors"
        )
    binary = path.name.endswith((".bin", ".bin.gz"))
    try:
        words = KeyedVectors.load_word2vec_format(path, binary=binary)
    except (ValueError, EOFError, OSError, UnicodeDecodeError) as error:
        kind = "binary" if binary else "text"
        raise RawDataError(
            f"{path}: expected word vectors in word2vec's {kind} format, got {error}"
        ) from error
    if words.vector_size != dim:
        raise ParamsError(
            f"params.yaml: features: dim of sif: expected {words.vector_size}, the width of "
            f"{path}, got {dim}"
        )
    return words
