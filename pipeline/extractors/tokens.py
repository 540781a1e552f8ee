"""Words of a text: cut in polars, a chunk of texts at a time."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import polars as pl

from pipeline.job.errors import RawDataError

CHUNK = 65_536  # texts; what is held of their words does not grow with the number of texts
# A scraped script or style sheet goes with its body; one that is never closed loses its tag.
BODY = r"(?is)<script\b[^>]*>.*?</script\s*>|<style\b[^>]*>.*?</style\s*>"
TAG = r"<[a-zA-Z/!][^>]*>"
# Nine digits name no character whatever follows; Python refuses to read thousands of them.
NUMBER = re.compile(r"&#0*([0-9]{1,9})[0-9]*")
# Letters and numbers, as Python's `[^\W_]` has them: a combining mark ends a word.
WORD = r"[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*"


def tokenise(texts: pl.Series) -> pl.Series:
    """Return the words of each text.

    Args:
        texts: strings or token lists, (n,). Token lists are used as they are, less nulls and
            empty tokens. A string is freed of HTML (see `plain`), lower-cased and cut into
            runs of letters and digits (an apostrophe may stand inside).

    Returns:
        (n,) list<string>, never null.
    """
    if texts.dtype == pl.String:
        # As an expression, since Series.str has a call and a copy for every step.
        column = pl.lit(plain(texts)).str.to_lowercase().str.replace_all("’", "'", literal=True)
        return pl.select(column.str.extract_all(WORD)).to_series().alias(texts.name)
    tokens = texts.fill_null([]).list.drop_nulls()
    return tokens.list.eval(pl.element().filter(pl.element() != ""))


def tokenised(texts: pl.Series, size: int = CHUNK) -> Iterator[pl.Series]:
    """Yield the words of `size` texts at a time, in order; see `tokenise`."""
    for first in range(0, len(texts), size):
        yield tokenise(texts[first : first + size])


def plain(texts: pl.Series) -> pl.Series:
    """Return texts without HTML: entities are resolved first, scripts, styles and tags go.

    Args:
        texts: (n,) strings.

    Returns:
        (n,) strings, never null.
    """
    texts = texts.fill_null("")
    escaped = texts.str.contains("&", literal=True).arg_true()  # few: Python resolves these
    resolved = [html.unescape(NUMBER.sub(r"&#\1", text)) for text in texts.gather(escaped)]
    texts = texts.scatter(escaped, pl.Series(resolved, dtype=pl.String))
    return texts.str.replace_all(BODY, " ").str.replace_all(TAG, " ")


def in_words(texts: pl.Series) -> str:
    """Say how such texts become words; for the features' metadata."""
    if texts.dtype != pl.String:
        return "as given"
    return (
        "HTML unescaped, scripts, styles and tags removed, lower-cased, runs of letters and "
        "digits with inner apostrophes"
    )


def no_text(texts: pl.Series) -> RawDataError:
    """Return the error of a column that has not one word."""
    return RawDataError(
        f"field {texts.name!r}: expected text, got {len(texts)} items without a word; name "
        "another field, or leave this modality out of `features`"
    )
