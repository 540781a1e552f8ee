"""What a place says when it is asked for a file: refused, interrupted, or which version it has.

A part of `fetch`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import httpx

from pipeline.transfer.retry_after import LONGEST_WAIT, retry_after

# Worth another try: time-out, too early, too many requests (RFC 9110, 8470, 6585).
PASSING = {408, 425, 429}
SLOWEST = 1000  # bytes a second; a server that drips is dropped, and the file gone on with


class Refused(Exception):  # noqa: N818 (a finding, not a fault of ours)
    """This address will not give the file, now or later in this run."""


class Interrupted(Exception):  # noqa: N818
    """This address may give the file, or the rest of it, after `pause` seconds or more."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class Changed(Interrupted):
    """The file there is not the one that was begun."""

    def __init__(self) -> None:
        super().__init__("the file on the server is not the one that was begun")


class NoRanges(Interrupted):
    """The server gives the file in one piece only, whatever it said before."""


def shown(url: str) -> str:
    """Return an address as logs and messages may have it, without a name and a password."""
    return re.sub(r"//[^/@]*@", "//", url, count=1)


def check_status(response: httpx.Response) -> None:
    """Raise Interrupted or Refused unless the answer brings the file or a part of it."""
    code = response.status_code
    if code in PASSING or code >= httpx.codes.INTERNAL_SERVER_ERROR:
        pause = retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
        if pause > LONGEST_WAIT:
            raise Refused(f"HTTP status {code} with Retry-After {pause:.0f} s")
        raise Interrupted(f"HTTP status {code}", pause)
    if code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise Refused(f"HTTP status {code}")


def version(response: httpx.Response) -> str:
    """Return what identifies the file's content: a strong ETag, else its date, else ''."""
    return strong_tag(response) or str(response.headers.get("Last-Modified", ""))


def strong_tag(response: httpx.Response) -> str:
    """Return the ETag if it promises the same bytes, else '' (RFC 9110, 8.8.3)."""
    tag = str(response.headers.get("ETag", ""))
    return tag if tag.startswith('"') else ""


def length(response: httpx.Response) -> int | None:
    """Return the bytes that the answer says it brings."""
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def not_too_slow(chunks: Iterable[bytes], timeout: float) -> Iterator[bytes]:
    """Yield what comes, as long as it comes at SLOWEST or faster.

    Args:
        chunks: of a body.
        timeout: seconds of waiting for them over which the speed is taken.

    Raises:
        Interrupted: fewer than SLOWEST bytes a second came.
    """
    waited, came, source = 0.0, 0, iter(chunks)
    while True:
        begun = time.monotonic()
        chunk = next(source, None)
        waited += time.monotonic() - begun
        if chunk is None:
            return
        came += len(chunk)
        yield chunk
        if waited >= timeout:
            if came < SLOWEST * waited:
                raise Interrupted(f"only {came:,} bytes in {waited:.0f} s")
            waited, came = 0.0, 0
