"""The words of texts in any script, cut by polars, a chunk of texts at a time.

Texts that are equal to a reader are equal here: full case folding and normal form C (Unicode
Standard, 3.13 and 3.11). Words end where Unicode's word boundaries are (UAX #29, 4.1), except
that `.`, `,`, `:` and `_` always end one, as between `3.5` and `t_shirt`: catalogues put them
between words. Where a script has no spaces between words, ICU finds them by its dictionaries.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version

import polars as pl

from pipeline.job.errors import RawDataError

CHUNK = 65_536  # texts; memory for their words does not grow with the number of texts
# A script or style sheet is removed with its body; if it is never closed, its tag alone.
BODY = r"(?is)<script\b[^>]*>.*?</script\s*>|<style\b[^>]*>.*?</style\s*>"
TAG = r"<[a-zA-Z/!][^>]*>"
# More than nine digits never name a character, and Python refuses to parse thousands of them.
NUMBER = re.compile(r"&#0*([0-9]{1,9})[0-9]*")
# Joiners of letters within a word: the apostrophe, the middle dot of Catalan, its like in
# Armenian and Hebrew, the hyphenation point; those without a width of Persian and Hindi.
JOINER = "['\u00b7\u055f\u05f4\u2027\u200c\u200d]"
# Letters and numbers with the marks on them. Enclosing marks are left out: a circle around 1.
PART = r"[\p{L}\p{N}][\p{L}\p{N}\p{Mn}\p{Mc}]*"
WORD = rf"{PART}(?:{JOINER}{PART})*"
# Soft hyphens, marks of direction and the like; not the joiners, nor the space of no width.
INVISIBLE = r"[\p{Default_Ignorable_Code_Point}--[\u200b\u200c\u200d]]"
NOT_ASCII = r"[^\x00-\x7F]"
NO_SPACES = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}]"
)


def tokenise(texts: pl.Series) -> pl.Series:
    """Return the words of each text.

    Args:
        texts: (n,) strings or token lists. Of token lists only nulls and empty tokens are
            dropped. Strings lose their HTML (see `plain`), are case-folded and cut into words:
            letters and digits with their marks, with apostrophes inside.

    Returns:
        (n,) list<string>, never null.
    """
    if texts.dtype == pl.String:
        # As one expression, since Series.str copies at every step.
        column = pl.lit(plain(texts)).str.to_lowercase().str.replace_all("’", "'", literal=True)
        lowered = pl.select(column).to_series()
        return _folded(lowered).str.extract_all(WORD).alias(texts.name)
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


def fold(text: str) -> str:
    """Return a text that equals another exactly if they differ in case or encoding only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _folded(texts: pl.Series) -> pl.Series:
    """Fold the texts that are not ASCII; put spaces between words where a script has none."""
    rows = texts.str.contains(NOT_ASCII).arg_true()
    folded = texts.gather(rows).str.replace_all(INVISIBLE, "")
    folded = pl.Series([fold(text) for text in folded], dtype=pl.String)
    without = folded.str.contains(NO_SPACES).arg_true()
    if without.len():
        # Loads ICU's dictionaries, which few datasets need.
        from icu4py.breakers import WordBreaker

        spaced = [" ".join(WordBreaker(text, "und")) for text in folded.gather(without)]
        folded = folded.scatter(without, pl.Series(spaced, dtype=pl.String))
    return texts.scatter(rows, folded)


def in_words(texts: pl.Series) -> str:
    """Describe how such texts are cut into words; for the features' metadata."""
    if texts.dtype != pl.String:
        return "as given"
    description = (
        "HTML unescaped, scripts, styles and tags removed, lower-cased, runs of letters and "
        "digits with inner apostrophes"
    )
    if _any_has(texts, NOT_ASCII):
        description += "; beyond ASCII: case-folded, NFC, combining marks kept"
    if _any_has(texts, NO_SPACES):
        description += f"; where a script has no spaces, words by icu4py {version('icu4py')}"
    return description


def _any_has(texts: pl.Series, pattern: str) -> bool:
    chunks = (texts[first : first + CHUNK] for first in range(0, len(texts), CHUNK))
    return any(plain(chunk).str.contains(pattern).any() for chunk in chunks)


def no_text(texts: pl.Series) -> RawDataError:
    """Return the error of a column without any word."""
    return RawDataError(
        f"field {texts.name!r}: expected text, got {len(texts)} items without a word; name "
        "another field, or leave this modality out of `features`"
    )
