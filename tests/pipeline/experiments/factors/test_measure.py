"""What moves a score: a small generated dataset, trained briefly, through the command line."""

import difflib
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from paths import ROOT
from PIL import Image
from torch import Tensor

from model.parts.content import scale
from pipeline import download, features, images, ingest, kcore, params, split, train
from pipeline.experiments.factors import copies as copied_features
from pipeline.experiments.factors import effects as summaries
from pipeline.experiments.factors import measure
from pipeline.extractors import registry
from pipeline.extractors.extraction import Extractor, Machine, PictureEncoder
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.learning.checkpoint import read_checkpoint, restored, save_checkpoint
from pipeline.learning.command_line import Arguments
from pipeline.learning.dataset import Dataset, load_features
from pipeline.pages import file_names
from pipeline.sources.sample import copies
from pipeline.sources.sample.factors import BY_NAME
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, read_parquet
from pipeline.tables.pictures import open_rgb

MODELS = ["bprmf", "mcln", "base_vt", "words"]
PICTURE = ["pattern", "background", "photo"]  # shown in the picture only
ARGUMENTS = ["data/raw", "data/processed", "data/features", "data/images.parquet"]
N_COPIED = 4


def pixels(settings, seed, machine):
    """Stand for VGG16, which takes half a second a picture: 8 x 8 pixels."""

    def encode(pictures):
        for data in pictures:
            small = open_rgb(data).resize((8, 8), Image.Resampling.BOX)
            yield np.asarray(small, np.float32).ravel() / 255

    return PictureEncoder(
        dim=192, weights="", weights_sha256="", preprocessing={}, versions={}, encode=encode
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The smallest sample there is, with features and three trained models."""
    folder = tmp_path_factory.mktemp("made")
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["models"] = MODELS
    raw["words"] = {"default": {"variant_of": "mcln", "modalities": ["textual"]}}
    raw["sources"]["sample"]["scale"] = 0.05
    raw["features"]["sample"]["textual"] |= {"dim": 16, "epochs": 3}
    raw["train"] |= {"epochs": 6, "evaluate_every": 6, "refit": False}
    raw |= {"study": {}, "factors": {"items": N_COPIED}}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(registry.EXTRACTORS, "vgg16", Extractor(pictures=pixels))
        download.main(["sample", "data/raw"])
        ingest.main(["sample", "data/raw", "data/interim"])
        kcore.main(["sample", "data/interim", "data/processed"])
        split.main(["sample", "data/interim", "data/processed"])
        images.main(["sample", "data/raw", "data/processed", "data/images.parquet"])
        for modality in ("visual", "textual"):
            path = f"data/features/{modality}.parquet"
            features.main(["sample", modality, "data/processed", "data/images.parquet", path])
        for model in MODELS[1:]:
            folders = ["data/processed", "data/features", f"results/{model}"]
            train.main(["sample", model, *folders, "--threads", "1"])
    return folder


@pytest.fixture
def workspace(made, tmp_path, monkeypatch):
    """A copy of `made`, to be changed."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry.EXTRACTORS, "vgg16", Extractor(pictures=pixels))
    return tmp_path


def run(results="results", dataset="sample"):
    measure.main([dataset, *ARGUMENTS, results, "--device", "cpu", "--threads", "1"])
    return read_json(Path(results) / file_names.FACTORS_JSON)


def edit(**sections):
    raw = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(raw | sections))


def catalogue_of(settings):
    return copies.redraw(settings.sources["sample"], settings.seed, Path("data/raw"))


def model_on(name):
    """Return a trained model's scores as a function of features, its features, its scores."""
    settings, dataset = params.load(), Dataset(Path("data/processed"))
    read = settings.model_modalities(name, "sample")
    own = load_features(Path("data/features"), read, dataset.n_items)
    folders = Path("data/processed"), Path("data/features"), Path("results") / name
    arguments = Arguments("sample", name, *folders, "cpu")
    model, _ = restored(settings, arguments, dataset)
    with torch.inference_mode():
        expected = model.scorer()(torch.arange(dataset.n_users))
    return measure.trained_score(settings, arguments, dataset), own, expected


# --- the command ----------------------------------------------------------------------------


def test_the_command_writes_the_same_numbers_table_and_picture_again(workspace):
    table = run()
    names = (file_names.FACTORS_JSON, file_names.FACTORS_MD, file_names.FACTORS_SVG)
    first = [(workspace / "results" / name).read_bytes() for name in names]
    run()

    assert [(workspace / "results" / name).read_bytes() for name in names] == first
    assert (table["left_out"], table["items"]) == (["bprmf"], N_COPIED)
    assert list(table["models"]) == sorted(MODELS[1:])
    for model in ("mcln", "base_vt"):
        score = table["models"][model]["score"]
        assert set(score["factors"]) == set(copied_features.STUDIED)
        assert all(value["mean"] > 0 for value in score["factors"].values())
        nuisance, preference = score["roles"]["nuisance"], score["roles"]["preference"]
        assert score["ratio"]["value"] == pytest.approx(nuisance / preference)
        assert score["ratio"]["low"] < score["ratio"]["value"] < score["ratio"]["high"]
    assert ET.fromstring(first[2]).tag.endswith("svg")  # noqa: S314 (our own file)


