import copy
import os
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.tables.io import sha256_of
from workflow.settings import main, slices, write

# Without the tables, the searches, the study and the benchmark: their models would be named in
# every answer.
RAW = yaml.safe_load(Path("params.yaml").read_text())
RAW |= {"tables": {}, "extractors": {}, "sweep": None, "study": {}, "deploy": {}}
RAW |= {"tune": {"models": []}, "benchmark": {}}
NET = {"extractor": "resnet50", "field": "image"}
SWAP = {"model": "vbpr", "modality": "visual", "instead": {"a": NET, "b": dict(NET)}}


def touched_by(change, start=RAW):
    """Names of the files whose content a change of params.yaml alters."""
    raw = copy.deepcopy(start)
    change(raw)
    before, after = (slices(params.parse(r)) for r in (start, raw))
    return {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }


def test_an_extractor_touches_its_own_feature_the_report_that_names_it_and_the_study():
    assert touched_by(lambda r: r["features"]["sample"]["textual"].update(epochs=7)) == {
        "features/sample/textual",
        "compare/sample",
        "factors/sample",
    }


def test_a_models_number_touches_that_model():
    assert touched_by(lambda r: r["mcln"]["default"].update(modality_weight=0.5)) == {
        f"{stage}/sample/mcln" for stage in ("train", "evaluate", "recommend", "deploy")
    }


def test_another_datasets_number_touches_nothing():
    assert touched_by(lambda r: r["mcln"].update(taobao={"layers": 2})) == set()


def test_a_modality_that_dvc_would_skip_is_refused(tmp_path, monkeypatch):
    raw = copy.deepcopy(RAW)
    raw["features"]["sample"]["audio"] = {"extractor": "sif", "field": "description"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        ParamsError, match=r"modalities: expected 'audio'.*features\.sample\.audio"
    ):
        main(["settings", "links"])

    assert not (tmp_path / "settings").exists()


def test_a_table_has_the_slices_of_its_models_and_one_of_its_own(tmp_path):
    raw = RAW | {"models": ["bprmf"], "tables": {"own": ["base", "bprmf"]}}

    write(params.parse(raw), tmp_path, tmp_path / "links")

    assert (tmp_path / "train/sample/base.json").exists()
    assert (tmp_path / "compare/sample/own.json").exists()
    assert not (tmp_path / "train/sample/mcln.json").exists()


def of_model(name):
    return {f"{stage}/sample/{name}" for stage in ("train", "evaluate", "recommend", "deploy")}


def test_a_comparison_of_extractors_adds_slices_and_leaves_all_others_as_they_are():
    added = touched_by(lambda r: r["extractors"].update(sample=SWAP))

    features = {f"features/sample/visual_{name}" for name in "ab"}
    models = of_model("vbpr") | of_model("vbpr_a") | of_model("vbpr_b")
    assert added == {"compare/sample/extractors"} | features | models


def test_one_of_the_compared_extractors_touches_its_own_feature_and_their_table():
    """Not the slice of its training, which runs again because its feature is another."""
    start = RAW | {"extractors": {"sample": SWAP}}

    def edit(raw):
        raw["extractors"]["sample"]["instead"]["b"]["weights"] = "seeded"

    assert touched_by(edit, start) == {"features/sample/visual_b", "compare/sample/extractors"}


def test_a_dataset_that_was_not_generated_is_not_studied():
    raw = copy.deepcopy(RAW)
    raw["datasets"] = ["sample", "gift_cards"]

    named = [name for name in slices(params.parse(raw)) if name.startswith("factors/")]

    assert named == ["factors/sample"]


def test_the_deployed_model_has_slices_and_what_is_written_of_it_touches_that_alone():
    """Another choice leaves the slices of the first one as they are."""
    start = RAW | {"models": ["bprmf"], "deploy": {"model": "bprmf"}}

    assert touched_by(lambda r: r["deploy"].update(k=3), start) == {"deploy/sample/bprmf"}
    assert touched_by(lambda r: r["deploy"].update(model="mcln"), start) == of_model("mcln")
    assert "deploy/sample/bprmf" in touched_by(lambda r: r["train"].update(epochs=3), start)


