"""From the file params.yaml to its typed values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.params import study, sweep
from pipeline.params.whole import Params
from pipeline.params.yaml_file import PARAMS_FILE, check_sections, read, validate


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
    known = {name for name in Params.model_fields if name != "sections"}
    sections = {key: value for key, value in raw.items() if key not in known}
    check_sections(sections, raw)
    body = {key: value for key, value in raw.items() if key in known}
    settings = validate(Params, body | {"sections": sections}, "")
    sweep.check(settings)
    study.check(settings)
    return settings
