import copy
import re
from datetime import date
from pathlib import Path

import pytest
from params_file import RAW, changed

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.params.checks import FIELDS
from pipeline.params.features import MiniLM, in_words
from pipeline.params.models import architectures
from pipeline.sources import amazon, published_split, tianchi


def test_the_file_in_the_repository_is_valid():
    assert params.load().datasets == ["sample"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kcore.kk", 1, r"kcore\.kk: unknown key"),
        ("kcore.k", 0, r"kcore\.k: .*greater than or equal to 1, got 0"),
        ("kcore.k", "5", r"kcore\.k: .*integer, got '5'"),
        ("split", {"method": "random"}, r"split: .*'leave_one_out', 'ratio', 'time'"),
        ("split", {"method": "ratio"}, r"split\.shares: field required"),
        ("split", {"method": "ratio", "shares": [0.8, 0.1]}, r"split\.shares: .*3 items"),
        ("split", {"method": "ratio", "shares": [0.8, 0.1, 0.2]}, r"split: .*add up to 1"),
        ("split", {"method": "ratio", "shares": [1.0, 0.0, 0.0]}, r"split\.shares\.0: "),
        ("split", {"method": "time"}, r"split: expected either `quantiles`, or"),
        ("split", {"method": "time", "test_from": "2014-01-01"}, r"split: expected either"),
        ("split", {"method": "time", "quantiles": [0.9, 0.8]}, r"split: .*begin before test"),
        ("split", {"method": "leave_one_out", "shares": []}, r"split\.shares: unknown key"),
        (
            "kcore.since",
            "2014-13-01",
            r"kcore\.since: expected a day such as '2014-07-01', got",
        ),
        ("kcore.since", date(2014, 7, 1), r"kcore\.since: write it in quotes"),
        ("kcore.min_rating", "4", r"kcore\.min_rating: .*number.*without quotes"),
        ("kcore.datasets", {"no": {}}, r"kcore\.datasets: no dataset 'no'; expected one of"),
        ("kcore.datasets", {"art": {"kk": 1}}, r"kcore\.datasets\.art\.kk: unknown key"),
        ("kcore.datasets", {"art": {"k": 0}}, r"kcore\.datasets\.art\.k: .*greater than"),
        ("kcore.datasets", {"art": 5}, r"kcore\.datasets\.art: expected a mapping, got 5"),
        ("train.datasets", [], r"train\.datasets: expected a mapping of datasets, got \[\]"),
        (
            "train.datasets",
            {"art": {"epochs": "1"}},
            r"train\.datasets\.art\.epochs: .*integer",
        ),
        ("split.datasets", {"art": {"method": "no"}}, r"split\.datasets\.art: .*'ratio'"),
        (
            "split.datasets",
            {"art": {"method": "ratio", "shares": [0.5, 0.5]}},
            r"split\.datasets\.art\.shares: .*at least 3",
        ),
        ("surprise", 1, r"surprise: unknown key"),
        ("datasets", ["nowhere"], r"no dataset 'nowhere'.*'sample'"),
        ("datasets", [], r"datasets: "),
        ("models", ["gpt"], r"no model 'gpt'.*'mcln'"),
        ("mcln.default.lr", "1e-4", r"mcln.*lr: .*'1e-4'.*without quotes"),
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
        (
            "sources.shop",
            {
                "format": "tables",
                "interactions": "a.csv",
                "columns": {"user": "who", "item": "who"},
            },
            r"sources\.shop.*expected other columns of users than of items",
        ),
        ("sources.beauty.category", "../etc", r"sources\.beauty.*category"),
        ("mcln.sample", {"modalities": ["audio"]}, r"mcln\.sample\.modalities: 'audio'"),
        ("train.select_on", "luck", r"train\.select_on"),
        ("base.default.variant_of", "none", r"base\.default"),
        ("deploy.model", "gpt", r"no model 'gpt'.*'mcln'"),
        ("deploy.k", 0, r"deploy\.k: .*greater than or equal to 1"),
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


def test_a_section_that_nothing_names_is_checked_on_the_datasets_that_run():
    raw = changed("own", {"default": {"variant_of": "mcln"}, "sample": {"layers": -1}})

    with pytest.raises(
        ParamsError, match=r"own\.sample \(over mcln\.default\)\.layers: .*got -1"
    ):
        params.parse(raw)

    raw["own"] = {"default": {"variant_of": "mcln"}, "art": {"layers": -1}}
    with pytest.raises(ParamsError, match=r"own\.art \(over mcln\.default\)\.layers: "):
        params.parse(raw).model("own", "art")


def test_a_model_on_an_unknown_dataset_is_refused():
    with pytest.raises(ParamsError, match=r"no dataset 'nowhere'; expected one of"):
        params.load().model("mcln", "nowhere")


def test_a_recommender_without_a_section_is_named():
    with pytest.raises(
        LookupError, match=r"Absent: expected a section of this name in pipeline"
    ):
        architectures({"bprmf": "BPRMF", "absent": "Absent"})


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


@pytest.mark.parametrize("written", ["5e-05", "5e-5", "0.00005", "5.0e-5", "5.E-05", "+5E-5"])
def test_a_number_may_have_an_exponent(tmp_path, written):
    """YAML 1.1 reads the first as text; DVC writes it for `-S mcln.default.lr=0.00005`."""
    text = Path("params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(
        re.sub(r"(?m)(^mcln:\n(.*\n){2} +lr: ).*$", rf"\g<1>{written}", text)
    )

    assert params.load(tmp_path / "params.yaml").model("mcln", "sample").lr == 0.00005


def test_a_table_leaves_out_what_needs_a_modality_that_the_dataset_lacks():
    raw = changed("tables", {"both": ["base", "base_v", "base_t", "bprmf"]})
    raw |= {"datasets": ["taobao"], "study": {}}  # which would name other tables
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


# --- one model on several extractors ------------------------------------------------------

NET = {"extractor": "resnet50", "field": "image", "weights": "seeded"}
TEXT = {"extractor": "sif", "field": "description"}


def comparing(model="mcln", modality="visual", dataset="sample", **instead):
    comparison = {"model": model, "modality": modality, "instead": instead or {"net": NET}}
    return changed("extractors", {dataset: comparison})


def test_a_compared_model_reads_another_feature_in_the_same_place_and_differs_in_nothing_else():
    settings = params.parse(comparing("base_vt", net=NET, text=TEXT))

    assert settings.table("extractors", "sample") == ["base_vt", "base_vt_net", "base_vt_text"]
    assert settings.architecture("base_vt_net") == "mcln"
    assert settings.model_modalities("base_vt_net", "sample") == ["visual_net", "textual"]
    base, made = (settings.model(name, "sample") for name in ("base_vt", "base_vt_text"))
    assert made == base.model_copy(update={"modalities": ["visual_text", "textual"]})
    assert settings.feature("sample", "visual_net").extractor == "resnet50"
    assert settings.feature_key("sample", "visual_net") == "extractors.sample.instead.net"
    assert settings.feature_key("sample", "visual") == "features.sample.visual"


def test_only_the_comparison_reads_the_other_features():
    settings = params.parse(comparing())

    assert list(settings.dataset_features("sample")) == ["visual", "textual"]
    assert list(settings.every_feature("sample")) == ["visual", "textual", "visual_net"]
    assert settings.model_modalities("mcln", "sample") == ["visual", "textual"]
    assert settings.content_models("sample") == ["mcln"]
    with pytest.raises(ParamsError, match=r"extractors: nothing to compare on beauty"):
        settings.model("mcln_net", "beauty")


@pytest.mark.parametrize(
    ("model", "section", "key"),
    [("mcln_released", {}, "modality_weights"), ("dmrl", {"hidden": {"visual": 8}}, "hidden")],
)
def test_a_setting_of_the_replaced_modality_is_that_of_the_other_feature(model, section, key):
    """`visual: 0.3` would otherwise no longer be the weight of the pictures."""
    raw = comparing(model)
    raw[model]["sample"] = section
    settings = params.parse(raw)

    before, after = (getattr(settings.model(m, "sample"), key) for m in (model, f"{model}_net"))

    assert list(before) == ["visual"]
    assert after == {"visual_net": before["visual"]}


def test_a_row_names_its_extractor_and_whether_it_was_trained():
    file = {"extractor": "precomputed", "path": "own.parquet"}
    settings = params.parse(comparing("vbpr", net=NET, own=file))

    assert settings.compared_extractors("sample") == {
        "vbpr": "vgg16 of image, seeded (untrained)",
        "vbpr_net": "resnet50 of image, seeded (untrained)",
        "vbpr_own": "precomputed of raw_id",
    }


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (comparing(dataset="nowhere"), r"extractors\.nowhere: expected a dataset"),
        (comparing("gpt"), r"extractors\.sample\.model: no model 'gpt'"),
        (comparing("bprmf"), r"sample\.model: expected a model with features, got 'bprmf'"),
        (comparing("base", vt=NET), r"instead\.vt: .*base_vt: a model or table has this name"),
        (
            comparing(net=NET | {"extractor": "vgg99"}),
            r"extractors\.sample\.instead\.net: expected `extractor`.*vgg99",
        ),
        (
            comparing(net=NET | {"precision": "half"}),
            r"extractors\.sample\.instead\.net\.precision: .*got 'half'",
        ),
        (
            comparing(text=TEXT | {"field": "title_tokens"}),
            r"instead\.text\.field: expected one of .*'title'.*sample has, got 'title_tokens'",
        ),
        (
            comparing(dataset="beauty_split"),
            r"beauty_split\.instead\.net\.field: .*published_split has, got 'image'",
        ),
        (changed("extractors", {"sample": {"model": "mcln"}}), r"sample\.modality: field req"),
        (comparing() | {"models": ["mcln_net"]}, r"models: .*'mcln_net', which only"),
        (comparing() | {"tables": {"own": ["mcln_net"]}}, r"tables\.own: .*'mcln_net'"),
        (comparing() | {"tables": {"mcln_net": ["mcln"]}}, r"instead\.net: .*has this name"),
        (changed("tables", {"extractors": ["mcln"]}), r"tables\.extractors: .*another name"),
        (
            changed(
                "extractors",
                {
                    "sample": {"model": "base", "modality": "visual", "instead": {"vt_x": NET}},
                    "beauty": {"model": "base_vt", "modality": "visual", "instead": {"x": NET}},
                },
            ),
            r"beauty\.instead\.x: .*base_vt_x: another dataset's entry makes it",
        ),
    ],
)
def test_a_comparison_of_extractors_that_cannot_be_made_is_refused(raw, message):
    with pytest.raises(ParamsError, match=message):
        params.parse(raw)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            comparing(modality="sound"),
            r"extractors\.sample\.modality: 'sound' is not in features",
        ),
        (
            comparing("vbpr", "textual"),
            r"expected one that vbpr reads .*\['visual'\].*'textual'",
        ),
        (
            comparing() | {"modalities": ["visual", "textual", "visual_net"]},
            r"instead\.net: .*",
        ),
        (
            comparing() | {"features": {"sample": {"visual": TEXT, "textual": TEXT}}},
            r"extractors\.sample\.instead\.net\.field: no picture is fetched",
        ),
        (
            comparing()
            | {"features": {"sample": {"visual_a": NET, "visual_b": NET}}, "tokens": {}},
            r"modality: 'visual' is not in features\.sample, .*\['visual_a', 'visual_b'\]",
        ),
    ],
)
def test_what_features_contradict_stops_that_comparison_alone(raw, message):
    settings = params.parse(raw)

    assert settings.every_feature("sample") == settings.dataset_features("sample")
    assert not [model for model in settings.all_models("sample") if model.endswith("_net")]
    with pytest.raises(ParamsError, match=message):
        settings.table("extractors", "sample")


