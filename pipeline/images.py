"""Pack every item's picture into one file.

    data/processed/<dataset>/items.parquet, data/raw/<dataset>/, addresses on the web
        -> data/images/<dataset>.parquet

One row per item, ascending. `status` is `ok` (the bytes are a whole picture in JPEG, PNG, GIF,
WEBP, BMP or TIFF), `missing` (the item names none, or it cannot be had) or `broken` (it came,
and is no picture); `source` says where the bytes came from or why there are none. One bad
picture never stops the stage; more than `images.max_failed` of them do.

The column `image` of the items is an http(s) address, or a path below data/raw/<dataset>.
Fetched files are kept in .work/images/<dataset>/, so that a stage that was stopped goes on
where it was; the folder may be deleted at any time. A dataset none of whose features reads an
image gets a table without pictures, and nothing is fetched.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline import params
from pipeline.command import parser, run
from pipeline.errors import RawDataError
from pipeline.io import read_parquet, replacing
from pipeline.params import Images
from pipeline.picture_fetch import (
    NotHad,
    fetch,
    is_address,
    kept_file,
    too_large,
    too_many_failed,
)
from pipeline.pictures import open_rgb
from pipeline.schema import IMAGE, IMAGES, ITEM, ITEMS, ITEMS_FILE

WORK = Path(".work/images")
OK, MISSING, BROKEN = "ok", "missing", "broken"
NOT_READ = "not read by any feature of this dataset"
NO_PICTURE = "the item names no picture"
ROWS, GROUP_BYTES = 256, 64_000_000  # a row group ends at whichever comes first
CHECKED_AT_ONCE = 32  # pictures; bounds the memory of decoding
# Of the columns of schema.IMAGES, in order.
TYPES = (pa.int32(), pa.string(), pa.binary(), pa.int32(), pa.int32(), pa.string())
SCHEMA = pa.schema(list(zip(IMAGES, TYPES, strict=True)))
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A row of the table but its item; `reason` is empty if ok."""

    status: str
    place: str | None = None  # address or path, as the items say it
    reason: str = ""
    data: bytes | None = None
    size: tuple[int | None, int | None] = (None, None)

    @property
    def source(self) -> str:
        """Return where the bytes came from, or why there are none."""
        return ": ".join(part for part in (self.reason, self.place) if part)


def read_local(place: str, raw: Path, max_megabytes: float) -> bytes:
    """Return the bytes of a picture below the raw folder.

    Raises:
        NotHad: it is not there, is too large, or the path leads out of the folder.
    """
    try:
        file = (raw / place).resolve()
        if Path(place).is_absolute() or not file.is_relative_to(raw.resolve()):
            raise NotHad("refused, not below the dataset's raw folder")
        if not file.is_file():
            raise NotHad("no such file")
        if file.stat().st_size > max_megabytes * 1e6:
            raise NotHad(too_large(max_megabytes))
        return file.read_bytes()
    except (OSError, ValueError) as error:  # a name too long, a null byte, no permission
        raise NotHad(f"not to be read ({type(error).__name__})") from error


def look_at(
    place: str | None, raw: Path, kept: Path, failures: Mapping[str, str], max_megabytes: float
) -> Picture:
    """Return one item's picture, checked to decode.

    Args:
        place: the item's column `image`.
        raw: data/raw/<dataset>.
        kept: the folder of fetched files.
        failures: address -> reason of those that could not be fetched.
        max_megabytes: a larger local file is not read.
    """
    if not place:
        return Picture(MISSING, reason=NO_PICTURE)
    if place in failures:
        return Picture(MISSING, place, failures[place])
    try:
        if is_address(place):
            data = kept_file(kept, place).read_bytes()
        else:
            data = read_local(place, raw, max_megabytes)
        return Picture(OK, place, data=data, size=open_rgb(data).size)
    except NotHad as error:
        return Picture(MISSING, place, str(error))
    except RawDataError as error:
        return Picture(BROKEN, place, str(error))


