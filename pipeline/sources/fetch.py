"""Files over HTTP, for lines that drop and servers that are gone.

A file arrives as <work>/<file>.part, with a note beside it of where it came from and which
version it is. The next attempt, in this run or a later one, asks for the rest on the condition
that the version is still that one; otherwise it starts again.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from pipeline.errors import RawDataError
from pipeline.io import write_json
from pipeline.sources.raw import RawFile, check

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds; each pause is twice the one before
CONNECT_TIMEOUT = 10.0  # seconds; a server that is there answers within one
# Worth another try: time-out, too early, too many requests (RFC 9110, 8470, 6585).
PASSING = {408, 425, 429}


class _Refused(Exception):  # noqa: N818 (a finding, not a fault of ours)
    """This address will not give the file, now or later."""


class _Interrupted(Exception):  # noqa: N818
    """This address may give the file, or the rest of it, later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """How the network is used.

    Args:
        retries: further rounds over a file's addresses after the first.
        timeout: seconds without a byte before a connection counts as dropped.
        pause: seconds before the second round; doubled each time.
    """

    retries: int
    timeout: float
    pause: float = FIRST_PAUSE

    def fetch(self, file: RawFile, work: Path, causes: list[str]) -> Path | None:
        """Bring a file to `<work>/<name>.part` and check it.

        Args:
            file: what to bring.
            work: folder of unfinished downloads; made when needed.
            causes: gets a line for each address that failed.

        Returns:
            The checked file, or None if no address gave it.

        Raises:
            RawDataError: the disk has no room for it.
        """
        part = _Part(work / f"{file.name}.part")
        addresses = list(file.urls)
        failures: dict[str, str] = {}
        limits = httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_TIMEOUT))
        with httpx.Client(timeout=limits, follow_redirects=True) as client:
            for pause in self._pauses():
                time.sleep(pause)
                if self._round(client, file, part, addresses, failures):
                    return part.path
                if not addresses:
                    break
        causes += [f"  {url}: {failures[url]}" for url in file.urls]
        return None

    def _pauses(self) -> Iterator[float]:
        yield 0.0
        for attempt in range(self.retries):
            yield min(self.pause * 2**attempt, LONGEST_PAUSE)

    def _round(
        self,
        client: httpx.Client,
        file: RawFile,
        part: _Part,
        addresses: list[str],
        failures: dict[str, str],
    ) -> bool:
        """Try each address once, the one that a part came from first."""
        for url in sorted(addresses, key=lambda url: url != part.url):
            logger.info("%s: from %s", file.name, url)
            try:
                _check_part(part, file, resumed=_get(client, url, part))
            except _Refused as error:
                failures[url] = str(error)
                addresses.remove(url)
            except (_Interrupted, httpx.RequestError) as error:
                failures[url] = f"{type(error).__name__.lstrip('_')}: {error}".rstrip(": ")
                logger.warning("%s: %s", url, failures[url])
                if part.size:
                    break  # go on from here after a pause, not anew from elsewhere
            else:
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Part:
    """An unfinished download and the note beside it."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def url(self) -> str:
        return self._noted("url")

    @property
    def version(self) -> str:
        return self._noted("version")

    def start(self, url: str, version: str) -> None:
        """Forget what there is; the note is written before the first byte."""
        self.path.unlink(missing_ok=True)
        write_json({"url": url, "version": version}, self.note)

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _noted(self, key: str) -> str:
        try:
            return str(json.loads(self.note.read_text(encoding="utf-8"))[key])
        except (OSError, ValueError, LookupError, TypeError):
            return ""  # no note, or half of one: the part cannot be continued


def _get(client: httpx.Client, url: str, part: _Part) -> bool:
    """Bring the part to the file's end; tell whether it went on from where it stood."""
    # Identity, and raw bytes below: the file as published, not what is packed in it.
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.version and part.url == url:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            _check_complete(response, part)
            return True
        _check_status(response)
        _place(response, url, part)
        _save(response, url, part)
        return response.status_code == httpx.codes.PARTIAL_CONTENT


def _check_status(response: httpx.Response) -> None:
    code = response.status_code
    if code in PASSING or code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise _Interrupted(f"HTTP status {code}")
    if code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise _Refused(f"HTTP status {code}")


def _check_complete(response: httpx.Response, part: _Part) -> None:
    """No bytes beyond the part's end: either it is whole, or it is of another file."""
    total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    if total is None or int(total[1]) != part.size:
        part.drop()
        raise _Interrupted("the file on the server is not the one that was begun")


def _place(response: httpx.Response, url: str, part: _Part) -> None:
    """Make the part end where the response begins."""
    if response.status_code == httpx.codes.OK:
        part.start(url, _version(response))
        return
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {part.size}-")
    # Some servers overlook If-Range.
    if not begins or _version(response) not in ("", part.version):
        part.drop()
        raise _Interrupted("the file on the server is not the one that was begun")


def _version(response: httpx.Response) -> str:
    """Return what identifies the file's content: a strong ETag, else its date, else ''."""
    tag = str(response.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _save(response: httpx.Response, url: str, part: _Part) -> None:
    length = response.headers.get("Content-Length", "")
    remaining = int(length) if length.isdigit() else None
    free = shutil.disk_usage(part.path.parent).free
    if remaining is not None and remaining > free:
        raise RawDataError(
            f"{url}: needs {remaining:,} bytes in {part.path.parent}, which has {free:,} free; "
            f"make room and run again"
        )
    begun = part.size
    total = None if remaining is None else begun + remaining
    try:
        with part.path.open("ab") as file, _bar(part, begun, total) as bar:
            for chunk in response.iter_raw():
                file.write(chunk)
                bar.update(len(chunk))
    except OSError as error:  # httpx raises none
        raise RawDataError(f"{part.path}: cannot be written: {error}; run again") from error
    if total is not None and part.size != total:
        raise _Interrupted(f"expected {total:,} bytes, got {part.size:,}")


@contextmanager
def _bar(part: _Part, begun: int, total: int | None) -> Iterator[tqdm[Any]]:
    name = part.path.name.removesuffix(".part")
    # disable=None: no bar where nobody looks, such as in a log file.
    with tqdm(
        desc=name, initial=begun, total=total, unit="B", unit_scale=True, disable=None
    ) as bar:
        yield bar


def _check_part(part: _Part, file: RawFile, *, resumed: bool) -> None:
    try:
        check(part.path, file)
    except RawDataError as error:
        part.drop()
        # What an earlier run left may be at fault: then the whole file may yet be right.
        raise (_Interrupted if resumed else _Refused)(str(error)) from None