def test_the_label_of_minilm_names_its_weights():
    assert in_words(MiniLM(extractor="minilm")) == "minilm of title, all-MiniLM-L6-v2"


def test_the_fields_are_those_that_the_sources_fill():
    made = {
        "amazon2014": amazon.METADATA,
        "amazon2018": amazon.METADATA,
        "amazon2023": amazon.METADATA,
        "sample": amazon.METADATA,
        "tianchi": tianchi.METADATA.keys() - {"title", "description"},
        "published_split": {"raw_id", *published_split.TOKENS},
        "inter": {"raw_id"},
    }

    assert {name: set(fields) for name, fields in FIELDS.items()} == {
        name: set(columns) for name, columns in made.items()
    }


@pytest.mark.parametrize("model", params.load().all_models("sample"))
def test_every_named_model_of_the_file_has_valid_settings(model):
    settings = params.load()

    assert settings.architecture(model) in params.ARCHITECTURES
    assert set(settings.model_modalities(model, "sample")) <= {
        *settings.every_feature("sample")
    }


def test_a_key_of_an_older_file_is_read_under_its_new_name(caplog):
    raw = copy.deepcopy(RAW)
    del raw["factors"]
    raw["study"] = raw["study"] | {"items": 40}

    assert params.parse(raw).factors.items == 40
    assert "params.yaml: study.items is now factors.items" in caplog.text


