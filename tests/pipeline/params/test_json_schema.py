"""docs/params.schema.json accepts what users write, and refuses what `load` refuses."""

import copy
import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator
from params_file import RAW, changed
from paths import ROOT

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.params import json_schema

COMMITTED = ROOT / "docs/params.schema.json"
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
VALIDATOR = Draft202012Validator(json_schema.params_schema())
EXPERIMENTS = sorted(ROOT.glob("docs/experiments/*.yaml"))
NET = {"extractor": "resnet50", "field": "image", "weights": "seeded"}


def test_the_committed_schema_is_the_generated_one(tmp_path):
    json_schema.main([str(tmp_path / "schema.json")])

    assert COMMITTED.read_text() == (tmp_path / "schema.json").read_text(), (
        "run python -m pipeline.params.json_schema docs/params.schema.json"
    )
    Draft202012Validator.check_schema(json.loads(COMMITTED.read_text()))


def test_the_first_line_of_the_file_names_the_schema_for_editors():
    (name,) = re.findall(r"\A# yaml-language-server: \$schema=(\S+)\n", TEXT)

    assert ROOT / name == COMMITTED


def test_the_file_in_the_repository_is_valid():
    VALIDATOR.validate(RAW)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def test_the_settings_of_the_committed_experiments_are_valid(path):
    experiment = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = params.parse(RAW)
    raw = copy.deepcopy(RAW)
    if "runs" in experiment:
        for name, values in experiment.pop("runs").items():
            parent = {"variant_of": settings.architecture(values.pop("model"))}
            raw[f"run_{name}"] = {"default": parent | values}
        raw["sweep"] |= experiment  # budget and seeds
    else:
        raw |= experiment

    VALIDATOR.validate(raw)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("own", {"default": {"variant_of": "lightgcn", "layers": 2}, "art": {"lr": 0.01}}),
        ("mcln.art", {"layers": 5, "context": None}),
        ("invrl.default.modalities", ["visual"]),
        ("features.sample.visual", {"extractor": "timm:resnet18.a1_in1k"}),
        ("features.sample.visual", {"extractor": "openclip:ViT-B-32", "weights": "seeded"}),
        ("extractors.sample.instead.text", {"extractor": "minilm", "field": "description"}),
        ("kcore.datasets", {"art": {"min_rating": 4, "since": "2012-01-01", "verified": None}}),
        ("train.datasets", {"art": {"epochs": 60}}),
        ("split.datasets", {"art": {"method": "ratio", "shares": [0.8, 0.1, 0.1]}}),
        ("split", {"method": "ratio", "shares": [0.8, 0.1, 0.1]}),
        ("split", {"method": "time", "quantiles": [0.8, 0.9]}),
        (
            "sources.shop",
            {
                "format": "tables",
                "interactions": "visits.csv",
                "columns": {"user": "customer", "item": "sku"},
            },
        ),
        (
            "sources.bench",
            {
                "format": "inter",
                "interactions": "https://bench.example/a/b.inter",
                "columns": {"label": "part"},
                "files": ["audio.npy"],
            },
        ),
        (
            "features.sample.audio",
            {"extractor": "precomputed", "path": "a.npy", "rows": "item_id"},
        ),
        ("sweep", None),
        ("download.max_megabytes_per_second", 2.5),
    ],
)
def test_what_load_accepts_is_valid(path, value):
    raw = changed(path, value)
    params.parse(raw)

    VALIDATOR.validate(raw)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surprise", 1),
        ("surprise", {"default": {"lr": 0.1}}),  # without variant_of
        ("kcore.kk", 1),
        ("kcore.k", 0),
        ("kcore.k", "5"),
        ("kcore.datasets", {"art": {"kk": 1}}),
        ("train.datasets", {"art": {"epochs": 0}}),
        ("split.datasets", {"art": {"shares": [0.8, 0.1, 0.1]}}),
        ("split", {"method": "random"}),
        ("split", {"method": "leave_one_out", "shares": []}),
        ("datasets", []),
        ("datasets", "sample"),
        ("datasets", ["two words"]),
        ("train.epochs", True),
        ("train.select_on", "luck"),
        ("features.sample.visual.extractor", "vgg99"),
        ("features.sample.visual", {"field": "image"}),
        ("features.sample.textual.dim", 0),
        ("features.sample", {"no-name": NET}),
        ("extractors.sample.instead", {}),
        ("extractors.sample.instead.net", NET | {"extractor": "vgg99"}),
        ("extractors.sample.instead.net", NET | {"weight": "seeded"}),
        ("sources.sample.scael", 2.0),
        ("sources.sample.format", "csv"),
        ("mcln.default.lr", "1e-4"),
        ("mcln.default.laers", 3),
        ("mcln.sample", {"laers": 3}),
        ("mcln.sample", {"attention": "all"}),
        ("own", {"default": {"variant_of": "mcln", "exclude_target": True}}),
        ("base.default.variant_of", "none"),
        ("base.default.lr", 0),
        ("base.art", {"concat": True}),
        ("study.grids", {"figure4": {"models": ["mcln"], "setting": "layers"}}),
        ("sweep.budget.epochs", None),
    ],
)
def test_a_mistake_is_refused_by_the_schema_and_by_load(path, value):
    raw = changed(path, value)

    assert not VALIDATOR.is_valid(raw)
    with pytest.raises(ParamsError):
        params.parse(raw)


def test_a_missing_section_is_refused():
    assert not VALIDATOR.is_valid({key: value for key, value in RAW.items() if key != "kcore"})


def test_keys_and_descriptions_are_there_for_editors():
    schema = json_schema.params_schema()
    definitions, keys = schema["$defs"], schema["properties"]

    assert {"datasets", "kcore", "extractors", "sweep", "mcln", "vbpr"} <= set(keys)
    assert "title" not in definitions["Train"]["properties"]["epochs"]
    assert set(definitions["MCLN"]["properties"]) >= {"lr", "attention", "variant_of"}
    offered, _ = definitions["ImageNetwork"]["properties"]["extractor"]["anyOf"]
    assert {"vgg16", "resnet50"} <= set(offered["enum"])
    for section in (*definitions.values(), keys["mcln"]):
        assert section["description"].endswith((".", ":"))
    assert keys["split"]["oneOf"]
