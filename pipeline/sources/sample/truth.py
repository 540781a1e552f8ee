"""The ground truth beside the dump: what every item is and what every user cares about.

No model sees it. Only the rule `factors` reads it, which asks what a trained model leans on
and feeds no other stage. Else it is for tests, and for who wants to know what a model should
have found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.sample.catalogue import Catalogue, reviewer_ids
from pipeline.sources.sample.choices import STRENGTH, Users
from pipeline.sources.sample.factors import BY_NAME, FACTORS, PREFERENCES
from pipeline.tables.io import write_json, write_parquet

ITEMS_FILE, USERS_FILE, ROLES_FILE = "items.parquet", "users.parquet", "factors.json"
USERS_SCHEMA = pa.schema(
    {"reviewerID": pa.string(), "group": pa.int8()}
    | {name: pa.list_(pa.string()) for name in PREFERENCES}
)


def write_items(catalogue: Catalogue, folder: Path) -> None:
    """Write one row per item."""
    write_parquet(item_rows(catalogue), folder / ITEMS_FILE)


def item_rows(catalogue: Catalogue) -> pl.DataFrame:
    """Return each item's weight of being shown, picture status and factors, by asin."""
    columns: dict[str, object] = {
        "asin": catalogue.asin,
        "popularity": catalogue.popularity,
        "picture": catalogue.picture,
    }
    for name, codes in catalogue.codes.items():
        columns[name] = np.array(BY_NAME[name].values)[codes]
    return pl.DataFrame(columns).sort("asin")


def user_rows(users: Users, id_offset: int) -> pa.Table:
    """Return one row per user: id, group and, per factor, the liked values or null.

    Args:
        users: U users.
        id_offset: what `reviewer_ids` was given in the reviews.

    Returns:
        A table of USERS_SCHEMA.
    """
    columns = [
        pa.array(reviewer_ids(users.number, id_offset)),
        pa.array(users.group.astype(np.int8)),
    ]
    for place, name in enumerate(PREFERENCES):
        liked = np.array(BY_NAME[name].values)[users.preferred[:, place]]
        ends = np.arange(users.n_users + 1, dtype=np.int32) * liked.shape[1]
        is_null = pa.array(~users.cares[:, place])
        columns.append(pa.ListArray.from_arrays(ends, pa.array(liked.ravel()), mask=is_null))
    return pa.table(columns, schema=USERS_SCHEMA)


@contextmanager
def users_file(folder: Path) -> Iterator[Callable[[Users, int], None]]:
    """Open the users' table; yields a function that adds a chunk of users to it."""
    folder.mkdir(exist_ok=True)
    with pq.ParquetWriter(folder / USERS_FILE, USERS_SCHEMA, compression="zstd") as file:
        yield lambda users, id_offset: file.write_table(user_rows(users, id_offset))


def write_roles(folder: Path) -> None:
    """Write what each factor does and where it shows."""
    about = (
        "Users take the more of what they are shown, the more of the factors that they care "
        "about match: exp(strength * matches). Preference factors decide what is taken, "
        "nuisance factors only what is shown. In users.parquet a factor that a user does not "
        "care about is null."
    )
    content = {"about": about, "strength": STRENGTH, "factors": [asdict(f) for f in FACTORS]}
    write_json(content, folder / ROLES_FILE)
