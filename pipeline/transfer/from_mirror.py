"""What comes from the mirror's folder: files, which are checked, and pictures.

A part of `download`.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.job.errors import RawDataError
from pipeline.sources.raw import RawFile, check
from pipeline.transfer.mirror import VARIABLE, Mirror
from pipeline.transfer.raw_folder import Entry, entry, replacing_in
from pipeline.transfer.remote import is_folder

logger = logging.getLogger(__name__)

PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")


def copy_file(file: RawFile, target: Path, mirror: Mirror, causes: list[str]) -> bool:
    """Copy a file from the mirror's folder and check it; if that fails, note why."""
    if mirror.folder is None:
        return False
    found = mirror.folder / file.name
    if not found.is_file():
        causes.append(f"  {found} ({VARIABLE}): no such file")
        return False
    try:
        with replacing_in(target, file.name) as partial:
            shutil.copyfile(found, partial)
            check(partial, file)
    except (OSError, RawDataError) as error:
        causes.append(f"  {found} ({VARIABLE}): {error}")
        logger.warning("%s: not used: %s", found, error)
        return False
    logger.info("%s: copied from %s", target / file.name, found)
    return True


def copy_pictures(
    folders: Sequence[str], target: Path, mirror: Mirror, before: set[str]
) -> list[Entry]:
    """Copy the pictures that the mirror has.

    Args:
        folders: folders of pictures, such as images.
        target: data/raw/<dataset>.
        mirror: where they are; without a mirror, what is there stays.
        before: the files of the last manifest.

    Returns:
        The manifest's entries of the pictures.

    Raises:
        RawDataError: the mirror is at an address, and has them in a folder.
    """
    for name in folders:
        if is_folder(mirror.url(name)):
            raise RawDataError(
                f"{mirror.url(name)}: expected the pictures in an archive, got a folder; they "
                f"are many, and none is fetched from an address by itself. Put them into "
                f"{mirror.url(f'{name}.zip')}"
            )
    if mirror.folder is None:
        names = {name for name in before if name.split("/")[0] in folders}
        return [_picture(target, name) for name in names if (target / name).is_file()]
    paths = (path for folder in folders for path in (mirror.folder / folder).rglob("*"))
    found = (path for path in paths if path.suffix.lower() in PICTURES and path.is_file())
    names = {path.relative_to(mirror.folder).as_posix() for path in found}
    for name in sorted(names):
        with replacing_in(target, name) as partial:
            shutil.copyfile(mirror.folder / name, partial)
    if folders:
        logger.info("%s: %d pictures copied from the mirror", target, len(names))
    return [_picture(target, name) for name in names]


def _picture(target: Path, name: str) -> Entry:
    return entry(target, name, f"mirror:{name}")
