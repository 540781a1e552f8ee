"""Bodies that are sent compressed."""

import gzip
from pathlib import Path

from picture_cases import RED, SETTINGS, memory

from pipeline.params import Images
from pipeline.pictures.fetch import fetch
from pipeline.pictures.store import Store


def failures(folder: Path, *addresses: str) -> list[str]:
    found = fetch(addresses, folder / "kept", Images(**SETTINGS), len(addresses)).failures
    return [found.get(address, "") for address in addresses]


def packed(body: bytes, encoding: str = "gzip"):
    return 200, {"Content-Encoding": encoding}, body


def test_a_picture_that_is_sent_packed_is_unpacked(folder, server):
    address = f"{server.address}/a.png"
    server.pages["/a.png"] = packed(gzip.compress(RED))

    assert failures(folder, address) == [""]
    with Store(folder / "kept") as store:
        assert store.read(address) == RED


def test_what_unpacks_to_more_than_is_allowed_is_not_unpacked(folder, server):
    server.pages["/a.png"] = packed(gzip.compress(bytes(50_000_000)))
    server.pages["/b.png"] = packed(RED, "br")
    server.pages["/c.png"] = packed(RED)

    with memory(megabytes=20):
        found = failures(folder, *(f"{server.address}/{name}.png" for name in "abc"))

    assert found == [
        "more than images.max_megabytes = 0.1",
        "sent as br, though unpacked was asked for",
        "sent as gzip, and is not",
    ]
