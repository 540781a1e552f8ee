"""Mean and variance of the sampled metrics over all possible lists of negatives.

A user's n negatives are drawn uniformly and without replacement from the items that the user
never met. These are the items that the full ranking compares with the held-out item: of N of
them, `rank_full` = r score at least as high. So the sampled rank on another list follows the
hypergeometric distribution (n draws from N, of which r count), independently for each user,
and the mean and variance of the metrics over all lists are sums over users. Nothing is
drawn.

Where a user has several held-out items, or the full ranking does not hide the validation items,
there is no result: the full ranking then has items that the lists of negatives do not have.

The standard deviation is that of one model's metric. Models are ranked on the same lists, which
changes their metrics alike: for a difference, the root of the sum of the two variances is an
upper estimate.

Shapes: U users.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import gammaln

from model.measures import SAMPLED, is_measured, split_name
from pipeline.comparison.user_metrics import NAMES, Floats, Parts, Ranks
from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s

Moments = dict[str, dict[str, float]]  # name -> mean and sd


def opponents(parts: Parts, n_items: int, *, cold: bool = False) -> pl.DataFrame:
    """Return `user` and `opponents` of each test user: how many items were never met.

    With `cold`, of the items of test alone. Validation and test items may be in train as well,
    as in published splits.
    """
    names = (s.TEST,) if cold else (s.TRAIN, s.VALIDATION, s.TEST)
    pairs = [parts[name].select(s.USER, s.ITEM) for name in names]
    n_items = parts[s.TEST][s.ITEM].n_unique() if cold else n_items
    met = pl.concat(pairs).unique().group_by(s.USER).len("met")
    rows = parts[s.TEST].select(s.USER).unique().join(met, on=s.USER, how="left").sort(s.USER)
    return rows.select(s.USER, (n_items - pl.col("met").cast(pl.Int64)).alias("opponents"))


def expectations(
    ranks: Ranks,
    opponents: pl.DataFrame,
    n_negatives: int,
    names: Sequence[str] = NAMES,
) -> dict[str, Moments]:
    """Return each model's `expectation`; nothing where a user has several held-out items."""
    measured = [name for name in names if is_measured(SAMPLED, name)]
    if any(rows.select(s.USER, "seed").is_duplicated().any() for rows in ranks.values()):
        return {}
    return {
        m: expectation(rows, opponents, n_negatives, m, measured) for m, rows in ranks.items()
    }


def expectation(
    ranks: pl.DataFrame,
    opponents: pl.DataFrame,
    n_negatives: int,
    model: str,
    names: Sequence[str] = NAMES,
) -> Moments:
    """Return the mean and standard deviation of each sampled metric over all lists.

    Args:
        ranks: schema.RANKS. Both are averaged over several seeds: all seeds are ranked on the
            same lists, and their metrics are assumed to change alike.
        opponents: of the function of this name.
        n_negatives: n.
        model: its name, for the error.
        names: of the metrics, such as `hr@5`.

    Raises:
        SchemaError: a user has no `opponents`, or fewer than are ranked above.
    """
    rows = ranks.join(opponents, on=s.USER, how="left")
    too_high = pl.col("rank_full") > pl.col("opponents")
    if rows.filter(too_high.fill_null(True)).height:
        raise SchemaError(
            f"{model}/{s.RANKS_FILE}: has users or ranks that are not of this split; run the "
            "stage evaluate again"
        )
    result: Moments = {name: {"mean": 0.0, "sd": 0.0} for name in names}
    seeds = rows.partition_by("seed")
    for users in seeds:
        above, among = (users[name].to_numpy() for name in ("rank_full", "opponents"))
        mean, variance = moments(above, among, n_negatives, names)
        for column, name in enumerate(result):
            result[name]["mean"] += float(mean[:, column].mean()) / len(seeds)
            sd = float(np.sqrt(variance[:, column].sum())) / users.height
            result[name]["sd"] += sd / len(seeds)
    return result


def moments(
    above: np.ndarray,
    opponents: np.ndarray,
    n_negatives: int,
    names: Sequence[str] = NAMES,
) -> tuple[Floats, Floats]:
    """Return the mean and variance of each user's metrics over all lists, (U, C) each.

    Args:
        above: (U,) integers, how many of the opponents score as high as the held-out item.
        opponents: (U,) integers, how many there are.
        n_negatives: n.
        names: of the metrics, such as `hr@5`.

    Returns:
        Columns are those of `names`.
    """
    places = np.arange(max(split_name(name)[1] for name in names))
    chance = probabilities(above, opponents, n_negatives, places)
    metrics = np.stack([_metric(name, places) for name in names], axis=1)
    mean = chance @ metrics
    return mean, np.maximum(chance @ metrics**2 - mean**2, 0.0)


def probabilities(
    above: np.ndarray, opponents: np.ndarray, n_negatives: int, places: np.ndarray
) -> Floats:
    """Return the hypergeometric probability of each place among 1 + n candidates.

    From a table of log factorials: scipy.stats takes a hundred times as long, about as long as
    drawing the lists.

    Args:
        above: (U,) as in `moments`.
        opponents: (U,) as in `moments`, at least n.
        n_negatives: n.
        places: (P,) 0-based.

    Returns:
        (U, P).
    """
    factorial = gammaln(np.arange(opponents.max() + 1) + 1.0)

    def choose(n: np.ndarray, k: np.ndarray) -> Floats:
        inside = (k >= 0) & (k <= n)
        k = np.where(inside, k, 0)
        return np.where(inside, factorial[n] - factorial[k] - factorial[n - k], -np.inf)

    r, n = above[:, None].astype(np.int64), opponents[:, None].astype(np.int64)
    drawn = np.full_like(n, n_negatives)
    ways = choose(r, places) + choose(n - r, drawn - places) - choose(n, drawn)
    return np.asarray(np.exp(ways))


def _metric(name: str, places: np.ndarray) -> Floats:
    measure, k = split_name(name)
    gains = {"ndcg": 1 / np.log2(places + 2.0), "mrr": 1 / (places + 1.0)}
    return np.where(places < k, gains.get(measure, 1.0), 0.0)
