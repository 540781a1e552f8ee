"""The mirror: a place with copies of published files, used before the network.

Its layout is <dataset>/<file name as published>; the environment variable DATA_MIRROR names it:
a folder, or an address that starts with file:, s3:, gs:, http: or https:.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from pipeline.job.errors import RawDataError
from pipeline.published.files import pictures_in
from pipeline.published.raw_file import RawFile, check
from pipeline.transfer.raw_folder import Entry, entry, replacing_in
from pipeline.transfer.remote import is_folder
from pipeline.transfer.status import without_credentials

logger = logging.getLogger(__name__)

VARIABLE = "DATA_MIRROR"
STORES = ("s3", "gs", "http", "https")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: C: is a disk


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """A dataset's place in the mirror.

    Args:
        dataset: a name of `sources`.
        folder: the dataset's folder, which need not exist; None if the mirror is at an address.
        root: the folder that no link may lead out of; by default `folder`.
        address: the mirror's address; '' if it is a folder.
    """

    dataset: str
    folder: Path | None = None
    root: Path | None = None
    address: str = ""

    def url(self, name: str) -> str:
        """Return the address of the file `name`; '' without a mirror at an address."""
        if not self.address.lower().startswith("http"):
            return f"{self.address}/{self.dataset}/{name}" if self.address else ""
        folder, mark, query = self.address.partition("?")  # such as a signature for all files
        return f"{folder.rstrip('/')}/{self.dataset}/{quote(name)}{mark}{query}"

    def check_inside(self, path: Path) -> None:
        """Raise RawDataError if a path in the mirror's folder leads out of it, by a link."""
        root = self.root or self.folder
        if root is not None and not path.resolve().is_relative_to(root.resolve()):
            raise RawDataError(
                f"{path}: expected a file in the folder {root}, got a link that leads to "
                f"{path.resolve()}; copy the file there"
            )

    def may_have(self, file: RawFile) -> bool:
        """Whether the file is there; at an address this is known only after a request."""
        if self.address:
            return True
        return self.folder is not None and (self.folder / file.name).is_file()

    @property
    def where_to_put(self) -> str:
        """Where a person should put a file that is unavailable elsewhere."""
        if self.folder:
            return f"{self.folder}/"
        if self.address:
            return f"{without_credentials(self.address).rstrip('/')}/{self.dataset}/"
        return f"<mirror>/{self.dataset}/, with {VARIABLE}=<mirror> in the environment"


def find(value: str | None, dataset: str) -> Mirror:
    """Return the mirror that the environment variable's `value` names.

    Raises:
        RawDataError: it is neither a folder nor an address of a supported kind.
    """
    if not value:
        return Mirror(dataset=dataset)
    scheme = SCHEME.match(value)
    kind = scheme[1].lower() if scheme else "file"
    if kind in STORES and "://" in value:
        _check_address(value)
        return Mirror(dataset=dataset, address=value.partition("#")[0].rstrip("/"))
    folder = Path(url2pathname(urlsplit(value).path) if scheme and kind == "file" else value)
    if not folder.is_dir():
        raise RawDataError(
            f"{VARIABLE}: expected a folder with <dataset>/<file>, or the same layout at "
            f"{', '.join(f'{store}://' for store in STORES)}, got "
            f"{without_credentials(value)!r}; make it, or unset {VARIABLE}"
        )
    return Mirror(dataset=dataset, folder=folder / dataset, root=folder)


def _check_address(value: str) -> None:
    """Raise RawDataError if an address has no host, as when its password is not encoded."""
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and (parts.port or True)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise RawDataError(
            f"{VARIABLE}: expected an address such as https://host/folder, got one without a "
            "host (not shown: it may have a password). In a user name or password write %2F "
            "for /, %40 for @, %3A for :, %3F for ? and %23 for #"
        )


def copy_file(file: RawFile, target: Path, mirror: Mirror, causes: list[str]) -> bool:
    """Copy a file from the mirror's folder to `target` and check it.

    Returns:
        Whether that succeeded; if not, `causes` gets a line with the reason.

    Raises:
        RawDataError: it is a link that leads out of the mirror.
    """
    if mirror.folder is None:
        return False
    source = mirror.folder / file.name
    if not source.is_file():
        causes.append(f"  {source} ({VARIABLE}): no such file")
        return False
    mirror.check_inside(source)
    try:
        with replacing_in(target, file.name) as partial:
            shutil.copyfile(source, partial)
            check(partial, file)
    except (OSError, RawDataError) as error:
        causes.append(f"  {source} ({VARIABLE}): {error}")
        logger.warning("%s: not used: %s", source, error)
        return False
    logger.info("%s: copied from %s", target / file.name, source)
    return True


def copy_pictures(
    folders: Sequence[str], target: Path, mirror: Mirror, before: set[str]
) -> list[Entry]:
    """Copy the pictures that the mirror has.

    Args:
        folders: names of folders of pictures, such as images.
        target: data/raw/<dataset>.
        mirror: where they are; without a mirror, those in `target` stay.
        before: the files of the last manifest.

    Returns:
        The manifest's entries of the pictures.

    Raises:
        RawDataError: the mirror is at an address, and has them in a folder; or one is a link
            that leads out of the mirror.
    """
    for name in folders:
        if is_folder(mirror.url(name)):
            raise RawDataError(
                f"{without_credentials(mirror.url(name))}: expected the pictures in an archive,"
                " got a folder, whose many small files are not fetched one by one. Put them "
                f"into {without_credentials(mirror.url(f'{name}.zip'))}"
            )
    if mirror.folder is None:
        kept = {name for name in before if name.split("/")[0] in folders}
        names = {name for name in kept if (target / name).is_file()}
    else:
        pictures = (p for folder in folders for p in pictures_in(mirror.folder / folder))
        names = {path.relative_to(mirror.folder).as_posix() for path in pictures}
        for name in sorted(names):
            mirror.check_inside(mirror.folder / name)
            with replacing_in(target, name) as partial:
                shutil.copyfile(mirror.folder / name, partial)
        if folders:
            logger.info("%s: %d pictures copied from the mirror", target, len(names))
    return [entry(target, name, f"mirror:{name}") for name in names]
