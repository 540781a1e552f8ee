import copy
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.errors import ParamsError
from pipeline.settings import main, slices, write

# Without the tables, whose models would be named in every answer.
RAW = yaml.safe_load(Path("params.yaml").read_text()) | {"tables": {}}


def touched_by(change):
    """Names of the files whose content a change of params.yaml alters."""
    raw = copy.deepcopy(RAW)
    change(raw)
    before, after = (slices(params.parse(r)) for r in (RAW, raw))
    return {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }


def test_an_extractor_touches_its_own_feature_the_report_that_names_it_and_the_study():
    assert touched_by(lambda r: r["features"]["sample"]["textual"].update(epochs=7)) == {
        "features/sample/textual",
        "compare/sample",
        "study/sample",
    }


def test_a_models_number_touches_that_model():
    assert touched_by(lambda r: r["mcln"]["default"].update(modality_weight=0.5)) == {
        f"{stage}/sample/mcln" for stage in ("train", "evaluate", "recommend")
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
        main(["settings"])

    assert not (tmp_path / "settings").exists()


def test_a_table_has_the_slices_of_its_models_and_one_of_its_own(tmp_path):
    raw = RAW | {"models": ["bprmf"], "tables": {"own": ["base", "bprmf"]}}

    write(params.parse(raw), tmp_path)

    assert (tmp_path / "train/sample/base.json").exists()
    assert (tmp_path / "compare/sample/own.json").exists()
    assert not (tmp_path / "train/sample/mcln.json").exists()


def test_a_dataset_that_was_not_generated_is_not_studied():
    raw = copy.deepcopy(RAW)
    raw["datasets"] = ["sample", "gift_cards"]

    named = [name for name in slices(params.parse(raw)) if name.startswith("study/")]

    assert named == ["study/sample"]


def test_k_touches_kcore_only():
    assert touched_by(lambda r: r["kcore"].update(k=4)) == {"kcore/sample"}


def test_files_are_rewritten_only_when_they_changed_and_removed_when_unused(tmp_path):
    write(params.parse(RAW), tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}
    raw = copy.deepcopy(RAW)
    raw["kcore"]["k"] = 4
    raw["models"] = ["bprmf"]

    write(params.parse(raw), tmp_path)

    left = set(tmp_path.rglob("*.json"))
    assert tmp_path / "train/sample/mcln.json" not in left
    changed = {
        p.relative_to(tmp_path).as_posix() for p in left if p.stat().st_mtime_ns != stamps[p]
    }
    names = ("kcore", "compare", "study")
    assert changed == {f"{name}/sample.json" for name in names}
