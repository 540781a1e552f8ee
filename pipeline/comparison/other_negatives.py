"""What the sampled metrics would be on other lists of negatives, without drawing any.

The negatives of a user are drawn uniformly and without repetition from the items that the user
never met. These are the same items that the full ranking sets against the target: of N of them,
`rank_full` = r score at least as high as the target. So the sampled rank on a list drawn anew
follows the hypergeometric distribution (99 draws from N, of which r count), independently of
other users, and the mean and variance of HR@k and NDCG@k over all lists are sums over users.

Where a user has several held-out items, the full ranking of one has the others among its
opponents and the lists have not: then nothing is said.

The sd is of one model's number. Models are ranked on the same lists, which moves their numbers
alike: of a difference, the root of the two squared sds is an upper estimate.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from scipy.special import gammaln

from pipeline.comparison import user_metrics
from pipeline.comparison.user_metrics import Floats
from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s

Redrawn = dict[str, dict[str, float]]  # name -> mean and sd


def opponents(parts: Mapping[str, pl.DataFrame], n_items: int) -> pl.DataFrame:
    """Return `user` and `opponents` of each test user: how many items were never met.

    Args:
        parts: train, validation and test, schema.INTERACTIONS each; validation may be a part
            of train, and a held-out item may recur there, as in published splits.
        n_items: I.
    """
    pairs = [parts[name].select(s.USER, s.ITEM) for name in (s.TRAIN, s.VALIDATION, s.TEST)]
    met = pl.concat(pairs).unique().group_by(s.USER).len("met")
    rows = parts[s.TEST].select(s.USER).unique().join(met, on=s.USER, how="left").sort(s.USER)
    return rows.select(s.USER, (n_items - pl.col("met").cast(pl.Int64)).alias("opponents"))


def table(ranks: Mapping[str, pl.DataFrame], of: pl.DataFrame) -> dict[str, Redrawn]:
    """Return each model's `redrawn`; none where a user has several held-out items.

    Args:
        ranks: schema.RANKS of each model.
        of: the `opponents`.
    """
    if any(found.select(s.USER, "seed").is_duplicated().any() for found in ranks.values()):
        return {}
    return {model: redrawn(found, of, model) for model, found in ranks.items()}


def redrawn(ranks: pl.DataFrame, of: pl.DataFrame, model: str) -> Redrawn:
    """Return the mean and standard deviation of each sampled metric over all lists.

    Args:
        ranks: schema.RANKS; of several seeds, the mean is over them and the sd that of a
            number which is itself a mean over seeds ranked on the same lists, taken to move
            alike.
        of: the `opponents`.
        model: its name, for the error.

    Raises:
        SchemaError: a user is not among the `opponents`, or has fewer than ranked above.
    """
    rows = ranks.join(of, on=s.USER, how="left")
    above = pl.col("rank_full") > pl.col("opponents")
    if rows.filter(above.fill_null(True)).height:
        raise SchemaError(
            f"{model}/{s.RANKS_FILE}: has users or ranks that are not of this split; run the "
            "stage evaluate again"
        )
    found: Redrawn = {name: {"mean": 0.0, "sd": 0.0} for name in user_metrics.NAMES}
    seeds = rows.partition_by("seed")
    for one in seeds:
        mean, variance = moments(one["rank_full"].to_numpy(), one["opponents"].to_numpy())
        for column, name in enumerate(user_metrics.NAMES):
            found[name]["mean"] += float(mean[:, column].mean()) / len(seeds)
            spread = float(np.sqrt(variance[:, column].sum())) / one.height
            found[name]["sd"] += spread / len(seeds)
    return found


def moments(above: np.ndarray, of: np.ndarray) -> tuple[Floats, Floats]:
    """Return the mean and variance over all lists of each user's worth, (U, 4) each.

    Args:
        above: (U,) integers, how many of the opponents score as high as the target.
        of: (U,) integers, how many opponents there are.

    Returns:
        Columns are `gains.NAMES`.
    """
    places = np.arange(max(user_metrics.CUTOFFS))
    chance = probabilities(above, of, places)
    worth = np.stack([_worth(name, places) for name in user_metrics.NAMES], axis=1)
    mean = chance @ worth
    return mean, np.maximum(chance @ worth**2 - mean**2, 0.0)


def probabilities(above: np.ndarray, of: np.ndarray, places: np.ndarray) -> Floats:
    """Return the hypergeometric probability of each place among 1 + 99 candidates.

    From a table of log factorials: scipy.stats takes a hundred times as long, which is as long
    as drawing the lists.

    Args:
        above: (U,) as in `moments`.
        of: (U,) as in `moments`, at least 99.
        places: (P,) 0-based.

    Returns:
        (U, P).
    """
    factorial = gammaln(np.arange(of.max() + 1) + 1.0)

    def choose(n: np.ndarray, k: np.ndarray) -> Floats:
        inside = (k >= 0) & (k <= n)
        k = np.where(inside, k, 0)
        return np.where(inside, factorial[n] - factorial[k] - factorial[n - k], -np.inf)

    above, of = above[:, None].astype(np.int64), of[:, None].astype(np.int64)
    drawn = np.full_like(of, s.N_NEGATIVES)
    ways = choose(above, places) + choose(of - above, drawn - places) - choose(of, drawn)
    return np.asarray(np.exp(ways))


def _worth(name: str, places: np.ndarray) -> Floats:
    measure, k = name.split("@")
    gain = 1 / np.log2(places + 2.0) if measure == "ndcg" else np.ones(len(places))
    return np.where(places < int(k), gain, 0.0)
