"""Every stage refuses a damaged input by name, in one line that says how to mend it.

A catalogue of 40 users is taken through all stages once. A case damages one file, runs one
stage, and puts the file back.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from paths import ROOT

from pipeline import compare, curves, evaluate, features, images, kcore, recommend, split, train
from pipeline.explore import deploy
from pipeline.job.errors import PipelineError
from pipeline.learning.checkpoint import read_checkpoint, save_checkpoint
from pipeline.tables import io
from pipeline.tables import schema as s

N_USERS, N_ITEMS = 40, 60
INTERIM, PROCESSED, IMAGES = "data/interim", "data/processed", "data/images.parquet"
FEATURES, RESULTS = "data/features", "results/sample"
VBPR, BPRMF = f"{RESULTS}/vbpr", f"{RESULTS}/bprmf"


def about(model):
    """Return the arguments of a stage about one model."""
    return ["sample", model, PROCESSED, FEATURES, f"{RESULTS}/{model}"]


STAGES = {
    "kcore": (kcore.main, ["sample", INTERIM, PROCESSED]),
    "split": (split.main, ["sample", INTERIM, PROCESSED]),
    "images": (images.main, ["sample", "data/raw", PROCESSED, IMAGES]),
    "features": (
        features.main,
        ["sample", "textual", PROCESSED, IMAGES, f"{FEATURES}/textual.parquet"],
    ),
    "train": (train.main, about("vbpr")),
    "evaluate": (evaluate.main, about("vbpr")),
    "recommend": (recommend.main, about("vbpr")),
    "deploy": (deploy.main, [*about("vbpr"), "out"]),
    "compare": (
        compare.main,
        ["sample", PROCESSED, IMAGES, RESULTS, "--features", FEATURES],
    ),
    "curves": (curves.main, ["sample", RESULTS, "plots"]),
}


def run(stage):
    main, arguments = STAGES[stage]
    main(arguments)


def catalogue():
    """Write params.yaml and the raw tables."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw |= {"datasets": ["sample"], "models": ["bprmf", "vbpr"], "modalities": ["textual"]}
    raw["kcore"]["k"] = 1
    raw["train"] |= {"epochs": 2, "evaluate_every": 1}
    raw["evaluate"]["candidates"] = 20
    raw["recommend"]["k"] = 5
    text = {"extractor": "tfidf_svd", "field": "title", "dim": 4}
    raw["features"]["sample"] = {"textual": text}
    raw["tokens"] = {}
    raw["vbpr"]["default"] |= {"dim": 8, "modalities": ["textual"]}
    raw["extractors"] = {}
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    rows = [
        (f"u{u}", f"i{(7 * u + 11 * k) % N_ITEMS}", 86400 * k, 5.0, None)
        for u in range(N_USERS)
        for k in range(6)
    ]
    reviews = pl.DataFrame(rows, s.REVIEWS, orient="row")
    io.write_parquet(reviews, Path(INTERIM, s.REVIEWS_FILE))
    words = ["red", "blue", "silk", "wool", "bag", "hat", "long"]
    titles = [f"{words[i % 7]} {words[i % 5]} {words[i % 3]}" for i in range(N_ITEMS)]
    rows = [(f"i{i}", title, None, None) for i, title in enumerate(titles)]
    io.write_parquet(pl.DataFrame(rows, s.RAW_ITEMS, orient="row"), Path(INTERIM, s.ITEMS_FILE))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The finished run."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("project")
    os.chdir(folder)
    catalogue()
    for stage in ("kcore", "split", "images", "features"):
        run(stage)
    for model in ("bprmf", "vbpr"):
        for stage in (train, evaluate, recommend):
            stage.main(about(model))
    for stage in ("compare", "curves"):
        run(stage)
    yield folder
    os.chdir(before)


# --- damages --------------------------------------------------------------------------------


