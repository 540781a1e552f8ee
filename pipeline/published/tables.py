"""Files of the user's own tables: names in the mirror, or addresses."""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline import params
from pipeline.published.raw_file import OWN, RawFile

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


def files(source: params.TablesSource) -> list[RawFile]:
    """Return the two tables, and the archive of pictures if there is one."""
    archive = None if folders(source) else source.pictures
    return [own_file(name) for name in (source.interactions, source.items, archive) if name]


def folders(source: params.TablesSource) -> tuple[str, ...]:
    """Return the folder of pictures, if there is one."""
    if source.pictures is None or source.pictures.endswith(ARCHIVES):
        return ()
    return (source.pictures,)


def file_name(name_or_address: str) -> str:
    """Return the name that a table has below data/raw/<dataset>."""
    return PurePosixPath(name_or_address).name


def own_file(name_or_address: str) -> RawFile:
    """Return a file by its name in the mirror, or by its address."""
    name = file_name(name_or_address)
    if "/" not in name_or_address:
        return RawFile(name=name, page=f"{OWN}{name}")
    return RawFile(name=name, urls=(name_or_address,))
