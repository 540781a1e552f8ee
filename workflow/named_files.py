"""The files that extractors name in params.yaml: their sha256, and links for DVC to see them.

A file may have tens of gigabytes, and every `snakemake -n` asks for its sha256. It is therefore
remembered with the file's size and time of change; a file with the same two counts as the same.
The memory may be deleted at any time.

The links are for DVC, whose dependencies are a fixed list: they are an output of the stage
`settings`, which DVC runs again when the content behind them has changed. An absent file cannot
be linked, so the stage refuses it; Snakemake leaves that to the stage `features`. They are not
among the slices, which DVC keeps in its cache, where weights do not belong.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipeline.job.errors import RawDataError
from pipeline.params import Params
from pipeline.params.features import Settings as FeatureSettings
from pipeline.tables.io import replacing, sha256_of, write_json

SETTINGS = ("weights", "path", "ids")  # of an extractor, that may name a file
MEMORY = Path(".work/checksums.json")  # {path: [bytes, time of change in ns, sha256]}
SHA256 = re.compile(r"[0-9a-f]{64}")
KEPT = ".gitkeep"  # in git, so that a fresh clone has the folder and DVC finds it unchanged


def checksums(feature: FeatureSettings | None) -> dict[str, str | None]:
    """Return `{setting: sha256}`; None for a name such as `imagenet`, or an absent file.

    Raises:
        RawDataError: a file is there and cannot be read.
    """
    named = [name for name in SETTINGS if getattr(feature, name, None) is not None]
    return {name: remembered_sha256(Path(getattr(feature, name))) for name in named}


def remembered_sha256(path: Path, memory: Path = MEMORY) -> str | None:
    """Return the sha256 of a file's bytes in hexadecimal; read the file only if it changed.

    Args:
        path: a file, or what might be one; None is returned if it is not.
        memory: where checksums are kept; started anew if it is absent or damaged.

    Raises:
        RawDataError: the file cannot be read.
    """
    try:
        if not path.is_file():
            return None
        # Before reading: a file that changes meanwhile is read again next time.
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns]
        entries, name = _read_memory(memory), str(path.absolute())
        if entries.get(name, [])[:2] == stamp:
            return str(entries[name][2])
        sha256 = sha256_of(path)
    except OSError as error:
        raise RawDataError(
            f"{path}, named in params.yaml: expected a file that can be read, got {error}"
        ) from error
    write_json(entries | {name: [*stamp, sha256]}, memory)
    return sha256


def _read_memory(memory: Path) -> dict[str, list[Any]]:
    """Return the valid entries of the memory."""
    try:
        entries = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if _is_valid(entry)}


def _is_valid(entry: object) -> bool:
    return (
        isinstance(entry, list)
        and [type(part) for part in entry] == [int, int, str]
        and SHA256.fullmatch(entry[2]) is not None
    )


def check(settings: Params) -> None:
    """Refuse an absent file: DVC would not see when it appears, nor when it changes.

    A name among `weights`, such as `imagenet`, has neither a dot nor a slash.

    Raises:
        RawDataError: a feature of a dataset to be built names such a file.
    """
    for dataset in settings.datasets:
        for modality, feature in settings.dataset_features(dataset).items():
            for name, sha256 in checksums(feature).items():
                value = getattr(feature, name)
                if sha256 is None and (name != "weights" or set("./") & set(value)):
                    raise RawDataError(
                        f"params.yaml: features.{dataset}.{modality}.{name}: no such file "
                        f"{value}; put it there, or leave this modality out until it is"
                    )


def write_links(settings: Params, folder: Path) -> None:
    """Link the files as `folder/<dataset>/<modality>/<setting>`; remove all other links.

    The folder is made, even if there is nothing to link.
    """
    targets = {
        folder / dataset / modality / name: Path(getattr(feature, name)).absolute()
        for dataset in settings.datasets
        for modality, feature in settings.dataset_features(dataset).items()
        for name, sha256 in checksums(feature).items()
        if sha256 is not None
    }
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / KEPT).exists():
        (folder / KEPT).touch()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and path.readlink() != targets.get(path):
            path.unlink()
    for path, target in targets.items():
        if not path.is_symlink():
            with replacing(path) as partial:
                partial.symlink_to(target)
