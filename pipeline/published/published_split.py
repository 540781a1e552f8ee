"""Files of the splits published with the MEGCF code, with their checksums."""

from __future__ import annotations

from pipeline import params
from pipeline.published.raw_file import RawFile
from pipeline.tables.schema import TEST, TRAIN, VALIDATION

ADDRESS = (
    "https://raw.githubusercontent.com/hfutmars/MEGCF/"
    "3022b330a2089664bd45b3d498e88129b3415b62/Data/{folder}/{file}"
)
PARTS = {TRAIN: "train.txt", VALIDATION: "validation.txt", TEST: "test.txt"}
TOKENS = {"title_tokens": "i2e_title.txt", "visual_tokens": "i2e_visual.txt"}
# First 16 digits, in the order of PARTS and TOKENS.
SHA256 = {
    "amazon-beauty": (
        "797631b6a4bcd9c6",
        "25d549f1412338d7",
        "232cc27d05ca299a",
        "796931323bcc9a1b",
        "d306b6e673fedf65",
    ),
    "Art": (
        "e5e63b9e231963b6",
        "9cded7cd23c92c8b",
        "bc8f158b2cea1784",
        "b15793ef4d026ec1",
        "713237ebc143e091",
    ),
    "taobao": (
        "7ab7ce541087a8f9",
        "a7c5f24db74c7c8c",
        "3c64c4b2442f5b6e",
        "c3dd4d3fb4ab014f",
        "20bfadeaf78206cb",
    ),
}


def files(source: params.PublishedSplitSource) -> list[RawFile]:
    """Return the five files of a folder, with checksums where they are known."""
    names = [*PARTS.values(), *TOKENS.values()]
    checksums = SHA256.get(source.folder, ("",) * len(names))
    return [
        RawFile(
            name=name,
            urls=(ADDRESS.format(folder=source.folder, file=name),),
            sha256=sha256,
        )
        for name, sha256 in zip(names, checksums, strict=True)
    ]
