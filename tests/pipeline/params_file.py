"""The committed params.yaml with one value changed."""

import copy

import yaml
from paths import ROOT

RAW = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def changed(path, value):
    """Return the file with another value; `path` has dots between keys."""
    raw = copy.deepcopy(RAW)
    *folders, last = path.split(".")
    place = raw
    for folder in folders:
        place = place.setdefault(folder, {})
    place[last] = value
    return raw
