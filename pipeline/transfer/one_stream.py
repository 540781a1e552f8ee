"""One file over one connection, from its start or from where a part of it ends.

A part of `fetch`.
"""

from __future__ import annotations

import re

import httpx

from pipeline.job.errors import RawDataError
from pipeline.transfer.answers import (
    Changed,
    Interrupted,
    check_status,
    length,
    not_too_slow,
    strong_tag,
    version,
)
from pipeline.transfer.limits import Traffic
from pipeline.transfer.partial_file import Part, bar
from pipeline.transfer.ranges import Origin, http_origin, offered


def bring(
    client: httpx.Client, url: str, part: Part, traffic: Traffic, timeout: float, *, split: bool
) -> bool | Origin:
    """Bring the part to the file's end.

    Args:
        client: the connection is one of it.
        url: an http(s) address.
        part: what there is of the file.
        traffic: what all files share.
        timeout: seconds, see `not_too_slow`.
        split: whether a file that may come in ranges is left for them.

    Returns:
        Whether it went on from where the part ended; or the file, untouched, for its ranges.

    Raises:
        RawDataError: the disk has no room for it, or it cannot be written.
        Refused, Interrupted, httpx.RequestError: some of it did not come; what did is kept.
    """
    # Identity, and raw bytes below: the file as published, not what is packed in it.
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.version and part.url == url:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            _check_complete(response, part)
            return True
        check_status(response)
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        size = length(response)
        if split and not resumed and size is not None and offered(response, size):
            return http_origin(client, url, strong_tag(response), size, timeout)
        _place(response, url, part)
        _save(response, url, part, traffic, timeout)
        return resumed


def _check_complete(response: httpx.Response, part: Part) -> None:
    """No bytes beyond the part's end: either it is whole, or it is of another file."""
    total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    if total is None or int(total[1]) != part.size:
        part.drop()
        raise Changed


def _place(response: httpx.Response, url: str, part: Part) -> None:
    """Make the part end where the response begins."""
    if response.status_code == httpx.codes.OK:
        part.start(url, version(response))
        return
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {part.size}-")
    # Some servers overlook If-Range.
    if not begins or version(response) not in ("", part.version):
        part.drop()
        raise Changed


def _save(
    response: httpx.Response, url: str, part: Part, traffic: Traffic, timeout: float
) -> None:
    remaining, begun = length(response), part.size
    total = None if remaining is None else begun + remaining
    with traffic.room(part.path, total, url), bar(part.path, begun, total) as shown:
        try:
            with part.path.open("ab") as file:
                for chunk in not_too_slow(response.iter_raw(), timeout):
                    file.write(chunk)
                    shown.update(len(chunk))
                    traffic.passed(len(chunk))
        except OSError as error:  # httpx raises none
            raise RawDataError(f"{part.path}: cannot be written: {error}; run again") from error
    if total is not None and part.size != total:
        raise Interrupted(f"expected {total:,} bytes, got {part.size:,}")
