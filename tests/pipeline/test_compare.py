"""What compare computes from ranks and metrics, and its command line on a small project."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from model.metrics import at_cutoffs
from pipeline import compare
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.pages import file_names
from pipeline.tables import features, io
from pipeline.tables import schema as s

FULL = {"hr@5": 0.25, "ndcg@5": 0.125, "hr@10": 0.5, "ndcg@10": 0.25, "candidates": 900}
SAMPLED = {"hr@5": 0.5, "ndcg@5": 0.25, "hr@10": 0.75, "candidates": 100}


def of_ranks(rows, model="bprmf"):
    """Return the metrics.json that follows from the ranks, on beauty_split."""
    sizes = {"sampled": 100, "full": N_ITEMS}
    parts = {
        part: at_cutoffs(part, rows[f"rank_{part}"].to_torch(), [5, 10]) | {"candidates": size}
        for part, size in sizes.items()
    }
    return metrics(model, 0.0, dataset="beauty_split", **parts)


def metrics(model, ndcg, **other):
    return {
        "dataset": "toy", "model": model, "architecture": model, "seeds": [7], "epoch": 5,
        "selected_on": "validation ndcg@10 (sampled)", "optimistic": False, "refit": True,
        "trained_on": "train and validation", "n_users": 6, "settings": {"dim": 8},
        "sampled": SAMPLED | {"ndcg@10": ndcg}, "full": FULL,
    } | other  # fmt: skip


def ranks(sampled):
    rows = [(user, 3, rank, rank, 7) for user, rank in enumerate(sampled)]
    return pl.DataFrame(rows, schema=s.RANKS, orient="row")


N_ITEMS = 110  # more than 99 that a user never met
BETTER, WORSE = ranks([0, 0, 0, 0, 0, 0]), ranks([1, 2, 3, 4, 5, 6])


def test_metrics_without_a_key_are_refused():
    broken = {key: value for key, value in metrics("a", 0.5).items() if key != "epoch"}

    with pytest.raises(SchemaError, match=r"a/metrics.json: .*without \['epoch'\]"):
        compare.comparison({"a": broken}, {"a": BETTER})


def test_markdown_has_each_model_the_best_in_bold_and_the_protocol():
    both = {"a": metrics("a", 0.4), "b": metrics("b", 0.5)}

    text = compare.markdown(compare.comparison(both, {"a": WORSE, "b": BETTER}))

    lines = text.splitlines()
    full = "**0.2500** | **0.1250** | **0.5000** | **0.2500**"
    equal = "| **0.5000** | **0.2500** | **0.7500**"
    assert f"| a {equal} | 0.4000 | {full} | 5 |" in lines
    assert f"| b {equal} | **0.5000** | {full} | 5 |" in lines
    assert "| a | +0.5603 | 6 | 6 | 0.0312 | 0.0312 |" in lines
    for part in ("sampled-99: 1 target among 100 candidates", "full: ranking over 900 items",
                 "validation ndcg@10 (sampled), trained again on train and validation",
                 "Seeds: 7."):  # fmt: skip
        assert part in text
    assert "optimistic" not in text
    assert "paper" not in text


def test_the_table_follows_the_cutoffs_and_their_best_model_is_best():
    def of(model, ndcg):
        values = {
            "hr@20": 0.5,
            "ndcg@20": ndcg,
            "hr@50": 0.5,
            "ndcg@50": 0.4,
            "candidates": 100,
        }
        return metrics(model, 0.0, sampled=values, full=values)

    table = compare.comparison(
        {"a": of("a", 0.1), "b": of("b", 0.3)}, {"a": WORSE, "b": BETTER}
    )

    text = compare.markdown(table)
    assert table["best"] == "b"
    assert table["significance"]["measure"] == "ndcg@20 (sampled) of each user"
    assert table["significance"]["pairs"][0]["n_different"] == 6
    assert (
        "sampled N@20 | sampled HR@50 | sampled N@50 | full HR@20 | full N@20 | full HR@50"
        in text
    )
    assert "| b | **0.5000** | **0.3000** |" in text
    assert "on NDCG@20 (sampled)" in text


def test_the_table_shows_the_measures_of_params_and_is_ranked_by_the_metric_of_choice():
    """`a` is better in the sampled NDCG@10, `b` in the full recall@20."""

    def of(model, sampled, full):
        both = {
            "sampled": at_cutoffs("sampled", torch.tensor(sampled), [10, 20]),
            "full": at_cutoffs("full", torch.tensor(full), [10, 20]),
        }
        sizes = {"sampled": 100, "full": 900}
        parts = {p: values | {"candidates": sizes[p]} for p, values in both.items()}
        rows = [
            (user, 3, *pair, 7) for user, pair in enumerate(zip(sampled, full, strict=True))
        ]
        return metrics(model, 0.0, **parts), pl.DataFrame(rows, s.RANKS, orient="row")

    models = {"a": of("a", [0] * 6, [30] * 6), "b": of("b", [5] * 6, [15] * 6)}
    found = [{model: both[n] for model, both in models.items()} for n in (0, 1)]

    table = compare.comparison(
        *found, select_by="full recall@20", measures=["recall", "ndcg", "map"]
    )

    assert table["best"] == "b"
    assert table["significance"]["pairs"][0]["mean_difference"] == 1.0
    text = compare.markdown(table)
    assert "| sampled R@20 | sampled N@20 | full R@10 | full N@10 | full MAP@10 |" in text
    assert "on Recall@20 (full)" in text
    assert "R is recall, N is NDCG. The best" in text
    assert compare.comparison(*found)["best"] == "a"


def test_a_choice_on_test_is_called_optimistic():
    """Also where metrics.json has no key `optimistic`."""
    chosen = metrics("a", 0.4, selected_on="test ndcg@10 (sampled)")
    del chosen["optimistic"]

    table = compare.comparison({"a": chosen}, {"a": WORSE})

    assert table["models"]["a"]["optimistic"] is True
    assert "| a (*optimistic*) |" in compare.markdown(table)
    assert table["significance"]["pairs"] == []


def test_a_row_may_name_its_extractor():
    both = {"a": metrics("a", 0.4), "a_net": metrics("a_net", 0.5)}
    names = {"a": "vgg16 of image, seeded (untrained)", "a_net": "resnet50 of image, imagenet"}

    table = compare.comparison(both, {"a": WORSE, "a_net": BETTER}, extractors=names)

    assert table["models"]["a"]["extractor"] == names["a"]
    rows = [line.split(" | ")[0] for line in compare.markdown(table).splitlines()]
    assert "| a: vgg16 of image, seeded (untrained)" in rows
    assert "| a_net: resnet50 of image, imagenet" in rows
    plain = compare.comparison(both, {"a": WORSE, "a_net": BETTER})
    assert "extractor" not in plain["models"]["a"]


def test_the_features_are_named_above_the_table():
    table = compare.comparison({"a": metrics("a", 0.4)}, {"a": WORSE})

    lines = compare.markdown(table, "Features: none.").splitlines()

    assert lines.index("Features: none.") < lines.index(next(x for x in lines if "|" in x))
    assert "Features" not in compare.markdown(table)


def test_the_papers_numbers_are_below_ours():
    both = {"mcln": metrics("mcln", 0.5), "base_vt": metrics("base_vt", 0.4)}

    table = compare.comparison(both, {"mcln": BETTER, "base_vt": WORSE}, "amazon-beauty")

    lines = compare.markdown(table).splitlines()
    printed = "as printed in the paper"
    assert (
        f"| mcln, {printed} (Table 2) | 0.5636 | 0.4368 | 0.6689 | 0.4710 | – | – | – | – | – |"
        in lines
    )
    assert (
        f"| base_vt, {printed} (Table 3) | 0.5492 | 0.4230 | – | – | – | – | – | – | – |"
        in lines
    )


def project(folder):
    """Write what the command reads: six users, the model bprmf, no pictures."""
    settings = Path("params.yaml").read_text(encoding="utf-8")
    wanted = settings.replace("- bprmf\n- lightgcn\n- mcln\n", "- bprmf\n")
    (folder / "params.yaml").write_text(wanted, encoding="utf-8")
    processed, results = folder / "processed", folder / "results"
    users = range(6)
    parts = {s.TRAIN_FILE: [0, 1], s.VALIDATION_FILE: [2], s.TEST_FILE: [3]}
    for name, items in parts.items():
        rows = [(user, item, None) for user in users for item in items]
        io.write_parquet(pl.DataFrame(rows, s.INTERACTIONS, orient="row"), processed / name)
    names = [(user, f"u{user}") for user in users]
    io.write_parquet(pl.DataFrame(names, s.USERS, orient="row"), processed / s.USERS_FILE)
    rows = [(i, str(i), None, None, None, [i, i + 1]) for i in range(N_ITEMS)]
    columns = s.ITEMS | {"title_tokens": pl.List(pl.Int32)}
    io.write_parquet(pl.DataFrame(rows, columns, orient="row"), processed / s.ITEMS_FILE)
    counts = {"users": 6, "items": N_ITEMS, "interactions": 24, "density": 0.5, "rounds": []}
    io.write_json(counts, processed / s.STATISTICS_FILE)
    io.write_parquet(pl.DataFrame(schema=s.IMAGES), folder / "images.parquet")
    io.write_json(of_ranks(WORSE), results / "bprmf" / s.METRICS_FILE)
    io.write_parquet(WORSE, results / "bprmf" / s.RANKS_FILE)
    history = [("select", 5, 0.6, 0.2, 0.1, 0.1, "validation")]
    table = pl.DataFrame(history, s.HISTORY, orient="row")
    io.write_parquet(table, results / "bprmf" / s.HISTORY_FILE)
    best = [(user, 0, 3, "3", 1.0) for user in users]
    table = pl.DataFrame(best, s.RECOMMENDATIONS, orient="row")
    io.write_parquet(table, results / "bprmf" / s.RECOMMENDATIONS_FILE)


def copy(results, model):
    """Write the results of bprmf as those of another model."""
    shutil.copytree(results / "bprmf", results / model)
    io.write_json(of_ranks(WORSE, model), results / model / s.METRICS_FILE)


ARGUMENTS = ["beauty_split", "processed", "images.parquet", "results"]
WRITTEN = [
    file_names.COMPARISON_JSON,
    file_names.COMPARISON_MD,
    file_names.REPORT_FILE,
    file_names.SIGNIFICANCE_JSON,
    file_names.SLICES_JSON,
]


def test_the_command_writes_the_same_bytes_again(tmp_path, monkeypatch):
    """One model, a published split without titles, times or pictures."""
    project(tmp_path)
    monkeypatch.chdir(tmp_path)

    compare.main(ARGUMENTS)
    first = [(tmp_path / "results" / name).read_bytes() for name in WRITTEN]
    compare.main(ARGUMENTS)

    assert [(tmp_path / "results" / name).read_bytes() for name in WRITTEN] == first
    page = first[2].decode()
    assert "item 3, tokens 3 4" in page
    assert "The source has no time stamps." in page
    assert "bprmf as printed in the paper, Table 2" in page


def test_the_command_writes_significance_and_slices(tmp_path, monkeypatch):
    project(tmp_path)
    settings = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    wanted = settings.replace("\n- bprmf\n", "\n- bprmf\n- vbpr\n")
    (tmp_path / "params.yaml").write_text(wanted, encoding="utf-8")
    copy(tmp_path / "results", "vbpr")
    features.write_features(
        (np.ones(2, np.float32) if item < 4 else None for item in range(N_ITEMS)),
        tmp_path / "features/visual.parquet",
        dim=2,
        metadata=dict.fromkeys(features.METADATA, "x")
        | {"dim": "2", "extractor": "vgg16", "field": "image", "weights": "seeded (untrained)"},
    )
    monkeypatch.chdir(tmp_path)

    compare.main([*ARGUMENTS, "--features", "features"])

    tests = io.read_json(tmp_path / "results" / file_names.SIGNIFICANCE_JSON)
    assert (tests["dataset"], tests["n_users"], tests["best"]) == ("beauty_split", 6, "bprmf")
    assert {row["other"] for row in tests["pairs"]} == {"vbpr"}
    assert {row["ties"] for row in tests["pairs"]} == {6}
    partitions = io.read_json(tmp_path / "results" / file_names.SLICES_JSON)["partitions"]
    assert [(x["name"], x["n_users"]) for x in partitions["has visual"]["slices"]] == [
        ("present", 6),  # every rank is of item 3
        ("absent", 0),
    ]
    assert "has textual" not in partitions  # no model reads it
    said = "Features: visual: vgg16 of image, seeded (untrained)."
    assert said in (tmp_path / "results" / file_names.COMPARISON_MD).read_text().splitlines()
    page = (tmp_path / "results" / file_names.REPORT_FILE).read_text()
    assert said in page.split("<main>")[0]  # params.yaml names sif: the file counts
    assert '<td class="left">seeded (untrained) <span' in page


@pytest.mark.parametrize(
    "missing", ["results/bprmf/metrics.json", "results/bprmf/ranks.parquet", "images.parquet"]
)
def test_a_missing_input_is_named_and_nothing_is_written(tmp_path, monkeypatch, missing):
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["features"]["beauty_split"]["visual"] = raw["features"]["sample"]["visual"]
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    shutil.move(missing, "elsewhere")

    with pytest.raises(SchemaError, match=f"{Path(missing).name}: no such"):
        compare.main(ARGUMENTS)
    assert not [name for name in WRITTEN if (tmp_path / "results" / name).exists()]


def test_a_named_table_is_written_to_a_folder_of_its_name(tmp_path, monkeypatch):
    project(tmp_path)
    settings = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    wanted = settings.replace("\n- bprmf\n", "\n- lightgcn\n")
    wanted = wanted.replace("\ntables: ", "\ntables:\n  small: [bprmf]\n  # ")
    (tmp_path / "params.yaml").write_text(wanted, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    compare.main([*ARGUMENTS, "--table", "small"])

    table = io.read_json(tmp_path / "results/small" / file_names.COMPARISON_JSON)
    assert table["order"] == ["bprmf"]
    assert not (tmp_path / "results" / file_names.COMPARISON_JSON).exists()
    with pytest.raises(ParamsError, match=r"no table .table9..*.small."):
        compare.main([*ARGUMENTS, "--table", "table9"])


def test_the_extractors_of_a_model_are_compared_in_a_separate_folder(tmp_path, monkeypatch):
    """The page names every feature, also one without weights."""
    project(tmp_path)
    raw = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    own = {"extractor": "precomputed", "path": "own.parquet"}
    swap = {"model": "vbpr", "modality": "visual", "instead": {"own": own}}
    raw |= {"extractors": {"beauty_split": swap}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    results = tmp_path / "results"
    for model in ("vbpr", "vbpr_own"):
        copy(results, model)
    monkeypatch.chdir(tmp_path)

    compare.main([*ARGUMENTS, "--table", "extractors"])

    table = io.read_json(results / "extractors" / file_names.COMPARISON_JSON)
    assert table["order"] == ["vbpr", "vbpr_own"]
    assert table["models"]["vbpr"]["extractor"] == "sif of visual_tokens, trained"
    assert table["models"]["vbpr_own"]["extractor"] == "precomputed of raw_id"
    page = (results / "extractors" / file_names.REPORT_FILE).read_text(encoding="utf-8")
    assert '<span class="soft small">precomputed of raw_id</span>' in page
    assert '<th scope="row">visual_own</th>' in page
