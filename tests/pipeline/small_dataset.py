"""A processed dataset small enough to train on in a second, for the stages about one model."""

import numpy as np
import polars as pl
import yaml
from paths import ROOT

from pipeline import split
from pipeline.interactions import splits
from pipeline.tables.features import METADATA, write_features
from pipeline.tables.io import write_parquet
from pipeline.tables.schema import CANDIDATES_FILE, INTERACTIONS, ITEMS, USERS
from pipeline.tables.tokens import METADATA as TOKEN_METADATA
from pipeline.tables.tokens import write_tokens

N_USERS, N_ITEMS = 60, 130
METADATA_OF_6 = dict.fromkeys(METADATA, "x") | {"dim": "6"}
FOLDERS = ["data/processed/sample", "data/features/sample"]


def write(folder):
    """Write the tables, two modalities, tokens, and params.yaml with a small budget."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["train"] |= {"epochs": 12, "evaluate_every": 3, "patience": 3}
    raw["invrl"]["default"]["stages"] |= {"pretrain_epochs": 2, "mask_epochs": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    rows = [
        (u, (u % 2) * 60 + (7 * u + 11 * k) % 60, k) for u in range(N_USERS) for k in range(8)
    ]
    interactions = pl.DataFrame(rows, schema=INTERACTIONS, orient="row")
    parts = splits.leave_one_out(interactions)
    processed = folder / FOLDERS[0]
    for part, table in parts.items():
        write_parquet(table, processed / f"{part}.parquet")
    users = pl.DataFrame([(u, f"u{u}") for u in range(N_USERS)], schema=USERS, orient="row")
    drawn = split.candidates(parts, users, N_ITEMS, raw["evaluate"]["candidates"], 1)
    write_parquet(drawn, processed / CANDIDATES_FILE)
    items = [(i, f"i{i}", None, None, None) for i in range(N_ITEMS)]
    write_parquet(users, processed / "users.parquet")
    write_parquet(pl.DataFrame(items, schema=ITEMS, orient="row"), processed / "items.parquet")
    generator = np.random.default_rng(0)
    for modality in ("visual", "textual"):
        vectors = generator.random((N_ITEMS, 6), dtype=np.float32)
        path = folder / FOLDERS[1] / f"{modality}.parquet"
        write_features(list(vectors), path, dim=6, metadata=METADATA_OF_6)
    lists = pl.Series([[i % 7, 7 + i % 5] for i in range(N_ITEMS)], dtype=pl.List(pl.Int32))
    described = dict.fromkeys(TOKEN_METADATA, "x") | {"tokens": 2 * N_ITEMS, "vocabulary": 12}
    kinds = list(raw["tokens"]["sample"])
    tokens = dict.fromkeys(kinds, lists), dict.fromkeys(kinds, described)
    write_tokens(*tokens, N_ITEMS, folder / "data/tokens/sample.parquet")


def run(stage, model, results=None):
    """Run a stage about one model in the working directory."""
    stage.main(["sample", model, *FOLDERS, results or f"results/{model}", "--threads", "1"])
