"""Simulate which items users are shown, when, and which of them they choose.

    weight of an exposure = popularity * campaign boosts of the nuisance factors
    weight of a choice    = exp(STRENGTH * number of matched preference factors)

Shapes: U users of one chunk, E exposures of a user, M items, K environments (group, period).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from pipeline.sources.sample.catalogue import Catalogue, Codes, Floats, Integers, balanced
from pipeline.sources.sample.factors import BY_NAME, PREFERENCES

N_DAYS = 730  # two years
N_PERIODS, N_GROUPS = 8, 5
RELAUNCH_PERIOD = 7  # from here on each group is shown another background
LATEST_START = 450  # day; newcomers have at least 280 days
N_EXPOSURES = 120  # draws per user; an item drawn twice is shown once
N_TASTES = 30
INDIVIDUAL_SHARE = 0.15  # of the liked values, those that differ from the user's taste
N_CARED = 2  # preference factors that a user considers
N_PREFERRED = 2  # liked values of each of these
STRENGTH = 3.5  # log-odds of a matched factor
BACKGROUND_BOOST, BRAND_BOOST, SLOGAN_BOOST = 4.0, 3.0, 2.5
FEWEST, MOST = 6, 14  # interactions of a regular user
OCCASIONAL_SHARE, FEWEST_OCCASIONAL, MOST_OCCASIONAL = 0.03, 2, 4  # users outside the 5-core
REPEATED_SHARE = 0.01  # interactions reviewed a second time
LONGEST_REPEAT_GAP = 60  # days
# P(stars) by number of matched factors, for 1, 2, 3, 4 and 5 stars.
STARS = np.array(
    [
        [0.12, 0.20, 0.33, 0.25, 0.10],
        [0.02, 0.05, 0.13, 0.45, 0.35],
        [0.01, 0.01, 0.03, 0.25, 0.70],
    ]
)

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tastes:
    """The tastes of users; users with the same taste mostly agree, as in real data."""

    cares: Flags  # (N_TASTES, 4) which preference factors count
    preferred: Codes  # (N_TASTES, 4, N_PREFERRED) liked values


@dataclass(frozen=True, slots=True)
class Users:
    """Users of one chunk, U rows."""

    number: Integers  # 0 .. n_users - 1 over all chunks
    group: Integers
    cares: Flags  # (U, 4) which preference factors count
    preferred: Codes  # (U, 4, N_PREFERRED) liked values; meaningless where cares is false
    n_interactions: Integers
    start: Integers  # first day


@dataclass(frozen=True, slots=True)
class Exposures:
    """What the users of a chunk are shown, (U, E)."""

    item: Integers
    day: Integers
    fresh: Flags  # false if the user was shown the item earlier in the row
    matches: Integers  # considered factors whose value the user likes
    chosen: Flags


@dataclass(frozen=True, slots=True)
class Reviews:
    """One chunk of reviews, R rows."""

    user: Integers  # number over all chunks
    item: Integers
    day: Integers
    stars: Integers  # 1 to 5


def draw_tastes(generator: np.random.Generator) -> Tastes:
    """Draw N_TASTES tastes; every pair of factors is about equally frequent."""
    sizes = [len(BY_NAME[name].values) for name in PREFERENCES]
    pairs = list(combinations(range(len(sizes)), N_CARED))
    cares = np.zeros((N_TASTES, len(sizes)), dtype=bool)
    for taste, pair in enumerate(balanced(N_TASTES, len(pairs), generator)):
        cares[taste, pairs[pair]] = True
    preferred = [
        generator.random((N_TASTES, size)).argsort(axis=1)[:, :N_PREFERRED] for size in sizes
    ]
    return Tastes(cares=cares, preferred=np.stack(preferred, axis=1).astype(np.int8))


def individual(preferred: Codes, generator: np.random.Generator) -> Codes:
    """Return liked values, (U, 4, N_PREFERRED), with a random share replaced."""
    sizes = np.array([len(BY_NAME[name].values) for name in PREFERENCES])[:, None]
    is_replaced = generator.random(preferred.shape) < INDIVIDUAL_SHARE
    step = 1 + (generator.random(preferred.shape) * (sizes - 1)).astype(np.int64)
    return np.where(is_replaced, (preferred + step) % sizes, preferred).astype(np.int8)


def draw_users(
    first: int, n_users: int, tastes: Tastes, generator: np.random.Generator
) -> Users:
    """Draw the users numbered from `first`: taste, number of interactions, first day."""
    taste = generator.integers(N_TASTES, size=n_users)
    is_occasional = generator.random(n_users) < OCCASIONAL_SHARE
    few = generator.integers(FEWEST_OCCASIONAL, MOST_OCCASIONAL + 1, size=n_users)
    regular = FEWEST + ((MOST + 1 - FEWEST) * generator.random(n_users) ** 2).astype(np.int64)
    return Users(
        number=np.arange(first, first + n_users),
        group=generator.integers(N_GROUPS, size=n_users),
        cares=tastes.cares[taste],
        preferred=individual(tastes.preferred[taste], generator),
        n_interactions=np.where(is_occasional, few, regular),
        start=generator.integers(LATEST_START, size=n_users),
    )


def exposure_table(catalogue: Catalogue) -> Floats:
    """Return the cumulative exposure probabilities of all environments in one ascending row.

    Returns:
        (K * M,) float64; the cumulative distribution of environment k is in (k, k + 1].
    """
    environments = product(range(N_GROUPS), range(N_PERIODS))
    rows = [np.cumsum(exposure_weight(catalogue, *environment)) for environment in environments]
    return np.concatenate([row / row[-1] + k for k, row in enumerate(rows)])


def exposure_weight(catalogue: Catalogue, group: int, period: int) -> Floats:
    """Return (M,) exposure weights for a group in a period; they ignore preferences."""
    is_relaunched = period >= RELAUNCH_PERIOD
    background = (group + 2 * is_relaunched) % len(BY_NAME["background"].values)
    n_brands, n_slogans = (len(BY_NAME[name].values) for name in ("brand", "slogan"))
    brands = (2 * period % n_brands, (2 * period + 1) % n_brands)
    codes = catalogue.codes
    weight = catalogue.popularity.copy()
    weight[codes["background"] == background] *= BACKGROUND_BOOST
    weight[np.isin(codes["brand"], brands)] *= BRAND_BOOST
    weight[codes["slogan"] == period % n_slogans] *= SLOGAN_BOOST
    return weight


def draw_exposures(
    users: Users, catalogue: Catalogue, table: Floats, generator: np.random.Generator
) -> Exposures:
    """Draw what each user is shown, in random order, and chooses.

    Args:
        users: U users.
        catalogue: M items.
        table: from `exposure_table`.
        generator: of the draws.
    """
    shape = (len(users.number), N_EXPOSURES)
    start = users.start[:, None]
    day = start + (generator.random(shape) * (N_DAYS - start)).astype(np.int64)
    environment = users.group[:, None] * N_PERIODS + day * N_PERIODS // N_DAYS
    drawn = np.searchsorted(table, environment + generator.random(shape), side="right")
    # Rounding may exceed the environment's last item.
    item = np.clip(drawn - environment * catalogue.n_items, 0, catalogue.n_items - 1)
    fresh = first_of_row(item)
    matches = count_matches(users, catalogue, item)
    score = STRENGTH * matches + generator.gumbel(size=shape)
    chosen = top_of_row(np.where(fresh, score, -np.inf), users.n_interactions) & fresh
    return Exposures(item=item, day=day, fresh=fresh, matches=matches, chosen=chosen)


def first_of_row(item: Integers) -> Flags:
    """Return (U, E) true where a value occurs first in its row."""
    order = np.argsort(item, axis=1, kind="stable")
    ascending = np.take_along_axis(item, order, axis=1)
    is_first = np.ones_like(item, dtype=bool)
    is_first[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    fresh = np.empty_like(is_first)
    np.put_along_axis(fresh, order, is_first, axis=1)
    return fresh


def count_matches(users: Users, catalogue: Catalogue, item: Integers) -> Integers:
    """Return (U, E) number of considered factors whose value the user likes."""
    matches = np.zeros(item.shape, dtype=np.int64)
    for place, name in enumerate(PREFERENCES):
        value = catalogue.codes[name][item]
        liked = (value[:, :, None] == users.preferred[:, None, place]).any(axis=2)
        matches += liked & users.cares[:, place, None]
    return matches


def top_of_row(score: Floats, count: Integers) -> Flags:
    """Return (U, E) true at the `count[u]` highest scores of row u.

    With Gumbel noise in the scores this is a softmax draw without replacement.
    """
    descending = -np.sort(-score, axis=1)
    return score >= np.take_along_axis(descending, count[:, None] - 1, axis=1)


def draw_reviews(users: Users, exposures: Exposures, generator: np.random.Generator) -> Reviews:
    """Return reviews of the chosen items, a few of them twice, by item and newest first.

    This is the order of the published files; it breaks ties between equal days.
    """
    row, column = np.nonzero(exposures.chosen)
    matches = exposures.matches[row, column]
    stars = draw_stars(matches, generator)
    day = exposures.day[row, column]
    again = np.flatnonzero(generator.random(len(row)) < REPEATED_SHARE)
    later = day[again] + generator.integers(1, LONGEST_REPEAT_GAP, size=len(again))
    source = np.concatenate([np.arange(len(row)), again])
    user, item = users.number[row[source]], exposures.item[row, column][source]
    day = np.concatenate([day, np.minimum(later, N_DAYS - 1)])
    stars = np.concatenate([stars, draw_stars(matches[again], generator)])
    order = np.lexsort((user, -day, item))
    return Reviews(user=user[order], item=item[order], day=day[order], stars=stars[order])


def draw_stars(matches: Integers, generator: np.random.Generator) -> Integers:
    """Return 1 to 5 stars; more matches make more stars likely."""
    cumulative = np.cumsum(STARS, axis=1)[matches]
    drawn = generator.random((len(matches), 1))
    return np.minimum((drawn > cumulative).sum(axis=1) + 1, 5)