def read_by_a_feature(damage):
    """Damage a table of pictures that a feature reads, without which nothing opens it."""

    def damaged(path):
        raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        raw["features"]["sample"]["visual"] = {"extractor": "vgg16", "field": "image"}
        raw["modalities"].append("visual")
        Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        damage(path)

    damaged.__name__ = damage.__name__
    return damaged


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def emptied(path):
    path.write_bytes(b"")


def missing(path):
    path.unlink()


def flipped(path):
    """Flip a bit in a page of every column, or in the last tensor."""
    content = bytearray(path.read_bytes())
    places = [len(content) - 3]
    if path.suffix == ".parquet":
        group = pq.read_metadata(path).row_group(0)
        columns = [group.column(n) for n in range(group.num_columns)]
        ends = (c.data_page_offset for c in columns)
        sizes = (c.total_compressed_size for c in columns)
        starts = (
            c.dictionary_page_offset if c.has_dictionary_page else c.data_page_offset
            for c in columns
        )
        places = [max(e, b + n - 2) for e, b, n in zip(ends, starts, sizes, strict=True)]
    for place in places:
        content[place] ^= 4
    path.write_bytes(content)


def rewritten(path, change):
    """Write a table again as another program would: its metadata stay."""
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def column(table, name, values):
    at = table.schema.get_field_index(name)
    field = table.schema.field(name)
    return table.set_column(at, field, values.cast(field.type))


def first_value(name, value):
    """Return the damage that puts `value` into the first row of a column."""

    def damage(path):
        def change(table):
            values = [value, *table[name].to_pylist()[1:]]
            return column(
                table, name, pa.chunked_array([values], table.schema.field(name).type)
            )

        rewritten(path, change)

    damage.__name__ = f"{name} {value}"
    return damage


def rows_twice(path):
    rewritten(path, lambda table: pa.concat_tables([table, table[-3:]]))


def rows_lost(path):
    rewritten(path, lambda table: table[:-3])


def other_schema(path):
    rewritten(path, lambda table: table.rename_columns([f"{n}_" for n in table.column_names]))


def other_types(path):
    texts = [
        n for n, t in zip(table_names(path), table_types(path), strict=True) if t == "int32"
    ]
    rewritten(path, lambda t: t.set_column(0, texts[0], t[texts[0]].cast(pa.float64())))


def table_names(path):
    return pq.read_schema(path).names


def table_types(path):
    return [str(kind) for kind in pq.read_schema(path).types]


def other_order(path):
    rewritten(path, lambda table: table.take(list(range(len(table)))[::-1]))


def not_present(path):
    other = pa.array([False] * len(pq.read_table(path)))
    rewritten(path, lambda table: column(table, "present", pa.chunked_array([other])))


def nan_features(path):
    rewritten(path, lambda table: features_of(table, np.nan))


def features_of(table, value):
    rows = np.array(table["feature"].to_pylist(), np.float32)
    rows[1] += value
    kind = table.schema.field("feature").type
    return column(table, "feature", pa.chunked_array([pa.array(rows.tolist(), kind)]))


def made_again(path):
    """Other settings, and the stage again."""
    raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    raw["features"]["sample"]["textual"]["dim"] = 3
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    run("features")


def other_numbers(path):
    rewritten(path, lambda table: features_of(table, 0.5))


def of_the_other_model(path):
    shutil.copy(str(path).replace("vbpr", "bprmf"), path)


def weights(change):
    def damage(path):
        tensors, facts = read_checkpoint(path)
        save_checkpoint(*change(dict(tensors), facts), path)

    damage.__name__ = change.__name__
    return damage


@weights
def nan_weights(tensors, facts):
    name = next(iter(tensors))
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    return tensors, facts


@weights
def wider_weights(tensors, facts):
    name = next(name for name, values in tensors.items() if values.dim() == 2)
    tensors[name] = torch.cat([tensors[name], tensors[name]], 1)
    return tensors, facts


