"""The files that params.yaml names: their sha256, and links for DVC to see them.

They are the files of an extractor, and the user's own tables and pictures, which are in the
`folder` of a source of the format `tables`. What is in a mirror (DATA_MIRROR) is not among
them: the environment may differ from one command to the next.

A file may have tens of gigabytes, and every `snakemake -n` asks for its sha256. It is therefore
remembered with the file's size and time of change; a file with the same two counts as the same.
The memory may be deleted at any time.

The links are for DVC, whose dependencies are a fixed list: they are an output of the stage
`settings`, which DVC runs again when the content behind them has changed. An absent file cannot
be linked, so the stage refuses it; Snakemake leaves that to the stages that read it. They are
not among the slices, which DVC keeps in its cache, where weights do not belong.

A folder of pictures is another matter: pictures come and go, and DVC stops at a link to
nothing. Of a link that is itself a dependency DVC reads the whole folder, so the download
depends on such a link. Snakemake depends on a checksum of the pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.job.errors import RawDataError
from pipeline.params import OwnFiles, Params, Source, TablesSource
from pipeline.params.features import Settings as FeatureSettings
from pipeline.published import files as published
from pipeline.tables.io import replacing, sha256_of, write_json, write_text

SETTINGS = ("weights", "path", "ids")  # of an extractor, that may name a file
MEMORY = Path(".work/checksums.json")  # {path: [bytes, time of change in ns, sha256, ...]}
DOWNLOADED = Path("data/raw")
SOURCE = "_source"  # folder of a dataset's own links; no modality has such a name
KEPT = ".gitkeep"  # in git, so that a fresh clone has the folder and DVC finds it unchanged


def checksums(feature: FeatureSettings | None) -> dict[str, str | None]:
    """Return `{setting: sha256}`; None for a name such as `imagenet`, or an absent file.

    Without files below data/raw, which are not there before the download: its manifest has
    their checksums, and is an input of features.

    Raises:
        RawDataError: a file is there and cannot be read.
    """
    paths = {name: getattr(feature, name, None) for name in SETTINGS}
    return {
        name: remembered_sha256(Path(path))
        for name, path in paths.items()
        if path is not None and not _is_downloaded(path)
    }


def reads_downloaded(feature: FeatureSettings) -> bool:
    """Return whether a feature reads a file that the stage `download` brings."""
    return any(_is_downloaded(getattr(feature, name, None) or "") for name in SETTINGS)


def _is_downloaded(path: str) -> bool:
    return Path(path).is_relative_to(DOWNLOADED)


def source_files(source: Source) -> dict[str, Path]:
    """Return the user's own tables, and their archive of pictures, as `{name: path}`.

    They need not exist: a table with an address is fetched if it is not in the folder.
    """
    if not isinstance(source, OwnFiles) or source.folder is None:
        return {}
    folder = Path(source.folder)
    return {file.name: folder / file.name for file in published.files(source)}


def source_checksums(source: Source) -> dict[str, str | None]:
    """Return `{name: sha256}` of `source_files`; None for an absent file.

    Raises:
        RawDataError: a file is there and cannot be read.
    """
    return {name: remembered_sha256(path) for name, path in source_files(source).items()}


def picture_folder(source: Source) -> Path | None:
    """Return the user's folder of pictures, which need not exist."""
    names = published.folders(source)
    if not isinstance(source, TablesSource) or source.folder is None or not names:
        return None
    return Path(source.folder, names[0])


