"""Settings written into the text of params.yaml."""

from difflib import ndiff

import pytest
import yaml
from dvc.utils.serialize import modify_yaml
from paths import ROOT

from pipeline.job.errors import ParamsError
from pipeline.params.yaml_edit import with_layer

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
VALUES = {"lr": 0.00002, "l2": 0.5}


def changes(before, after):
    lines = ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("model", "dataset"),
    [
        ("bprmf", "sample"),
        ("invrl", "sample"),
        ("base_v", "sample"),
        ("mmgcn", "beauty_split"),
        ("dmrl", "beauty_split"),
        ("mcln", "taobao_split"),
    ],
)
def test_of_the_committed_file_only_the_layer_changes(model, dataset, tmp_path):
    """And DVC, which rewrites the whole file, would change no byte of it."""
    after = with_layer(TEXT, model, dataset, VALUES)

    raw = yaml.safe_load(TEXT)
    raw[model] = raw[model] | {dataset: raw[model].get(dataset, {}) | VALUES}
    assert yaml.safe_load(after) == raw
    removed = [line for line in changes(TEXT, after) if line[0] == "-"]
    assert len(removed) <= 2
    assert {line for line in TEXT.splitlines() if "#" in line} - {
        line[2:] for line in removed
    } <= set(after.splitlines())
    (tmp_path / "params.yaml").write_text(after, encoding="utf-8")
    with modify_yaml(tmp_path / "params.yaml"):
        pass
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == after
    assert with_layer(after, model, dataset, VALUES) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("m:\n  default: {lr: 1}  # a\n", "m:\n  default: {lr: 1}  # a\n  shop: {lr: 2}\n"),
        ("m:\n  default: {lr: 1}", "m:\n  default: {lr: 1}\n  shop: {lr: 2}"),
        ("m:\n  shop: {lr:  1}   # a\n", "m:\n  shop: {lr:  2}   # a\n"),
        ("m:\n  shop: {}  # a\n", "m:\n  shop: {lr: 2}  # a\n"),
        ("m:\n  shop: {dim: 8} # a\n", "m:\n  shop: {dim: 8, lr: 2} # a\n"),
        ("m: {default: {a: 1}}\nn: 1\n", "m: {default: {a: 1}, shop: {lr: 2}}\nn: 1\n"),
        (
            "m:\n    shop:\n        lr: 1 # a\n        # b\n        dim: 8 # c\n\n# d\nn: 1\n",
            "m:\n    shop:\n        lr: 2 # a\n        # b\n        dim: 8 # c\n\n# d\nn: 1\n",
        ),
        (
            "m:\n  shop:\n    list:\n    - 1\n    - 2 # a\n\n# b\nn: 1\n",
            "m:\n  shop:\n    list:\n    - 1\n    - 2 # a\n    lr: 2\n\n# b\nn: 1\n",
        ),
        (
            f"m:\n  shop: {{name: {'x' * 57}}}\nn: 1\n",  # then 80 columns
            f"m:\n  shop: {{name: {'x' * 57}, lr: 2}}\nn: 1\n",
        ),
        (
            f"m:\n  shop: {{dim: 8, name: {'x' * 60}}} # a\nn: 1\n",
            f"m:\n  shop:\n    dim: 8\n    name: {'x' * 60}\n    lr: 2 # a\nn: 1\n",
        ),
    ],
)
def test_a_setting_is_replaced_or_added_in_the_form_that_is_there(before, after):
    assert with_layer(before, "m", "shop", {"lr": 2}) == after


def test_what_would_change_something_else_is_refused_with_the_line_to_write():
    text = "m:\n  default: &a {lr: 1}\n  shop: *a\n"

    with pytest.raises(ParamsError, match=r"m: expected a mapping .* write shop: \{lr: 2\}"):
        with_layer(text, "m", "shop", {"lr": 2})
