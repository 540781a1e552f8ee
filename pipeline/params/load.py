"""From the file params.yaml to its typed values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.params import checks, expand
from pipeline.params.declared import Declared
from pipeline.params.whole import Params
from pipeline.params.yaml_file import PARAMS_FILE, read, validate


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
    known = Declared.model_fields.keys() - {"sections"}
    sections = {key: value for key, value in raw.items() if key not in known}
    expand.check_sections(sections, set(raw.get("sources") or {}))
    body = {key: value for key, value in raw.items() if key in known}
    declared = validate(Declared, body | {"sections": sections}, "")
    models, contradictions = expand.add_compared(declared, expand.recommenders(declared))
    settings = Params(**dict(declared), recommenders=models, contradictions=contradictions)
    checks.check(settings)
    return settings
