"""Changing values in the text of params.yaml; every other byte stays.

Places are those that PyYAML's nodes name. A mapping within braces stays in braces while the
line fits in the 80 columns of DVC's layout.
"""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.job.errors import ParamsError
from pipeline.params.cell import text as written
from pipeline.params.yaml_file import PARAMS_FILE, loaded

COLUMNS = 80


def with_layer(text: str, model: str, dataset: str, values: dict[str, Any]) -> str:
    """Return the text with some settings of a model on a dataset.

    Args:
        text: of params.yaml.
        model: a section of it.
        dataset: its layer, which is added if there is none; its other settings stay.
        values: `{setting: value}`, as a file name can hold them.

    Raises:
        ParamsError: the section is written in a way that is not understood.
    """
    wanted = loaded(text)
    wanted[model] = wanted[model] | {dataset: wanted[model].get(dataset, {}) | values}
    changed = text
    for key, value in values.items():
        changed = _with_value(changed, model, dataset, key, written(value))
    try:
        is_right = loaded(changed) == wanted
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        pairs = ", ".join(f"{key}: {written(value)}" for key, value in values.items())
        raise ParamsError(
            f"{PARAMS_FILE}: {model}: expected a mapping of plain keys, without anchors; write "
            f"{dataset}: {{{pairs}}} there yourself"
        )
    return changed


def _with_value(text: str, model: str, dataset: str, key: str, value: str) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    section = _child(root, model)
    layer = _child(section, dataset)
    if layer is None:
        return _with_entry(text, section, f"{dataset}: {{{key}: {value}}}")
    old = _child(layer, key)
    if old is None:
        return _with_entry(text, layer, f"{key}: {value}")
    return _replaced(text, old.start_mark.index, old.end_mark.index, value)


def _child(node: Any, key: str) -> Any:
    """Return the node of a key in a mapping; None if it is not there."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _with_entry(text: str, node: yaml.MappingNode, entry: str) -> str:
    """Return the text with an entry after the last one of a mapping."""
    start, end = node.start_mark.index, node.end_mark.index
    if not node.flow_style:
        end = text.find("\n", _end(node))
        end = len(text) if end < 0 else end
        return _replaced(text, end, end, f"\n{' ' * node.start_mark.column}{entry}")
    if not node.value:
        return _replaced(text, start, end, f"{{{entry}}}")
    line, last = text[start - node.start_mark.column : end], node.value[-1][1].end_mark.index
    is_simple = "\n" not in line and "{" not in line[: node.start_mark.column]
    if not is_simple or len(line) + len(f", {entry}") <= COLUMNS:
        return _replaced(text, last, last, f", {entry}")
    entries = [*(text[k.start_mark.index : v.end_mark.index] for k, v in node.value), entry]
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    return text[:start].rstrip(" ") + "".join(f"\n{indent}{e}" for e in entries) + text[end:]


def _end(node: yaml.Node) -> int:
    """Return where the content of a node ends; a block's own end is that of what follows."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _replaced(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]
