"""The words of texts, cut by polars, a chunk of texts at a time."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import polars as pl

from pipeline.job.errors import RawDataError

CHUNK = 65_536  # texts; memory for their words does not grow with the number of texts
# A script or style sheet is removed with its body; if it is never closed, its tag alone.
BODY = r"(?is)<script\b[^>]*>.*?</script\s*>|<style\b[^>]*>.*?</style\s*>"
TAG = r"<[a-zA-Z/!][^>]*>"
# More than nine digits never name a character, and Python refuses to parse thousands of them.
NUMBER = re.compile(r"&#0*([0-9]{1,9})[0-9]*")
# Letters and numbers, like Python's `[^\W_]`: a combining mark ends a word.
WORD = r"[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*"


def tokenise(texts: pl.Series) -> pl.Series:
    """Return the words of each text.

    Args:
        texts: (n,) strings or token lists. Of token lists only nulls and empty tokens are
            dropped. Strings lose their HTML (see `plain`), are lower-cased and cut into runs of
            letters and digits, with apostrophes inside.

    Returns:
        (n,) list<string>, never null.
    """
    if texts.dtype == pl.String:
        # As one expression, since Series.str copies at every step.
        column = pl.lit(plain(texts)).str.to_lowercase().str.replace_all("’", "'", literal=True)
        return pl.select(column.str.extract_all(WORD)).to_series().alias(texts.name)
    tokens = texts.fill_null([]).list.drop_nulls()
    return tokens.list.eval(pl.element().filter(pl.element() != ""))


def tokenised(texts: pl.Series, size: int = CHUNK) -> Iterator[pl.Series]:
    """Yield the words of `size` texts at a time, in order; see `tokenise`."""
    for first in range(0, len(texts), size):
        yield tokenise(texts[first : first + size])


def plain(texts: pl.Series) -> pl.Series:
    """Resolve HTML entities, then remove scripts, styles and tags.

    Args:
        texts: (n,) strings.

    Returns:
        (n,) strings, never null.
    """
    texts = texts.fill_null("")
    escaped = texts.str.contains("&", literal=True).arg_true()  # few, so resolved in Python
    resolved = [html.unescape(NUMBER.sub(r"&#\1", text)) for text in texts.gather(escaped)]
    texts = texts.scatter(escaped, pl.Series(resolved, dtype=pl.String))
    return texts.str.replace_all(BODY, " ").str.replace_all(TAG, " ")


def in_words(texts: pl.Series) -> str:
    """Describe how such texts are cut into words; for the features' metadata."""
    if texts.dtype != pl.String:
        return "as given"
    return (
        "HTML unescaped, scripts, styles and tags removed, lower-cased, runs of letters and "
        "digits with inner apostrophes"
    )


def no_text(texts: pl.Series) -> RawDataError:
    """Return the error of a column without any word."""
    return RawDataError(
        f"field {texts.name!r}: expected text, got {len(texts)} items without a word; name "
        "another field, or leave this modality out of `features`"
    )