def test_a_dataset_changes_keys_of_a_stage_and_replaces_its_split():
    raw = changed("train.datasets", {"art": {"epochs": 7}, "beauty": {"patience": 1}})
    raw["split"]["datasets"] = {"art": {"method": "ratio", "shares": [0.8, 0.1, 0.1]}}
    settings = params.parse(raw)

    art, train = settings.of("art"), settings.train
    assert art.train == train.model_copy(update={"epochs": 7})
    assert art.split.model_dump() == raw["split"]["datasets"]["art"]
    assert art.of("beauty").train == train.model_copy(update={"patience": 1})
    assert art.of("sample") == settings
    with pytest.raises(ParamsError, match="no dataset 'nowhere'"):
        settings.of("nowhere")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            {"extractor": "words", "field": "title_tokens"},
            r"tokens\.sample\.new\.field: expected one of .*'title'\], got 'title_tokens'",
        ),
        ({"extractor": "visual_words", "clusters": 2}, "expected `nearest` to be at most"),
        ({"extractor": "letters"}, r"tokens\.sample\.new.*letters"),
    ],
)
def test_tokens_that_cannot_be_made_are_refused(kind, message):
    with pytest.raises(ParamsError, match=message):
        params.parse(changed("tokens.sample.new", kind))


def test_tokens_have_a_dataset_and_a_name_of_their_own():
    with pytest.raises(ParamsError, match="no dataset 'absent'"):
        params.parse(changed("tokens.absent", {}))
    with pytest.raises(ParamsError, match=r"tokens\.sample\.visual: expected another name"):
        params.parse(changed("tokens.sample.visual", {"extractor": "words"}))


