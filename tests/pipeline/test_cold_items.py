"""A split that holds out items, from the interactions to the comparison."""

from pathlib import Path

import polars as pl
import pytest
import small_dataset
import yaml

from pipeline import compare, evaluate, params, recommend, split, train
from pipeline.interactions import checks, splits
from pipeline.interactions.candidates import candidates
from pipeline.job.errors import ParamsError, RawDataError, SchemaError
from pipeline.learning.dataset import Dataset
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, write_json, write_parquet
from pipeline.tables.processed import PART_FILES

PROCESSED, MODELS = Path("data/processed/sample"), ("vbpr", "bprmf")
SHARES = [0.8, 0.1, 0.1]


def everything():
    """Interactions of small_dataset: 8 items a user, of 120."""
    rows = [
        (u, (u % 2) * 60 + (7 * u + 11 * k) % 60, k)
        for u in range(small_dataset.N_USERS)
        for k in range(8)
    ]
    return pl.DataFrame(rows, schema=s.INTERACTIONS, orient="row")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The tables, features and settings; the split is made."""
    monkeypatch.chdir(tmp_path)
    small_dataset.write(tmp_path)
    write_parquet(everything(), PROCESSED / s.INTERACTIONS_FILE)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["split"] = {"method": "cold_items", "shares": SHARES}
    raw["evaluate"]["candidates"] = 6
    raw["train"] |= {"epochs": 2, "evaluate_every": 1}
    raw["models"] = list(MODELS)
    write(raw)
    split.main(["sample", "interim", str(PROCESSED)])
    return raw


def write(raw):
    Path("params.yaml").write_text(yaml.safe_dump(raw))


def train_and_rank(model):
    for stage in (train, evaluate, recommend):
        small_dataset.run(stage, model)
    return read_json(Path(f"results/{model}/metrics.json"))


def compared():
    counts = {"users": 60, "items": 130, "interactions": 480, "density": 0.1, "rounds": []}
    write_json(counts, PROCESSED / s.STATISTICS_FILE)
    write_parquet(pl.DataFrame(schema=s.IMAGES), Path("images.parquet"))
    compare.main(["sample", str(PROCESSED), "images.parquet", "results"])


def items_of(part):
    return set(pl.read_parquet(PROCESSED / f"{part}.parquet")[s.ITEM])


def test_every_item_is_in_one_part_and_its_interactions_with_it():
    parts, counts = splits.by_items(everything(), SHARES, seed=3)
    items = {part: set(rows[s.ITEM]) for part, rows in parts.items()}

    assert counts == {"train": 96, "validation": 12, "test": 12}
    assert {part: len(of_part) for part, of_part in items.items()} == counts
    assert len(set.union(*items.values())) == 120
    assert pl.concat(parts.values()).sort(s.USER, s.TIME).equals(everything())


def test_items_are_drawn_by_the_seed():
    draws = [splits.by_items(everything(), SHARES, seed)[0]["test"] for seed in (1, 1, 2)]

    assert draws[0].equals(draws[1])
    assert not draws[0].equals(draws[2])


def test_a_part_without_an_item_is_refused():
    few = everything().filter(pl.col(s.ITEM) < 4)
    parts, counts = splits.by_items(few, SHARES, seed=1)

    assert counts == {"train": 4, "validation": 0, "test": 0}
    with pytest.raises(RawDataError, match=r"got none in validation and test .* shares"):
        splits.facts({"method": s.COLD_ITEMS}, parts)


def test_shares_add_up_to_one(project):
    project["split"]["shares"] = [0.8, 0.1, 0.2]

    with pytest.raises(ParamsError, match="expected `shares` that add up to 1"):
        params.parse(project)


def test_negatives_are_cold_items_of_the_same_part_that_the_user_never_met(project):
    drawn = pl.read_parquet(PROCESSED / s.CANDIDATES_FILE)
    met = everything()

    for user, part, target, negatives in drawn.rows():
        assert {target, *negatives} <= items_of(part)
        assert not set(negatives) & set(met.filter(user=user)[s.ITEM])
        assert len(set(negatives)) == 6


def test_a_user_with_too_few_cold_items_is_named_with_the_mend():
    parts, _ = splits.by_items(everything(), SHARES, seed=3)
    pools = splits.pools(parts)
    users = pl.DataFrame([(u, f"u{u}") for u in range(60)], schema=s.USERS, orient="row")
    sizes = users, small_dataset.N_ITEMS
    met = parts["validation"].group_by(s.USER).len()["len"].max()
    message = (
        rf"user 'u\d+' met {met} of the 12 cold items of validation; expected at least 12 .*"
        rf"Lower evaluate.candidates to {12 - met} or less, give validation a larger share"
    )

    with pytest.raises(RawDataError, match=message):
        candidates(parts, *sizes, 12, 1, pools=pools)


def test_both_rankings_are_among_the_cold_items_of_test(project):
    metrics = {model: train_and_rank(model) for model in MODELS}

    for model, content in metrics.items():
        assert content["split"]["items"] == {"train": 96, "validation": 12, "test": 12}
        assert (content["full"]["candidates"], content["sampled"]["candidates"]) == (12, 7)
        ranks = pl.read_parquet(f"results/{model}/ranks.parquet")
        assert ranks["rank_full"].max() < 12
        assert content["lists"]["coverage@10"] == 1.0  # of twelve items, not of all
        assert content["scores_new_items"] == (model == "vbpr")
        assert content["refit"]  # cold items of validation are trained on then


def test_an_epoch_is_chosen_among_the_cold_items_of_validation(project):
    """Where all 12 are in the top 12 of a list, recall is 1 from the first epoch on."""
    project["train"]["select_by"] = "full recall@12"
    write(project)
    train_and_rank("bprmf")

    history = pl.read_parquet("results/bprmf/history.parquet").filter(phase="select")
    assert history["value"].to_list() == [1.0, 1.0]


def test_training_draws_items_of_its_pairs_alone_and_more_after_the_refit(project):
    dataset = Dataset(PROCESSED)

    for validation, parts in ((False, ("train",)), (True, ("train", "validation"))):
        new = dataset.pairs(validation=validation).new_items
        assert set((~new).nonzero().flatten().tolist()) == set.union(*map(items_of, parts))


def test_other_splits_have_no_new_items(tmp_path):
    small_dataset.write(tmp_path)
    dataset = Dataset(tmp_path / PROCESSED)

    assert dataset.pairs(validation=False).new_items is None
    assert dataset.pool(s.TEST) is None


def test_the_comparison_names_the_models_that_are_not_made_for_new_items(project):
    for model in MODELS:
        train_and_rank(model)
    compared()

    text = Path("results/comparison.md").read_text()
    assert "New items: 12 drawn at random for test and 12 for validation" in text
    assert "ranking over 12 items" in text
    assert "Not made for new items: bprmf. They score items that are not in train" in text
    assert "Not made for new items: bprmf" in Path("results/report.html").read_text()


def test_results_of_another_number_of_items_are_refused(project):
    train_and_rank("bprmf")
    path = Path("results/bprmf/metrics.json")
    metrics = read_json(path)
    metrics["full"]["candidates"] = small_dataset.N_ITEMS
    write_json(metrics, path)
    write(project | {"models": ["bprmf"]})

    with pytest.raises(SchemaError, match="a ranking among the 12 items, got 130"):
        compared()


def test_a_cold_item_in_two_parts_is_an_error(project):
    """And that train has none of them is no warning, as it is in other splits."""
    tables = {n: pl.read_parquet(PROCESSED / f"{n}.parquet") for n in ("users", "items")}
    tables |= {n: pl.read_parquet(PROCESSED / f"{n}.parquet") for n in PART_FILES}
    tables["interactions"] = everything()
    named = checks.with_raw_ids(tables)
    drawn = named.pop("candidates", pl.read_parquet(PROCESSED / s.CANDIDATES_FILE))

    assert not list(checks.parts(named, drawn, published=False, cold=True))
    wrong = named["test"].head(1)
    named["train"] = pl.concat([named["train"], wrong])
    found = list(checks.parts(named, drawn, published=False, cold=True))
    assert ("error", "rows of cold items that are in another part") in {
        (finding.level, finding.what) for finding in found
    }