@weights
def weights_lost(tensors, facts):
    return dict(list(tensors.items())[1:]), facts


@weights
def state_of_a_training(tensors, facts):
    return tensors, {"progress": "{}"}


@weights
def other_seed(tensors, facts):
    return tensors, facts | {"seed": 1}


def header_flipped(path):
    content = path.read_bytes()
    place = content.index(b"epoch") + 12
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def not_json(path):
    path.write_text("{'a': nonsense", encoding="utf-8")


def not_utf8(path):
    path.write_bytes(b'{"a": "\xff\xfe"}')


def a_list(path):
    path.write_text("[1, 2]", encoding="utf-8")


def fields_lost(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("epoch", "interactions"):
        content.pop(name, None)
    path.write_text(json.dumps(content), encoding="utf-8")


def contradicting(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    content["sampled"]["ndcg@10"] = 0.99
    path.write_text(json.dumps(content), encoding="utf-8")


def nan_metric(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    content["full"]["hr@5"] = float("nan")
    path.write_text(json.dumps(content), encoding="utf-8")


def other_epoch(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"epoch": 77}), encoding="utf-8")


def no_user(path):
    """A user of whom nothing is there, the rest as it was."""
    rewritten(path, lambda table: table.filter(pc.not_equal(table["user"], 3)))


def negatives_out_of_range(path):
    def change(table):
        lists = [[N_ITEMS + 5, *table["negatives"][0].as_py()[1:]]]
        lists += table["negatives"].to_pylist()[1:]
        kind = table.schema.field("negatives").type
        return column(table, "negatives", pa.chunked_array([pa.array(lists, kind)]))

    rewritten(path, change)


# --- cases ----------------------------------------------------------------------------------

TABLE = (truncated, emptied, missing, flipped, other_schema)
FAR = 100_000
CASES = {
    ("kcore", f"{INTERIM}/reviews.parquet"): (*TABLE, first_value("user", None)),
    ("kcore", f"{INTERIM}/items.parquet"): (*TABLE, rows_lost, rows_twice),
    ("split", f"{PROCESSED}/interactions.parquet"): (
        *TABLE, other_types, rows_twice, first_value("item", FAR), first_value("user", -1),
        first_value("item", None),
    ),
    ("split", f"{PROCESSED}/users.parquet"): (flipped, rows_twice, rows_lost),
    ("split", f"{PROCESSED}/items.parquet"): (flipped, rows_twice, rows_lost),
    ("features", f"{PROCESSED}/items.parquet"): (*TABLE, rows_twice, first_value("item", 5)),
    ("train", f"{PROCESSED}/train.parquet"): (
        *TABLE, rows_twice, rows_lost, first_value("item", FAR),
    ),
    ("train", f"{PROCESSED}/validation.parquet"): (flipped, rows_lost, rows_twice),
    ("train", f"{PROCESSED}/items.parquet"): (flipped, rows_twice, rows_lost),
    ("train", f"{PROCESSED}/users.parquet"): (rows_twice, rows_lost),
    ("train", f"{PROCESSED}/candidates.parquet"): (
        *TABLE, rows_twice, negatives_out_of_range, first_value("item", FAR),
    ),
    ("train", f"{FEATURES}/textual.parquet"): (
        *TABLE, rows_lost, rows_twice, nan_features, other_order, not_present,
    ),
    ("evaluate", f"{VBPR}/checkpoint.safetensors"): (
        truncated, emptied, missing, flipped, header_flipped, of_the_other_model, nan_weights,
        wider_weights, weights_lost, state_of_a_training, other_seed,
    ),
    ("evaluate", f"{FEATURES}/textual.parquet"): (
        flipped, nan_features, made_again, other_numbers,
    ),
    ("evaluate", f"{PROCESSED}/test.parquet"): (
        *TABLE, rows_lost, rows_twice, first_value("item", FAR), first_value("item", 2),
    ),
    ("evaluate", f"{PROCESSED}/train.parquet"): (flipped, rows_lost, rows_twice),
    ("evaluate", f"{PROCESSED}/items.parquet"): (rows_twice, first_value("raw_id", "new")),
    ("evaluate", f"{PROCESSED}/candidates.parquet"): (
        rows_lost, rows_twice, negatives_out_of_range,
    ),
    ("recommend", f"{VBPR}/checkpoint.safetensors"): (
        truncated, flipped, of_the_other_model, nan_weights,
    ),
    ("recommend", f"{FEATURES}/textual.parquet"): (made_again, other_numbers),
    ("recommend", f"{PROCESSED}/items.parquet"): (rows_twice, rows_lost),
    ("deploy", f"{VBPR}/checkpoint.safetensors"): (flipped, of_the_other_model, missing),
    ("deploy", f"{FEATURES}/textual.parquet"): (made_again,),
    ("deploy", f"{PROCESSED}/test.parquet"): (flipped, first_value("user", FAR)),
    ("compare", f"{VBPR}/metrics.json"): (
        emptied, missing, not_json, not_utf8, a_list, fields_lost, contradicting, nan_metric,
        other_epoch, of_the_other_model,
    ),
    ("compare", f"{VBPR}/ranks.parquet"): (
        *TABLE, rows_twice, rows_lost, first_value("rank_full", FAR), of_the_other_model,
        first_value("item", 2),
    ),
    ("compare", f"{VBPR}/recommendations.parquet"): (
        *TABLE, rows_twice, rows_lost, no_user, first_value("item", FAR), of_the_other_model,
        first_value("raw_item", "i0"), first_value("score", float("nan")),
    ),
    ("compare", f"{VBPR}/history.parquet"): (
        *TABLE, rows_twice, first_value("loss", float("nan")), of_the_other_model,
    ),
    ("compare", f"{PROCESSED}/statistics.json"): (emptied, not_json, fields_lost),
    ("compare", f"{PROCESSED}/train.parquet"): (flipped, rows_lost, rows_twice),
    ("compare", f"{PROCESSED}/test.parquet"): (flipped, rows_lost),
    ("compare", f"{PROCESSED}/items.parquet"): (flipped, rows_twice, rows_lost),
    ("compare", f"{PROCESSED}/users.parquet"): (rows_twice, rows_lost),
    ("compare", IMAGES): tuple(
        map(read_by_a_feature, (truncated, flipped, other_schema, missing))
    ),
    ("compare", f"{FEATURES}/textual.parquet"): (flipped, missing, rows_lost, made_again),
    ("curves", f"{VBPR}/metrics.json"): (not_json, fields_lost, contradicting),
    ("curves", f"{VBPR}/ranks.parquet"): (flipped, rows_lost, of_the_other_model),
    ("curves", f"{VBPR}/history.parquet"): (truncated, of_the_other_model),
}  # fmt: skip
EVERY = [(*where, damage) for where, damages in CASES.items() for damage in damages]
MENDS = ("run ", "Delete", "Lower", "lower", "give", "remove")


def damaged(stage, file, damage):
    """Damage the file, run the stage, and put everything back as it was."""
    kept = {path: path.read_bytes() for path in (Path("params.yaml"), Path(file))}
    try:
        damage(Path(file))
        run(stage)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.parametrize(
    ("stage", "file", "damage"),
    EVERY,
    ids=[f"{a}-{Path(b).name}-{c.__name__}" for a, b, c in EVERY],
)
def test_a_damaged_input_is_refused_by_name_with_the_mend(project, stage, file, damage):
    with pytest.raises(PipelineError) as raised:
        damaged(stage, file, damage)

    message = str(raised.value)
    assert Path(file).name in message, message
    assert any(word in message for word in MENDS), message
    assert "\n" not in message


def test_undamaged_inputs_are_accepted(project):
    """The cases put back what they damage."""
    for stage in STAGES:
        run(stage)
