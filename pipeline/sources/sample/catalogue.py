"""The items: a code per factor, a popularity, an identifier and a picture status."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sources.sample.factors import BY_NAME, FACTORS

Codes = NDArray[np.int8]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

POPULARITY_EXPONENT = 0.8  # of 1 / (rank + shift)^exponent, a Zipf law with a flat head
POPULARITY_SHIFT = 4.0
USUAL_PHOTO = 0.6  # share of items with the photo style of their popularity band

# Popularity ranks (0 is the most popular) of the special items, which must be in the 5-core.
GREY_RANK, BROKEN_RANK = 7, 11
MISSING_PICTURE_RANKS = (17, 31, 59)
EMPTY_DESCRIPTION_RANKS = (5, 23, 43, 71)
REPEATED_ROW_RANKS = (3, 37)
DIGITS_RANKS, FINAL_X_RANK = (2, 19), 29  # identifiers that a careless reader turns to numbers
OK, GREY, MISSING, BROKEN = "ok", "grey", "missing", "broken"

ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", dtype=np.uint8)
ASIN_LENGTH, REVIEWER_LENGTH = 8, 11  # characters after the prefixes B0 and A
# Coprime to 36, hence a bijection modulo 36^8: consecutive numbers get unlike identifiers.
STRIDE = 1_000_000_000_039
ID_SPACE = 36**8


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All items of a dump, M rows."""

    asin: NDArray[np.str_]
    popularity: Floats  # exposure weight, highest 1
    rank: Integers  # 0 is the most popular
    codes: dict[str, Codes]  # factor -> index into its values
    picture: NDArray[np.str_]  # ok, grey, missing or broken

    @property
    def n_items(self) -> int:
        """Number of items, M."""
        return len(self.asin)


def draw_catalogue(n_items: int, generator: np.random.Generator, broken: bool) -> Catalogue:
    """Draw the items; factors are independent of each other, `photo` follows the popularity.

    Args:
        n_items: number of items, M.
        generator: of the draws.
        broken: whether one picture is truncated.

    Returns:
        M items in no particular order.
    """
    rank = generator.permutation(n_items)
    codes = {f.name: balanced(n_items, len(f.values), generator) for f in FACTORS}
    codes["photo"] = photo_by_popularity(rank, generator)
    steps = (1 + rank.astype(np.float64) + POPULARITY_SHIFT) / (1 + POPULARITY_SHIFT)
    return Catalogue(
        asin=asins(rank, generator),
        popularity=steps**-POPULARITY_EXPONENT,
        rank=rank,
        codes=codes,
        picture=pictures(rank, broken),
    )


def balanced(n: int, n_values: int, generator: np.random.Generator) -> Codes:
    """Return n codes in random order; the counts of two values differ by at most one."""
    return generator.permutation(np.arange(n) % n_values).astype(np.int8)


def photo_by_popularity(rank: Integers, generator: np.random.Generator) -> Codes:
    """Return photo styles: the usual one of the item's popularity band, or a random one."""
    n_styles = len(BY_NAME["photo"].values)
    usual = rank * n_styles // len(rank)
    random = generator.integers(n_styles, size=len(rank))
    is_usual = generator.random(len(rank)) < USUAL_PHOTO
    return np.where(is_usual, usual, random).astype(np.int8)


def pictures(rank: Integers, broken: bool) -> NDArray[np.str_]:
    """Return each item's picture status."""
    status = np.full(len(rank), OK, dtype="<U7")
    status[np.isin(rank, MISSING_PICTURE_RANKS)] = MISSING
    status[rank == GREY_RANK] = GREY
    if broken:
        status[rank == BROKEN_RANK] = BROKEN
    return status


def asins(rank: Integers, generator: np.random.Generator) -> NDArray[np.str_]:
    """Return a distinct 10-character identifier per item, unrelated to its factors."""
    codes = identifiers(np.arange(len(rank)), int(generator.integers(ID_SPACE)), ASIN_LENGTH)
    asin = np.char.add("B0", codes)
    for number, digits_rank in enumerate(DIGITS_RANKS):
        asin[rank == digits_rank] = f"00{number + 3}1{generator.integers(10**6):06d}"
    asin[rank == FINAL_X_RANK] = f"09{generator.integers(10**7):07d}X"
    return asin


def reviewer_ids(users: Integers, offset: int) -> NDArray[np.str_]:
    """Return a distinct identifier per user number, 12 characters."""
    return np.char.add("A", identifiers(users, offset, REVIEWER_LENGTH))


def identifiers(numbers: Integers, offset: int, length: int) -> NDArray[np.str_]:
    """Return a distinct text of `length` base-36 characters per number."""
    powers = 36 ** np.arange(8, dtype=np.int64)[::-1]
    digits = scramble(numbers, offset)[:, None] // powers % 36
    # The characters after the eighth are computed from the first eight.
    more = (digits[:, : length - 8] * 7 + digits[:, 7:] + 11) % 36
    text = ALPHABET[np.concatenate([digits, more], axis=1)]
    return np.ascontiguousarray(text).view(f"S{length}").ravel().astype(f"<U{length}")


def scramble(numbers: Integers, offset: int) -> Integers:
    """Return a bijection of [0, 36^8) that hides the order of the numbers."""
    stride = STRIDE % ID_SPACE
    high, low = numbers >> 16, numbers & 0xFFFF
    # stride * 2^16 is reduced first: the full product would exceed 2^63.
    product = high * (stride * 65536 % ID_SPACE) % ID_SPACE + low * stride % ID_SPACE
    return (product + offset) % ID_SPACE
