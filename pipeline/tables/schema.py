"""The tables: what a row is, the columns with their types and units, the names of data files.

Every stage depends on this module. The names of pages are in pipeline/pages/file_names.py.
"""

from __future__ import annotations

from typing import TypeAlias

import polars as pl
from polars.datatypes import DataTypeClass

Columns: TypeAlias = dict[str, pl.DataType | DataTypeClass]

USER, ITEM, TIME = "user", "item", "timestamp"
RATING, PART, RAW_ID = "rating", "part", "raw_id"
VERIFIED = "verified"
TITLE, DESCRIPTION, IMAGE = "title", "description", "image"
PRESENT, FEATURE = "present", "feature"
TRAIN, VALIDATION, TEST = "train", "validation", "test"

# data/raw/<dataset>/: the files as published.
MANIFEST_FILE = "manifest.json"  # list of {file, url, bytes, sha256}

# data/interim/<dataset>/
REVIEWS_FILE, ITEMS_FILE = "reviews.parquet", "items.parquet"
# Metadata key of the reviews: JSON with what was read of the raw files, and what was not.
INGEST = "ingest"
# One row per review, in the order of the raw file (order breaks ties between equal times).
# `part` is filled only by published splits: train, validation or test. A source with verified
# purchases has a column `verified` (bool) after these.
REVIEWS: Columns = {
    USER: pl.String,
    ITEM: pl.String,
    TIME: pl.Int64,  # seconds since 1970, UTC; null where the source has none
    RATING: pl.Float32,  # stars, 1 to 5; null where the source has none
    PART: pl.String,
}
# One row per item, `raw_id` unique. A source may add columns after these, such as
# `title_tokens` (list<string>).
RAW_ITEMS: Columns = {
    RAW_ID: pl.String,
    TITLE: pl.String,
    DESCRIPTION: pl.String,
    IMAGE: pl.String,  # a URL, or a path below data/raw/<dataset>/; null when there is none
}

# data/processed/<dataset>/
INTERACTIONS_FILE, USERS_FILE = "interactions.parquet", "users.parquet"
STATISTICS_FILE, CANDIDATES_FILE = "statistics.json", "candidates.parquet"
TRAIN_FILE, VALIDATION_FILE, TEST_FILE = "train.parquet", "validation.parquet", "test.parquet"
# One row per kept (user, item) pair; ids dense from 0; sorted by user, time, raw order.
INTERACTIONS: Columns = {USER: pl.Int32, ITEM: pl.Int32, TIME: pl.Int64}
USERS: Columns = {USER: pl.Int32, RAW_ID: pl.String}
ITEMS: Columns = {ITEM: pl.Int32, **RAW_ITEMS}
# One row per held-out item: per user and part with leave-one-out. `item` is the target; the
# user has none of `negatives`.
CANDIDATES: Columns = {
    USER: pl.Int32,
    PART: pl.String,
    ITEM: pl.Int32,
    "negatives": pl.Array,  # of int32; its width is the setting evaluate.candidates
}

# Metadata key of the parts and the candidates: JSON with the settings and counts of the split.
# Leave-one-out and published splits have none.
SPLIT = "split"
COLD_ITEMS = "cold_items"  # the method that holds out items, of which train has no interaction
# Metadata key of the candidates: JSON with a digest of each part beside which they were drawn.
PARTS = "parts"
# Metadata key of the files of a trained model: JSON with the facts of its checkpoint.
FACTS = "facts"

# data/images/<dataset>.parquet: one row per item, ascending.
IMAGES: Columns = {
    ITEM: pl.Int32,
    "status": pl.String,  # ok, missing or broken
    "bytes": pl.Binary,  # the original file; null unless ok
    "width": pl.Int32,  # pixels
    "height": pl.Int32,  # pixels
    "source": pl.String,  # origin of the bytes, or the reason why there are none
}

# data/features/<dataset>/<modality>.parquet: one row per item, ascending.
# `feature` is array<float32>[dim]; zeros where not present.
FEATURES: Columns = {ITEM: pl.Int32, PRESENT: pl.Boolean}

# results/<dataset>/<model>/
CHECKPOINT_FILE, HISTORY_FILE = "checkpoint.safetensors", "history.parquet"
METRICS_FILE, RANKS_FILE = "metrics.json", "ranks.parquet"
RECOMMENDATIONS_FILE = "recommendations.parquet"
# One row per evaluation during training. `phase` is select or refit.
HISTORY: Columns = {
    "phase": pl.String,
    "epoch": pl.Int32,  # passes over the training pairs, from 1
    "loss": pl.Float64,  # mean over the epoch's steps
    "hr@10": pl.Float64,  # sampled, on the part named by `measured_on`; null in a refit
    "ndcg@10": pl.Float64,
    "value": pl.Float64,  # of the metric that chooses the epoch, `selected_on` in metrics.json
    "measured_on": pl.String,
}
# One row per test item: per user with leave-one-out. Ranks are 0-based, a tie counts against
# the target. `rank_full` is the place in the user's one list, which has their other test items
# too.
RANKS: Columns = {
    USER: pl.Int32,
    ITEM: pl.Int32,
    "rank_sampled": pl.Int32,
    "rank_full": pl.Int32,
    "seed": pl.Int64,
}
# One row per user and position, best first.
RECOMMENDATIONS: Columns = {
    USER: pl.Int32,
    "position": pl.Int32,
    ITEM: pl.Int32,
    "raw_item": pl.String,
    "score": pl.Float32,
}

# results/<dataset>/study/examples.parquet: lists of the users on the page.
MODEL = "model"
EXAMPLES: Columns = {MODEL: pl.String, **RECOMMENDATIONS}
