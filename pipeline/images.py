"""Pack every item's picture into one file.

    data/processed/<dataset>/items.parquet, data/raw/<dataset>/, addresses on the web
        -> data/images/<dataset>.parquet

One row per item, ascending. `status` is `ok` (the bytes are a whole picture in JPEG, PNG, GIF,
WEBP, BMP or TIFF), `missing` (the item names none, or it cannot be had) or `broken` (it came,
and is no picture); `source` says where the bytes came from or why there are none. One bad
picture never stops the stage; more than `images.max_failed` of them do. Those that failed are
listed in .work/images/<dataset>/ledger.csv, each with its reason.

The column `image` of the items is an http(s) address, or a path below data/raw/<dataset>, which
may lead into an archive: pictures.zip/a/b.jpg, likewise in .tar, .tar.gz and .tgz.
What was fetched is kept in .work/images/<dataset>/, packed, so that a stage that was stopped
goes on where it was; the folder may be deleted at any time. A dataset none of whose features
reads an image gets a table without pictures, and nothing is fetched.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.params import Images
from pipeline.pictures.archives import Archives
from pipeline.pictures.fetch import fetch, is_address
from pipeline.pictures.places import Places
from pipeline.pictures.store import Kept
from pipeline.pictures.table import (
    BROKEN,
    MISSING,
    OK,
    NotHad,
    Picture,
    too_many_failed,
    write_ledger,
    write_pictures,
    writing,
)
from pipeline.tables.io import read_parquet
from pipeline.tables.pictures import open_rgb
from pipeline.tables.schema import IMAGE, ITEM, ITEMS, ITEMS_FILE

WORK = Path(".work/images")
LEDGER_FILE = "ledger.csv"  # in the dataset's folder below WORK
NOT_READ = "not read by any feature of this dataset"
NO_PICTURE = "the item names no picture"
CHECKED_AT_ONCE = 32  # pictures; bounds the memory of decoding
log = logging.getLogger(__name__)


def look_at(place: str | None, places: Places) -> Picture:
    """Return one item's picture, checked to decode.

    Args:
        place: the item's column `image`.
        places: where it may be.
    """
    if not place:
        return Picture(MISSING, reason=NO_PICTURE)
    try:
        data = places.read(place)
        return Picture(OK, place, data=data, size=open_rgb(data).size)
    except NotHad as error:
        return Picture(MISSING, place, str(error))
    except RawDataError as error:
        return Picture(BROKEN, place, str(error))


def look_at_all(column: Sequence[str | None], places: Places) -> Iterator[Picture]:
    """Yield `look_at` of every place, in order; Pillow decodes in threads, a few at a time."""
    bar = tqdm(total=len(column), unit="image", desc="check", mininterval=1)
    with bar, ThreadPoolExecutor() as pool:
        for first in range(0, len(column), CHECKED_AT_ONCE):
            chunk = column[first : first + CHECKED_AT_ONCE]
            for picture in pool.map(lambda place: look_at(place, places), chunk):
                bar.update()
                yield picture


def pack(
    column: Sequence[str | None], raw: Path, kept: Path, output: Path, settings: Images
) -> Counter[str]:
    """Fetch, check and write the pictures of all items.

    Args:
        column: `image`, items ascending.
        raw: data/raw/<dataset>.
        kept: the folder for what is fetched and for the ledger.
        output: data/images/<dataset>.parquet.
        settings: the section `images` of params.yaml.

    Returns:
        The number of items per status.

    Raises:
        RawDataError: more than `max_failed` of the pictures are missing or broken, or a file
            cannot be written.
    """
    n_named = sum(bool(place) for place in column)
    addresses = dict.fromkeys(place for place in column if place and is_address(place))
    failures, stopped = fetch(addresses, kept, settings, n_named)
    if stopped:
        rows = [Picture(MISSING, place, failures.get(place or "", "")) for place in column]
        raise _too_many(rows, kept, settings, n_named)
    with (
        Archives(column, raw, kept, settings.max_megabytes) as archives,
        Kept(kept) as fetched,
        writing(output) as partial,
    ):
        places = Places(raw, fetched, failures, archives, settings.max_megabytes)
        pictures = write_pictures(look_at_all(column, places), partial)
        _forget_broken(pictures, fetched)
        if len(_failed(pictures)) > settings.max_failed * n_named:
            raise _too_many(pictures, kept, settings, n_named)
    write_ledger(_failed(pictures), kept / LEDGER_FILE)
    return Counter(picture.status for picture in pictures)


def pack_nothing(n_items: int, output: Path) -> Counter[str]:
    """Write the table of a dataset whose pictures nobody reads; see `pack`."""
    with writing(output) as partial:
        write_pictures((Picture(MISSING, reason=NOT_READ) for _ in range(n_items)), partial)
    return Counter({MISSING: n_items})


def _failed(pictures: Iterable[Picture]) -> dict[int, Picture]:
    """Return item -> row of those that name a picture and have none."""
    return {item: one for item, one in enumerate(pictures) if one.place and one.reason}


def _too_many(
    pictures: Iterable[Picture], kept: Path, settings: Images, n_named: int
) -> RawDataError:
    """Write the ledger; return the error that names it."""
    failed = _failed(pictures)
    write_ledger(failed, kept / LEDGER_FILE)
    return too_many_failed(failed.values(), settings.max_failed, n_named, kept / LEDGER_FILE)


def _forget_broken(pictures: Iterable[Picture], fetched: Kept) -> None:
    """Forget what came as no picture, such as a log-in page: next time it may be one."""
    broken = (picture.place for picture in pictures if picture.status == BROKEN)
    fetched.forget(place for place in broken if place and is_address(place))


def main(argv: list[str] | None = None) -> None:
    """Read the items, fetch and pack their pictures."""
    arguments = parser(__doc__, "dataset", "raw", "processed")
    arguments.add_argument("output", type=Path, help="data/images/<dataset>.parquet")
    args = arguments.parse_args(argv)

    settings = params.load()
    settings.source(args.dataset)
    items = read_parquet(args.processed / ITEMS_FILE, ITEMS).sort(ITEM)
    if any(one.field == IMAGE for one in settings.dataset_features(args.dataset).values()):
        column = items[IMAGE].to_list()
        counts = pack(column, args.raw, WORK / args.dataset, args.output, settings.images)
    else:
        counts = pack_nothing(items.height, args.output)
    log.info("%s: %s", args.output, ", ".join(f"{n} {status}" for status, n in counts.items()))


if __name__ == "__main__":
    run(main)
