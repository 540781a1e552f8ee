"""A shop with fewer than a hundred items, from its own table to the comparison."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from paths import ROOT

from pipeline import (
    compare,
    download,
    evaluate,
    ingest,
    kcore,
    recommend,
    split,
    train,
    validate,
)
from pipeline.job.errors import RawDataError
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, write_parquet

N_USERS, N_ITEMS = 30, 16


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Users who each meet 5 to 7 of 16 items, in a file; up to `split` nothing is special."""
    monkeypatch.chdir(tmp_path)
    visits = [
        f"{f'ann{u}'},{f'sku{(u + 3 * k) % N_ITEMS}'},{100 * u + k}"
        for u in range(N_USERS)
        for k in range(5 + u % 3)
    ]
    Path("shop").mkdir()
    Path("shop/visits.csv").write_text("\n".join(["who,what,when", *visits]) + "\n")
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    columns = {"user": "who", "item": "what", "timestamp": "when"}
    raw["sources"]["shop"] = {
        "format": "tables", "folder": "shop", "interactions": "visits.csv", "columns": columns,
    }  # fmt: skip
    raw["features"]["shop"] = {}
    raw |= {"datasets": ["shop"], "models": ["bprmf"]}
    raw["train"] |= {"epochs": 4, "evaluate_every": 2}
    download_to_kcore(raw)
    return raw


def set_candidates(raw, n):
    raw["evaluate"]["candidates"] = n
    Path("params.yaml").write_text(yaml.safe_dump(raw))


def download_to_kcore(raw):
    set_candidates(raw, 99)
    download.main(["shop", "raw"])
    ingest.main(["shop", "raw", "interim"])
    kcore.main(["shop", "interim", "processed"])


def test_the_message_names_the_user_the_number_and_the_setting(shop):
    message = r"user 'ann\d+' met 7 of 16 items.*got 9\. Lower evaluate\.candidates to 9, or"

    with pytest.raises(RawDataError, match=message):
        split.main(["shop", "interim", "processed"])


def test_every_table_has_the_number_of_candidates(shop):
    set_candidates(shop, 9)
    split.main(["shop", "interim", "processed"])
    validate.main(["shop", "raw", "interim", "processed", "results"])
    for stage in (train, evaluate, recommend):
        stage.main(
            ["shop", "bprmf", "processed", "features", "results/bprmf", "--threads", "1"]
        )
    write_parquet(pl.DataFrame(schema=s.IMAGES), Path("images.parquet"))
    compare.main(["shop", "processed", "images.parquet", "results"])

    metrics = read_json(Path("results/bprmf/metrics.json"))
    assert (metrics["sampled"]["candidates"], metrics["full"]["candidates"]) == (10, N_ITEMS)
    assert metrics["sampled"]["hr@10"] == 1.0  # each list has ten items
    table = Path("results/comparison.md").read_text()
    assert "sampled-9: 1 target among 10 candidates" in table
    assert "sampled, 1 of 10</th>" in Path("results/report.html").read_text()
    tests = read_json(Path("results/significance.json"))
    assert "among 9 random items" in tests["note"]
    redrawn = tests["models"]["bprmf"]["sampled"]["hr@10"]["redrawn"]
    assert redrawn == {"mean": pytest.approx(1.0), "sd": pytest.approx(0.0, abs=1e-6)}
