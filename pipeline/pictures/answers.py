"""One answer of a server: is it a refusal, and for how long; and its body, within limits.

Not a stage: a part of `fetch`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
from yarl import URL

from pipeline.pictures.table import NotHad, too_large

# Answers that may be another the next time: request timeout, too early, too many requests.
TRY_AGAIN = {408, 425, 429}
REDIRECTS = {301, 302, 303, 307, 308}
PLAIN = re.compile(r"[!-~]+")  # ASCII without blanks and control characters
GZIP = 16 + zlib.MAX_WBITS  # zlib's name for the format


class Later(NotHad):
    """This picture may be had at another try."""


def check_status(code: int) -> None:
    """Raise Later or NotHad unless the answer is a success."""
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in TRY_AGAIN:
        raise Later(f"HTTP {code}")
    if not HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        raise NotHad(f"HTTP {code}")


async def read(response: aiohttp.ClientResponse, max_megabytes: float) -> bytes:
    """Return an answer's body, reading and unpacking no more than is allowed.

    Args:
        response: a success whose body was not read yet.
        max_megabytes: of the body, unpacked.

    Raises:
        NotHad: it is larger, or packed in a way that we cannot read.
        aiohttp.ClientError, TimeoutError: the body ends early, or no more of it comes.
    """
    most, body = int(max_megabytes * 1e6), bytearray()
    unpack = _unpacker(response.headers.get("Content-Encoding", "identity").lower())
    async for chunk in response.content.iter_any():
        body += unpack(chunk, most + 1 - len(body))
        if len(body) > most:
            raise NotHad(too_large(max_megabytes))
    return bytes(body)


def next_address(response: aiohttp.ClientResponse) -> URL | None:
    """Return where an answer redirects to; None if it does not.

    Raises:
        ValueError: to nothing that is an address.
    """
    if response.status not in REDIRECTS or "Location" not in response.headers:
        return None
    return response.url.join(url(response.headers["Location"]))


def url(address: str) -> URL:
    """Return an address as a URL.

    Raises:
        ValueError: it is none.
    """
    # As it stands, where that can be sent: some servers sign it.
    return URL(address, encoded=PLAIN.fullmatch(address) is not None)


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
