"""Write the review file, one chunk of users after the other.

The lines are joined column by column: a Python loop would take most of the time of a large
dump. Memory depends on USERS_PER_CHUNK and the number of items, not on the number of users.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.sources.sample import choices, texts
from pipeline.sources.sample.catalogue import Catalogue, reviewer_ids
from pipeline.sources.sample.choices import N_DAYS, Reviews, Tastes, Users
from pipeline.sources.sample.factors import BY_NAME
from pipeline.sources.sample.texts import Strings

USERS_PER_CHUNK = 10_000
FIRST_DAY = datetime(2016, 7, 1, tzinfo=UTC)
VERIFIED_SHARE, VOTE_SHARE, STYLE_SHARE = 0.92, 0.1, 0.4
MOST_VOTES = 40


def draw_chunks(
    n_users: int, catalogue: Catalogue, tastes: Tastes, seed: int
) -> Iterator[tuple[Users, Reviews, np.random.Generator]]:
    """Yield users, their reviews and the random generator of each chunk."""
    table = choices.exposure_table(catalogue)
    for first in range(0, n_users, USERS_PER_CHUNK):
        generator = np.random.default_rng([seed, 2, first])
        users = choices.draw_users(
            first, min(USERS_PER_CHUNK, n_users - first), tastes, generator
        )
        exposures = choices.draw_exposures(users, catalogue, table, generator)
        yield users, choices.draw_reviews(users, exposures, generator), generator


class ReviewLines:
    """Convert chunks of reviews to JSON lines; keeps the texts that depend on items only."""

    def __init__(self, catalogue: Catalogue, id_offset: int) -> None:
        self.asin = catalogue.asin.astype(object)
        self.remarks = texts.remarks(catalogue)
        colours = [texts.capitals(colour) for colour in BY_NAME["colour"].values]
        self.colour = np.array(colours, dtype=object)[catalogue.codes["colour"]]
        self.id_offset = id_offset

    def encode(self, reviews: Reviews, generator: np.random.Generator) -> bytes:
        """Return one JSON object per line, with keys in the order of the published files.

        Most lines have no `vote` and no `style`.

        Args:
            reviews: R reviews in the order of the lines.
            generator: draws wording, votes, style and verification.
        """
        mood = texts.MOOD_OF_STARS[reviews.stars]
        columns = {
            "overall": reviews.stars.astype(np.float64),
            "vote": votes(len(mood), generator),
            "verified": np.where(generator.random(len(mood)) < VERIFIED_SHARE, "true", "false"),
            "reviewTime": REVIEW_TIMES[reviews.day],
            "reviewerID": reviewer_ids(reviews.user, self.id_offset),
            "asin": self.asin[reviews.item],
            "style": styles(self.colour[reviews.item], generator),
            "reviewerName": texts.reviewer_name(reviews.user),
            "reviewText": self.review_text(reviews, mood, generator),
            "summary": texts.by_mood(texts.SUMMARIES, mood, generator),
            "unixReviewTime": UNIX_TIMES[reviews.day],
        }
        lines = pl.DataFrame(columns).select(pl.concat_str([*LINE, pl.lit("}\n")]))
        return "".join(lines.to_series().to_list()).encode()

    def review_text(
        self, reviews: Reviews, mood: NDArray[np.int64], generator: np.random.Generator
    ) -> Strings:
        """Return (R,) texts: an opinion, a remark on the item, optionally an ending."""
        beginning = texts.by_mood(texts.BEGINNINGS, mood, generator)
        wording = generator.integers(texts.N_REMARKS, size=len(mood))
        endings = np.array(texts.ENDINGS, dtype=object)
        ending = endings[generator.integers(len(endings), size=len(mood))]
        return beginning + " " + self.remarks[reviews.item, mood, wording] + ending


# The text before each column, in the order of the published files; optional columns include
# their key. Nothing needs escaping: the words are letters and punctuation.
BEFORE = {
    "overall": '{"overall": ',
    "vote": "",
    "verified": ', "verified": ',
    "reviewTime": ', "reviewTime": "',
    "reviewerID": '", "reviewerID": "',
    "asin": '", "asin": "',
    "style": '"',
    "reviewerName": ', "reviewerName": "',
    "reviewText": '", "reviewText": "',
    "summary": '", "summary": "',
    "unixReviewTime": '", "unixReviewTime": ',
}
LINE = [part for name, text in BEFORE.items() for part in (pl.lit(text), pl.col(name))]


def votes(n: int, generator: np.random.Generator) -> Strings:
    """Return (n,) `, "vote": "3"` or an empty text."""
    number = (MOST_VOTES * generator.random(n) ** 4).astype(np.int64) + 2
    entries = np.array([f', "vote": "{v}"' for v in range(MOST_VOTES + 3)], dtype=object)
    return np.where(generator.random(n) < VOTE_SHARE, entries[number], "")


def styles(colour: Strings, generator: np.random.Generator) -> Strings:
    """Return (R,) `, "style": {...}` with size and colour, or an empty text."""
    choice = generator.integers(len(texts.SIZES), size=len(colour))
    sizes = np.array(texts.SIZES, dtype=object)[choice]
    entries = ', "style": {"Size:": " ' + sizes + '", "Color:": " ' + colour + '"}'
    return np.where(generator.random(len(colour)) < STYLE_SHARE, entries, "")


# (N_DAYS,) the date in the form of the published files, 07 4, 2016, and its first second.
DAYS = [FIRST_DAY + timedelta(days=day) for day in range(N_DAYS)]
REVIEW_TIMES = np.array([f"{day:%m} {day.day}, {day.year}" for day in DAYS], dtype=object)
UNIX_TIMES = np.array([int(day.timestamp()) for day in DAYS], dtype=np.int64)