def test_a_model_of_words_does_not_see_what_pictures_alone_show(workspace):
    table = run()

    seen = table["models"]["words"]["score"]["factors"]
    assert set(seen) == {"colour", "fabric", "brand", "slogan"}
    lines = (workspace / "results/factors.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith("| words |"))
    assert row.split(" | ").count("–") == 3


@pytest.mark.parametrize("model", ["mcln", "base_vt"])
def test_zeroed_visual_weights_make_a_model_blind_to_pictures(workspace, model):
    edit(models=[model])
    path = workspace / "results" / model / s.CHECKPOINT_FILE
    tensors, facts = read_checkpoint(path)
    tensors["project.visual.weight"].zero_()
    save_checkpoint(tensors, facts, path)

    factors = run()["models"][model]["score"]["factors"]

    assert {factor: factors[factor]["mean"] for factor in PICTURE} == dict.fromkeys(PICTURE, 0)
    assert factors["colour"]["mean"] > 0  # the title names it


def test_another_format_is_refused(workspace):
    with pytest.raises(
        ParamsError, match=r"sources\.beauty\.format: expected sample, got amazon2014"
    ):
        run(dataset="beauty")

    assert not (workspace / "results" / file_names.FACTORS_JSON).exists()


def test_models_of_ids_alone_are_refused(workspace):
    edit(models=["bprmf"])

    with pytest.raises(ParamsError, match="models: expected one that reads content"):
        run()


def test_a_dump_of_another_seed_is_refused(workspace):
    edit(seed=7)

    with pytest.raises(SchemaError, match=r"ground_truth/items\.parquet: expected the 140 it"):
        run()


def test_features_of_other_settings_are_refused(workspace):
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["features"]["sample"]["textual"]["epochs"] = 4
    edit(features=raw["features"])

    with pytest.raises(SchemaError, match=r"features\.sample\.textual: expected the stored"):
        run()


def test_texts_that_the_generator_would_not_write_are_refused(workspace):
    path = workspace / "data/processed" / s.ITEMS_FILE
    items = pl.read_parquet(path).with_columns(pl.lit("Another title").alias(s.TITLE))
    items.write_parquet(path)

    with pytest.raises(SchemaError, match=r"items\.parquet: expected what params\.yaml's"):
        run()


# --- copies ---------------------------------------------------------------------------------


def titles(catalogue, seed):
    return dict(copies.items_of(catalogue, seed).select(s.RAW_ID, s.TITLE).iter_rows())


@pytest.mark.parametrize("factor", copied_features.STUDIED)
def test_a_copy_differs_in_one_factor_and_the_other_items_in_none(workspace, factor):
    settings = params.load()
    before = catalogue_of(settings)
    place = 5

    after = copies.changed(before, factor, np.array([place]), np.random.default_rng(1))

    for name, codes in after.codes.items():
        different = np.flatnonzero(codes != before.codes[name])
        assert different.tolist() == ([place] if name == factor else [])
    old, new = (titles(catalogue, settings.seed) for catalogue in (before, after))
    shown = "text" in BY_NAME[factor].shown_in
    assert [a for a in old if old[a] != new[a]] == [before.asin[place]] * shown
    look = [copies.contents(c, 0, np.array([place]), "image") for c in (before, after)]
    assert (look[0] != look[1]) == ("picture" in BY_NAME[factor].shown_in)


def test_a_changed_title_keeps_its_wording(workspace):
    """Only the colour's words are another, whatever the place at which they stand."""
    settings = params.load()
    before = catalogue_of(settings)
    places = np.arange(before.n_items)
    after = copies.changed(before, "colour", places, np.random.default_rng(1))
    old, new = (titles(catalogue, settings.seed) for catalogue in (before, after))

    words = {word for value in BY_NAME["colour"].values for word in value.title().split()}
    for asin in old:
        lines = difflib.ndiff(old[asin].split(), new[asin].split())
        touched = {line[2:].strip(",") for line in lines if line[0] in "+-"}
        assert touched
        assert touched <= words


def test_new_values_are_drawn_from_all_the_others(workspace):
    before = catalogue_of(params.load())
    places = np.arange(before.n_items)

    after = copies.changed(before, "background", places, np.random.default_rng(1))

    step = (after.codes["background"] - before.codes["background"]) % 5
    assert set(Counter(step.tolist())) == {1, 2, 3, 4}


def test_an_unchanged_title_has_the_stored_embedding(workspace):
    """Word vectors, p(w) and the direction that is removed are those of the original titles."""
    settings = params.load()
    items = read_parquet(Path("data/processed") / s.ITEMS_FILE, s.ITEMS).sort(s.ITEM)
    stored = load_features(Path("data/features"), ["textual"], items.height)["textual"]
    rows = [3, 8, 21]
    new = "Quillmere Slim Hat in Navy Wool"

    again = registry.EXTRACTORS["sif"].texts(
        pl.Series(s.TITLE, [*items[s.TITLE][rows], new]),
        settings.feature("sample", "textual"),
        settings.seed,
        Machine(),
        fit_to=items[s.TITLE],
    )

    vectors = np.stack(list(again.vectors))
    np.testing.assert_allclose(vectors[:3], stored[rows].numpy(), rtol=1e-5, atol=1e-7)
    assert np.isfinite(vectors).all()


# --- effects --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mcln", "base_vt"])
def test_changing_nothing_changes_nothing(workspace, name):
    score, own, expected = model_on(name)
    same = {"colour": {m: feature[[4]] for m, feature in own.items()}}

    features, copied = copied_features.scaled(own, [4], same, "unit_mean")

    torch.testing.assert_close(score(features), expected)
    assert measure.effect(score(features), score(features), 4) == (0.0, 0.0)
    assert measure.effects(score, features, [4], copied) == {}


def test_a_copy_does_not_move_the_other_items(workspace):
    """The norm of the features stays that of the original catalogue."""
    score, own, _ = model_on("base_vt")
    far = {"colour": {m: 1000 * feature[[4]] for m, feature in own.items()}}

    features, copied = copied_features.scaled(own, [4], far, "unit_mean")

    changed = {m: feature.clone() for m, feature in features.items()}
    changed["visual"][4] = copied["colour"]["visual"][0]
    moved = (score(changed) != score(features)).any(0)
    assert torch.nonzero(moved).flatten().tolist() == [4]


@pytest.mark.parametrize("norm", ["none", "unit_mean", "unit_rows", "whitened"])
def test_scaled_rows_that_were_equal_are_equal(norm):
    feature = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    rows = torch.stack([feature[3], 2 + feature[7]])

    features, copied = copied_features.scaled({"m": feature}, [3, 7], {"a": {"m": rows}}, norm)

    torch.testing.assert_close(features["m"], scale(feature, norm))
    assert torch.equal(copied["a"]["m"][0], features["m"][3])
    assert not torch.equal(copied["a"]["m"][1], features["m"][7])


def test_an_effect_is_the_mean_over_users():
    """Worked by hand: sd 1 and 2; the score moves by 0.5 and 4, the rank by 0 and 2 places."""
    before = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    after = torch.tensor([[1.5, 2.0, 3.0], [6.0, 4.0, 5.0]])

    moved, places = measure.effect(before, after, 0)

    assert moved == pytest.approx((0.5 / 1 + 4 / 2) / 2)
    assert places == pytest.approx((0 + 2) / 2)


def test_a_user_whose_scores_are_all_alike_is_no_division_by_zero():
    assert measure.effect(torch.zeros(2, 3), torch.zeros(2, 3), 1) == (0.0, 0.0)


def test_only_copies_whose_features_differ_are_scored():
    feature = torch.eye(3)
    rows = torch.stack([feature[0], torch.tensor([0.0, 5.0, 0.0])])
    asked: list[Tensor] = []

    def score(read):
        asked.append(read["m"])
        return read["m"].T.contiguous()

    found = measure.effects(
        score, {"m": feature}, [0, 1], {"a": {"m": rows}, "b": {"m": feature[:2]}}
    )

    assert list(found) == ["a"]
    assert len(asked) == 2  # as it is, and one copy
    assert found["a"][0].tolist() == [0, 0]
    assert found["a"][1][0] > 0


def test_the_ratio_is_that_of_the_means_over_factors():
    effects = {
        "colour": np.array([[1.0], [3.0]]),
        "pattern": np.array([[0.0], [0.0]]),
        "brand": np.array([[1.0], [0.0]]),
    }

    found = summaries.summary(effects, ["score"], np.random.default_rng(0))["score"]

    assert found["roles"] == {"preference": 1.0, "nuisance": 0.5}
    assert found["ratio"]["value"] == 0.5
    assert found["factors"]["colour"]["mean"] == 2.0
    assert found["factors"]["colour"]["standard_error"] == pytest.approx(1 / 2**0.5)


@pytest.mark.parametrize("effects", [{"brand": np.ones((2, 1))}, {"colour": np.zeros((2, 1))}])
def test_without_a_yardstick_there_is_no_ratio(effects):
    found = summaries.summary(effects, ["score"], np.random.default_rng(0))["score"]

    assert found["ratio"] is None