def test_the_number_of_candidates_touches_the_split_and_what_ranks():
    touched = touched_by(lambda r: r["evaluate"].update(candidates=20))

    assert "split/sample" in touched
    assert {name.split("/")[0] for name in touched} <= {
        "split", "evaluate", "study_cell", "sweep_table",
    }  # fmt: skip


def test_k_touches_kcore_only():
    assert touched_by(lambda r: r["kcore"].update(k=4)) == {"kcore/sample"}


def test_a_datasets_own_settings_of_a_stage_touch_that_dataset_alone():
    start = RAW | {"datasets": ["sample", "gift_cards"], "models": ["bprmf"]}

    def change(raw):
        raw["train"]["datasets"] = {"gift_cards": {"epochs": 7}}
        raw["split"]["datasets"] = {"gift_cards": {"method": "time", "quantiles": [0.8, 0.9]}}

    assert touched_by(change, start) == {
        "train/gift_cards/bprmf",
        "deploy/gift_cards/bprmf",
    } | {"split/gift_cards"}


def test_files_are_rewritten_only_when_they_changed_and_removed_when_unused(tmp_path):
    write(params.parse(RAW), tmp_path, tmp_path / "links")
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}
    raw = copy.deepcopy(RAW)
    raw["kcore"]["k"] = 4
    raw["models"] = ["bprmf"]

    write(params.parse(raw), tmp_path, tmp_path / "links")

    left = set(tmp_path.rglob("*.json"))
    assert tmp_path / "train/sample/mcln.json" not in left
    changed = {
        p.relative_to(tmp_path).as_posix() for p in left if p.stat().st_mtime_ns != stamps[p]
    }
    names = ("kcore", "compare", "curves", "factors")
    assert changed == {f"{name}/sample.json" for name in names}


# --- files that features name ---------------------------------------------------------------

OWN = {"extractor": "precomputed", "path": "own.npy", "ids": "ids.txt"}


