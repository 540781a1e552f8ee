"""One file over one connection, from its start or from where the partial file ends."""

from __future__ import annotations

import re

import httpx

from pipeline.job.errors import RawDataError
from pipeline.transfer.limits import Limits, fast_enough
from pipeline.transfer.partial_file import PartialFile, progress_bar
from pipeline.transfer.ranges import (
    Changed,
    Origin,
    check_response,
    gives_ranges,
    http_origin,
    strong_tag,
)
from pipeline.transfer.status import TemporaryFailure, without_credentials


def transfer(
    client: httpx.Client,
    url: str,
    part: PartialFile,
    limits: Limits,
    timeout: float,
    *,
    split: bool,
) -> bool | Origin:
    """Bring the partial file to the file's end.

    Args:
        client: has the connection.
        url: an http(s) address.
        part: what has arrived of the file.
        limits: shared by all files.
        timeout: seconds, see `fast_enough`.
        split: leave a file that may come in ranges to `ranges`.

    Returns:
        Whether the partial file was resumed; or the file, untouched, for its ranges.

    Raises:
        RawDataError: the disk has no room for it, or it cannot be written.
        Refused, TemporaryFailure, httpx.RequestError: some of it is missing; what has arrived
            is kept.
    """
    # Identity, and raw bytes below: the file as published, not its unpacked content.
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.version and part.url == without_credentials(url):
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            _check_complete(response, part)
            return True
        check_response(response)
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        size = _length(response)
        if split and not resumed and size is not None and gives_ranges(response, size):
            return http_origin(client, url, strong_tag(response), size, timeout)
        _prepare(response, url, part)
        _save(response, url, part, limits, timeout)
        return resumed


def _check_complete(response: httpx.Response, part: PartialFile) -> None:
    """There are no bytes beyond the part's end: it is complete, or of another file."""
    total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    if total is None or int(total[1]) != part.size:
        part.remove()
        raise Changed


def _prepare(response: httpx.Response, url: str, part: PartialFile) -> None:
    """Make the part end where the response begins."""
    # A strong ETag identifies the content, else its date; '' if there is neither.
    version = strong_tag(response) or str(response.headers.get("Last-Modified", ""))
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        part.start(url, version)
        return
    continues = response.headers.get("Content-Range", "").startswith(f"bytes {part.size}-")
    # Some servers overlook If-Range.
    if not continues or version not in ("", part.version):
        part.remove()
        raise Changed


def _save(
    response: httpx.Response, url: str, part: PartialFile, limits: Limits, timeout: float
) -> None:
    remaining, start = _length(response), part.size
    total = None if remaining is None else start + remaining
    with limits.disk_space(part.path, total, url), progress_bar(part.path, start, total) as bar:
        try:
            with part.path.open("ab") as file:
                for chunk in fast_enough(response.iter_raw(), timeout):
                    file.write(chunk)
                    bar.update(len(chunk))
                    limits.received(len(chunk))
        except OSError as error:  # httpx raises none
            raise RawDataError(f"{part.path}: cannot be written: {error}; run again") from error
    if total is not None and part.size != total:
        raise TemporaryFailure(f"expected {total:,} bytes, got {part.size:,}")


def _length(response: httpx.Response) -> int | None:
    """Return the Content-Length, in bytes; None if the response has none."""
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else None
