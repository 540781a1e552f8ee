"""Amazon's pictures that say "no image available": an item that names one has no picture.

Their addresses are in dumps of every year. Until about 2015 they are graphics of the site,
`images/G/01/x-site/icons/no-img-sm._CB192198896_.gif`, where the number is the country and the
part between the dots the version or the size. Later ones are stored as product pictures, one
per language: `images/I/01RmK+J4pJL._AC_.gif`. The names are those by which Amazon's own pages
recognise them, and one of amazon.pl and amazon.es. Other graphics of the site, such as the
designs of gift cards, are pictures of products.
"""

from __future__ import annotations

import polars as pl

from pipeline.tables.schema import IMAGE

NAMES = (
    "01-y6Ov3R+L 01AodW1Gh-L 01GmVhVRioL 01MKUOLsA5L 01PkLIhTX3L 01QFb8SNuTL 01RPy1SfeqL "
    "01RmK+J4pJL 01e-XWjq3EL 11RGjrCdvsL 21xiVkxN-SL 31CTP6oiIBL"
).replace("+", r"(?:\+|%2[Bb])")
ADDRESS = (
    r"^(?i:https?://[^/?#]*\bamazon\.com(?::\d+)?)/images/"
    r"(?:(?i:G/\d+/(?:[^?#]*/)?(?:thumb-)?(?:no-img|no-image|update-page)\b)"
    rf"|I/(?:{NAMES.replace(' ', '|')})\b)[^/?#]*(?:[?#]|$)"
)


def is_placeholder(items: pl.DataFrame) -> pl.Series:
    """Return whether the column `image` of each item is the address of such a picture."""
    return items[IMAGE].str.contains(ADDRESS).fill_null(False)