def test_a_model_reads_all_tokens_or_those_it_names():
    kinds = ["title_words", "description_words", "visual_words"]
    settings = params.parse(RAW)

    assert settings.model_tokens("mcln_plus", "sample") == kinds
    assert settings.model_tokens("without_tokens", "sample") == []
    assert settings.model_tokens("mcln", "sample") == []
    named = params.parse(changed("mcln_plus.sample", {"tokens": ["title_words"]}))
    assert named.model_tokens("mcln_plus", "sample") == ["title_words"]
    without = params.parse(changed("tokens", {}))
    assert without.model_tokens("mcln_plus", "sample") == []


def test_clusters_of_a_feature_that_the_dataset_lacks_are_left_out():
    sounds = {"extractor": "visual_words", "feature": "sound"}
    words = {"extractor": "words", "field": "title"}
    raw = changed("tokens.sample", {"sounds": sounds, "words": words})

    assert params.parse(raw).model_tokens("mcln_plus", "sample") == ["words"]
    raw["mcln_plus"]["default"]["tokens"] = ["sounds"]
    with pytest.raises(ParamsError, match=r"mcln_plus\.sample\.tokens: 'sounds' is not in"):
        params.parse(raw).model("mcln_plus", "sample")


def test_tokens_that_the_dataset_lacks_are_refused_and_leave_a_table():
    raw = changed("mcln_plus.default.tokens", ["sounds"])
    settings = params.parse(raw)

    with pytest.raises(ParamsError, match=r"mcln_plus\.sample\.tokens: 'sounds' is not in"):
        settings.model("mcln_plus", "sample")
    # Variants of it read the same ones, unless they have none.
    assert settings.table("ablation", "sample") == ["mcln", "without_tokens"]