@pytest.fixture
def own_features(tmp_path, monkeypatch):
    """Parameters whose visual features name two files, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    Path("own.npy").write_bytes(b"first")
    Path("ids.txt").write_bytes(b"a\n")
    raw = copy.deepcopy(RAW)
    raw["features"]["sample"]["visual"] = OWN
    return params.parse(raw)


@pytest.mark.parametrize("name", ["own.npy", "ids.txt"])
def test_another_content_is_another_slice_of_that_feature_and_no_other(own_features, name):
    before = slices(own_features)
    Path(name).write_bytes(b"other")
    after = slices(own_features)

    assert {key for key in before if before[key] != after[key]} == {"features/sample/visual"}
    assert after["features/sample/visual"][-1] == {
        "path": sha256_of(Path("own.npy")),
        "ids": sha256_of(Path("ids.txt")),
    }


def test_the_same_content_under_a_new_time_is_the_same_slice(own_features):
    before = slices(own_features)
    os.utime("own.npy", ns=(0, 0))

    assert slices(own_features) == before


def test_a_file_that_is_absent_and_weights_with_a_name_have_no_checksum(own_features):
    Path("own.npy").unlink()
    raw = copy.deepcopy(RAW)

    assert slices(own_features)["features/sample/visual"][-1]["path"] is None
    assert slices(params.parse(raw))["features/sample/visual"][-1] == {"weights": None}


def test_weights_in_a_file_count(own_features):
    Path("net.pth").write_bytes(b"weights")
    raw = copy.deepcopy(RAW)
    raw["features"]["sample"]["visual"]["weights"] = "net.pth"

    checksum = slices(params.parse(raw))["features/sample/visual"][-1]

    assert checksum == {"weights": sha256_of(Path("net.pth"))}


@pytest.mark.parametrize(
    ("setting", "value"),
    [("path", "nowhere.npy"), ("ids", "nowhere"), ("weights", "net.pth"), ("weights", "a/net")],
)
def test_dvc_refuses_a_file_that_is_not_there(own_features, setting, value):
    """It would not notice when the file comes; the features would then be of no known file."""
    raw = copy.deepcopy(RAW)
    if setting != "weights":
        raw["features"]["sample"]["visual"] = OWN
    raw["features"]["sample"]["visual"] = raw["features"]["sample"]["visual"] | {setting: value}
    Path("params.yaml").write_text(yaml.safe_dump(raw))

    with pytest.raises(RawDataError, match=rf"sample\.visual\.{setting}: no such file {value}"):
        main(["data/settings", "data/named_files"])


def test_dvc_sees_the_files_through_links_that_follow_the_parameters(own_features, tmp_path):
    folder, links = Path("data/settings"), Path("data/named_files")
    link = links / "sample/visual/path"
    write(own_features, folder, links)

    assert link.read_bytes() == b"first"
    assert link.readlink() == tmp_path / "own.npy"

    made = link.lstat().st_mtime_ns
    write(own_features, folder, links)
    assert link.lstat().st_mtime_ns == made

    Path("own.npy").rename("moved.npy")
    write(own_features, folder, links)
    assert not link.is_symlink()  # DVC stops at a link to nothing

    raw = copy.deepcopy(RAW)
    raw["features"]["sample"]["visual"] = OWN | {"path": "moved.npy"}
    write(params.parse(raw), folder, links)
    assert link.readlink() == tmp_path / "moved.npy"

    write(params.parse(RAW), folder, links)
    assert [path for path in links.rglob("*") if path.is_symlink()] == []


# --- the user's own files -------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The raw parameters of a dataset with a table and pictures of the user's own."""
    monkeypatch.chdir(tmp_path)
    Path("shop/photos").mkdir(parents=True)
    Path("shop/visits.csv").write_text("who,what\n")
    Path("shop/photos/labels.json").write_text("{}")
    raw = copy.deepcopy(RAW)
    columns = {"user": "who", "item": "what"}
    raw["sources"]["shop"] = {
        "format": "tables", "folder": "shop", "interactions": "visits.csv", "columns": columns,
        "pictures": "photos",
    }  # fmt: skip
    raw["features"]["shop"] = {}
    return raw | {"datasets": ["shop"], "models": ["bprmf"]}


def test_an_added_line_is_another_slice_of_the_download_and_no_other(shop):
    before = slices(params.parse(shop))
    Path("shop/visits.csv").write_text("who,what\nann,1\n")
    after = slices(params.parse(shop))

    assert {key for key in before if before[key] != after[key]} == {"download/shop"}


def test_the_links_to_the_users_files_follow_the_parameters(shop):
    folder, links = Path("data/settings"), Path("data/named_files")
    write(params.parse(shop), folder, links)
    write(params.parse(shop), folder, links)

    assert (links / "shop/_source/visits.csv").readlink() == Path("shop/visits.csv").absolute()
    assert (folder / "pictures/shop").readlink() == Path("shop/photos").absolute()
    assert Path("shop/photos/labels.json").exists()  # what is no slice is removed, not this

    del shop["sources"]["shop"]["pictures"]
    write(params.parse(shop), folder, links)
    assert (folder / "pictures/shop").is_file()
    assert not (folder / "pictures/shop").is_symlink()

    write(params.parse(RAW), folder, links)
    assert [path.name for path in (folder / "pictures").iterdir()] == ["sample"]


@pytest.mark.parametrize("absent", ["visits.csv", "photos"])
def test_dvc_refuses_an_own_file_that_is_not_there(shop, absent):
    Path("params.yaml").write_text(yaml.safe_dump(shop))
    Path("shop", absent).rename("elsewhere")

    with pytest.raises(RawDataError, match=rf"sources\.shop.*: no such .* shop/{absent}; "):
        main(["data/settings", "data/named_files"])