def look_at_all(
    places: Sequence[str | None],
    raw: Path,
    kept: Path,
    failures: Mapping[str, str],
    max_megabytes: float,
) -> Iterator[Picture]:
    """Yield `look_at` of every place, in order; Pillow decodes in threads, a few at a time."""
    with ThreadPoolExecutor() as pool:
        for first in tqdm(range(0, len(places), CHECKED_AT_ONCE), desc="check", mininterval=1):
            chunk = places[first : first + CHECKED_AT_ONCE]
            yield from pool.map(
                lambda place: look_at(place, raw, kept, failures, max_megabytes), chunk
            )


def write_pictures(pictures: Iterable[Picture], path: Path) -> list[Picture]:
    """Write the pictures of items 0, 1, 2, ... holding one row group at a time.

    Returns:
        All of them without their bytes.
    """
    written: list[Picture] = []
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=False) as writer:
        for group in _groups(pictures):
            writer.write_batch(_batch(group, first=len(written)))
            written += [replace(picture, data=None) for picture in group]
    return written


def _groups(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Cut into runs of ROWS pictures, or fewer where they are large."""
    group: list[Picture] = []
    size = 0
    for picture in pictures:
        group.append(picture)
        size += len(picture.data or b"")
        if len(group) == ROWS or size > GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _batch(group: list[Picture], first: int) -> pa.RecordBatch:
    columns = [
        list(range(first, first + len(group))),
        [picture.status for picture in group],
        [picture.data for picture in group],
        [picture.size[0] for picture in group],
        [picture.size[1] for picture in group],
        [picture.source for picture in group],
    ]
    arrays = [
        pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def pack(
    places: Sequence[str | None], raw: Path, kept: Path, output: Path, settings: Images
) -> Counter[str]:
    """Fetch, check and write the pictures of all items.

    Args:
        places: the column `image`, items ascending.
        raw: data/raw/<dataset>.
        kept: the folder for fetched files.
        output: data/images/<dataset>.parquet.
        settings: the section `images` of params.yaml.

    Returns:
        The number of items per status.

    Raises:
        RawDataError: more than `max_failed` of the pictures are missing or broken.
    """
    n_named = sum(bool(place) for place in places)
    addresses = dict.fromkeys(place for place in places if place and is_address(place))
    failures = fetch(addresses, kept, settings, n_named)
    looked_at = look_at_all(places, raw, kept, failures, settings.max_megabytes)
    with replacing(output) as partial:
        pictures = write_pictures(looked_at, partial)
        _forget_broken(pictures, kept)
        reasons = [picture.reason for picture in pictures if picture.place and picture.reason]
        if len(reasons) > settings.max_failed * n_named:
            raise too_many_failed(reasons, settings.max_failed, n_named)
    return Counter(picture.status for picture in pictures)


def pack_nothing(n_items: int, output: Path) -> Counter[str]:
    """Write the table of a dataset whose pictures nobody reads; see `pack`."""
    with replacing(output) as partial:
        write_pictures((Picture(MISSING, reason=NOT_READ) for _ in range(n_items)), partial)
    return Counter({MISSING: n_items})


def _forget_broken(pictures: Iterable[Picture], kept: Path) -> None:
    """Delete what came as no picture, such as a log-in page: next time it may be one."""
    for picture in pictures:
        if picture.status == BROKEN and picture.place and is_address(picture.place):
            kept_file(kept, picture.place).unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> None:
    """Read the items, fetch and pack their pictures."""
    arguments = parser("images", __doc__)
    arguments.add_argument("dataset", help="a name under `sources` in params.yaml")
    arguments.add_argument("raw", type=Path, help="data/raw/<dataset>")
    arguments.add_argument("processed", type=Path, help="data/processed/<dataset>")
    arguments.add_argument("output", type=Path, help="data/images/<dataset>.parquet")
    args = arguments.parse_args(argv)

    settings = params.load()
    settings.source(args.dataset)
    items = read_parquet(args.processed / ITEMS_FILE, ITEMS).sort(ITEM)
    if any(one.field == IMAGE for one in settings.dataset_features(args.dataset).values()):
        places = items[IMAGE].to_list()
        counts = pack(places, args.raw, WORK / args.dataset, args.output, settings.images)
    else:
        counts = pack_nothing(items.height, args.output)
    log.info("%s: %s", args.output, ", ".join(f"{n} {status}" for status, n in counts.items()))


if __name__ == "__main__":
    run(main)