def pictures_checksum(source: Source, memory: Path = MEMORY) -> str | None:
    """Return one sha256 of the names and contents of the user's pictures; None if no folder.

    Raises:
        RawDataError: a picture cannot be read.
    """
    folder = picture_folder(source)
    if folder is None or not folder.is_dir():
        return None
    paths = published.pictures_in(folder)
    content = remembered_sha256s(paths, memory)
    lines = [f"{path.relative_to(folder).as_posix()} {content[path]}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_pictures_checksums(settings: Params, folder: Path) -> None:
    """Write `pictures_checksum` of every dataset as `folder/<dataset>.json`, if it changed."""
    for dataset in settings.datasets:
        path = folder / f"{dataset}.json"
        text = json.dumps(pictures_checksum(settings.source(dataset))) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(text, path)


def write_picture_links(settings: Params, folder: Path) -> None:
    """Link the folder of pictures of every dataset as `folder/<dataset>`; remove other links.

    A dataset without one gets a file: DVC stops at a dependency that is not there.
    """
    for dataset in settings.datasets:
        path, pictures = folder / dataset, picture_folder(settings.source(dataset))
        target = pictures.absolute() if pictures and pictures.is_dir() else None
        if path.is_symlink() and path.readlink() != target:
            path.unlink()
        if target is None and not path.exists():
            write_text("no folder of pictures\n", path)
        elif target is not None and not path.is_symlink():
            with replacing(path) as partial:
                partial.symlink_to(target)
    for path in sorted(folder.glob("*")):
        if path.name not in settings.datasets:
            path.unlink()


def remembered_sha256(path: Path, memory: Path = MEMORY) -> str | None:
    """Return `remembered_sha256s` of one file, or of what might be one."""
    return remembered_sha256s([path], memory)[path]


def remembered_sha256s(paths: Sequence[Path], memory: Path = MEMORY) -> dict[Path, str | None]:
    """Return the sha256 of each file's bytes in hexadecimal; read a file only if it changed.

    Args:
        paths: files, or what might be ones; of what is none there is None.
        memory: where checksums are kept; started anew if it is absent or damaged.

    Raises:
        RawDataError: a file cannot be read.
    """
    entries, checksums = _read_memory(memory), dict.fromkeys(paths)
    is_new = False
    for path in paths:
        try:
            if not path.is_file():
                continue
            # Before reading: a file that changes meanwhile is read again next time.
            state = path.stat()
            stamp, name = (state.st_size, state.st_mtime_ns), str(path.absolute())
            if entries.get(name, [])[:2] != [*stamp]:
                entries[name], is_new = _entry(name, *stamp, sha256_of(path)), True
        except OSError as error:
            raise RawDataError(
                f"{path}, named in params.yaml: expected a file that can be read, got {error}"
            ) from error
        checksums[path] = str(entries[name][2])
    if is_new:
        write_json(entries, memory)
    return checksums


def _read_memory(memory: Path) -> dict[str, list[Any]]:
    """Return the valid entries of the memory."""
    try:
        entries = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if _is_valid(name, entry)}


def _entry(name: str, size: int, changed: int, sha256: str) -> list[Any]:
    """Return what is remembered of a file; its last part is a checksum of the others."""
    text = f"{name} {size} {changed} {sha256}"
    return [size, changed, sha256, hashlib.sha256(text.encode()).hexdigest()[:16]]


def _is_valid(name: str, entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 4 and entry == _entry(name, *entry[:3])


def check(settings: Params) -> None:
    """Refuse an absent file: DVC would not see when it appears, nor when it changes.

    A name among `weights`, such as `imagenet`, has neither a dot nor a slash. A table with an
    address may be absent.

    Raises:
        RawDataError: a feature or a source of a dataset to be built names such a file.
    """
    for dataset in settings.datasets:
        source = settings.source(dataset)
        own = source_files(source)
        for file in published.files(source):
            if file.name in own and not file.urls and not own[file.name].is_file():
                raise RawDataError(
                    f"params.yaml: sources.{dataset}: no such file {own[file.name]}; put it "
                    "there, or leave this dataset out of `datasets` until it is"
                )
        pictures = picture_folder(source)
        if pictures and not pictures.is_dir():
            raise RawDataError(
                f"params.yaml: sources.{dataset}.pictures: no such folder {pictures}; make it, "
                "or remove this key until it is there"
            )
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

    Those of a source are `folder/<dataset>/_source/<name>`. The folder is made, even if there
    is nothing to link.
    """
    targets = {
        folder / dataset / modality / name: Path(getattr(feature, name)).absolute()
        for dataset in settings.datasets
        for modality, feature in settings.dataset_features(dataset).items()
        for name, sha256 in checksums(feature).items()
        if sha256 is not None
    } | {
        folder / dataset / SOURCE / name: path.absolute()
        for dataset in settings.datasets
        for name, path in source_files(settings.source(dataset)).items()
        if path.is_file()
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
