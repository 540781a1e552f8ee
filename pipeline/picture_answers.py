"""One answer of a server: is it a refusal, and for how long; and its body, within limits.

Not a stage: a part of `picture_fetch`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import httpx

from pipeline.picture_table import NotHad, too_large, writing

# Answers that may be another the next time: request timeout, too early, too many requests.
TRY_AGAIN = {408, 425, 429}
GZIP = 16 + zlib.MAX_WBITS  # zlib's name for the format


class Later(NotHad):
    """This picture may be had at another try."""


def check_status(code: int) -> None:
    """Raise Later or NotHad unless the answer is a success."""
    if code >= httpx.codes.INTERNAL_SERVER_ERROR or code in TRY_AGAIN:
        raise Later(f"HTTP {code}")
    if not httpx.codes.is_success(code):
        raise NotHad(f"HTTP {code}")


async def save(response: httpx.Response, target: Path, max_megabytes: float) -> None:
    """Write an answer's body, reading and unpacking no more than is allowed.

    Args:
        response: a success whose body was not read yet.
        target: the final name; not there until the body is whole.
        max_megabytes: of the body, unpacked.

    Raises:
        NotHad: it is larger, or packed in a way that we cannot read.
        RawDataError: the file cannot be written.
        httpx.TransportError: the body ends early, or no more of it comes.
    """
    most, size = int(max_megabytes * 1e6), 0
    unpack = _unpacker(response.headers.get("Content-Encoding", "identity").lower())
    with writing(target) as partial, partial.open("wb") as file:
        async for chunk in response.aiter_raw():
            data = unpack(chunk, most + 1 - size)
            size += len(data)
            if size > most:
                raise NotHad(too_large(max_megabytes))
            file.write(data)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Return what takes a chunk and gives at most so many bytes of it, unpacked.

    Nothing packed was asked for, but some servers store pictures that way.
    """
    if encoding in ("", "identity"):
        return lambda chunk, _: chunk
    if encoding not in ("gzip", "x-gzip"):
        raise NotHad(f"sent as {encoding}, though unpacked was asked for")
    gzip = zlib.decompressobj(GZIP)

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            return gzip.decompress(chunk, most)
        except zlib.error as error:
            raise NotHad("sent as gzip, and is not") from error

    return unpack
