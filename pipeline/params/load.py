"""From params.yaml to its typed values, one step after the other.

1. yaml_file: YAML to mappings.
2. typed_file.File: each section by itself.
3. expand: variants, datasets and compared extractors to one plain section per model.
4. typed_file.Params: what everybody uses.
5. checks: that sections refer to what there is.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pipeline.params import checks, expand, own_stages
from pipeline.params.typed_file import File, Params
from pipeline.params.yaml_file import PARAMS_FILE, read, validate

RENAMED = {("study", "items"): ("factors", "items")}  # keys of older files: their names now
log = logging.getLogger(__name__)


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    Args:
        path: the file; by default the one in the working directory.

    Raises:
        ParamsError: the file is absent, is not YAML, or holds an unknown key, a wrong type or
            a value out of range; every such key is named in full.
    """
    return parse(read(path))


def parse(raw: dict[str, Any]) -> Params:
    """Check the content of a params.yaml that is already a mapping; see `load`."""
    raw = _with_new_names(raw)
    keys = File.model_fields.keys() - {"sections"}
    sections = {key: value for key, value in raw.items() if key not in keys}
    expand.check_layers(sections, raw.get("sources"))
    others = {key: value for key, value in raw.items() if key in keys}
    shared = own_stages.shared(others)
    file = validate(File, shared | {"sections": sections}, "")
    checks.check_comparisons(file)
    models = expand.merged(file.sections, file.sources)
    compared, left_out = expand.compared(
        file.extractors, models, file.features, file.modalities
    )
    settings = Params.model_construct(
        **dict(file),
        expanded=models | compared,
        left_out=left_out,
        own_stages=own_stages.typed(raw, file, file.sources),
    )
    checks.check(settings)
    return settings


def _with_new_names(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the content with the keys of `RENAMED` under their new names."""
    for (section, key), (new_section, new_key) in RENAMED.items():
        values = raw.get(section)
        if isinstance(values, dict) and key in values:
            log.warning("params.yaml: %s.%s is now %s.%s", section, key, new_section, new_key)
            others = {name: value for name, value in values.items() if name != key}
            moved = {new_key: values[key]} | (raw.get(new_section) or {})
            raw = raw | {section: others, new_section: moved}
    return raw
