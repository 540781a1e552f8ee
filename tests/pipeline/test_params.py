import copy
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.errors import ParamsError

RAW = yaml.safe_load(Path("params.yaml").read_text())


def changed(path, value):
    raw = copy.deepcopy(RAW)
    *folders, last = path.split(".")
    place = raw
    for folder in folders:
        place = place.setdefault(folder, {})
    place[last] = value
    return raw


def test_the_file_in_the_repository_is_valid():
    assert params.load().datasets == ["sample"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kcore.kk", 1, r"kcore\.kk: unknown key"),
        ("kcore.k", 0, r"kcore\.k: .*greater than or equal to 1, got 0"),
        ("kcore.k", "5", r"kcore\.k: .*integer, got '5'"),
        ("surprise", 1, r"surprise: unknown key"),
        ("datasets", ["nowhere"], r"no dataset 'nowhere'.*'sample'"),
        ("datasets", [], r"datasets: "),
        ("models", ["gpt"], r"no model 'gpt'.*'mcln'"),
        ("mcln.default.lr", "1e-4", r"mcln.*lr: .*1e-4.*write 0\.0001"),
        ("mcln.default.laers", 3, r"mcln\.default\.laers: unknown key.*'layers'"),
        ("mcln.nowhere", {}, r"mcln\.nowhere: expected `default` or a dataset"),
        ("mcln.art.layers", "5", r"mcln"),
        (
            "features.sample.visual.extractor",
            "vgg99",
            r"features\.sample\.visual.*sif.*vgg99",
        ),
        ("features.sample.textual.dim", 0, r"features\.sample\.textual\.dim: "),
        ("sources.sample.scael", 2.0, r"sources\.sample\.scael: unknown key"),
        ("sources.sample.format", "csv", r"sources\.sample.*'amazon2014'"),
        ("sources.beauty.category", "../etc", r"sources\.beauty.*category"),
        ("mcln.sample", {"modalities": ["audio"]}, r"mcln\.sample\.modalities: 'audio'"),
        ("train.select_on", "luck", r"train\.select_on"),
        ("base.default.variant_of", "none", r"base\.default"),
    ],
)
def test_each_mistake_names_its_key(path, value, message):
    raw = changed(path, value)
    if path == "mcln.art.layers":
        raw["datasets"] = ["art"]

    with pytest.raises(ParamsError, match=message):
        params.parse(raw)


def test_a_missing_section_is_named():
    raw = {key: value for key, value in RAW.items() if key != "kcore"}

    with pytest.raises(ParamsError, match=r"kcore: field required"):
        params.parse(raw)


def test_a_dataset_overrides_the_default_and_a_variant_its_parent():
    settings = params.load()

    assert settings.model("mcln", "sample").layers == 4
    assert settings.model("mcln", "taobao").layers == 5
    assert settings.model("base", "taobao").layers == 5
    assert settings.model("base_vt", "sample").counterfactual is False
    assert settings.model("mcln", "sample").counterfactual is True


def test_models_read_the_modalities_of_their_dataset():
    settings = params.load()

    assert settings.model_modalities("mcln", "sample") == ["visual", "textual"]
    assert settings.model_modalities("mcln", "taobao") == ["visual"]
    assert settings.model_modalities("base", "sample") == []
    assert settings.model_modalities("bprmf", "sample") == []


def test_a_file_that_is_not_yaml_or_not_there_is_named(tmp_path):
    with pytest.raises(ParamsError, match="no such file"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="expected YAML"):
        params.load(tmp_path / "params.yaml")


def test_a_table_leaves_out_what_needs_a_modality_that_the_dataset_lacks():
    raw = changed("tables", {"both": ["base", "base_v", "base_t", "bprmf"]})
    raw["datasets"] = ["taobao"]
    settings = params.parse(raw)

    assert settings.table("both", "taobao") == ["base", "base_v", "bprmf"]
    assert settings.all_models("taobao") == ["bprmf", "lightgcn", "mcln", "base", "base_v"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"mcln": ["bprmf"]}, r"tables\.mcln: a model has this name"),
        ({"own": ["gpt"]}, r"no model 'gpt'"),
        ({"own": "bprmf"}, r"tables\.own: .*list"),
    ],
)
def test_a_table_that_cannot_be_made_is_refused(tables, message):
    with pytest.raises(ParamsError, match=message):
        params.parse(changed("tables", tables))


@pytest.mark.parametrize("model", params.load().all_models("sample"))
def test_every_named_model_of_the_file_has_valid_settings(model):
    settings = params.load()

    assert settings.architecture(model) in params.ARCHITECTURES
    assert set(settings.model_modalities(model, "sample")) <= {"visual", "textual"}
