"""Stage `images`: pack every item's picture into one file.

    data/processed/<dataset>/items.parquet, data/raw/<dataset>/, addresses on the web
        -> data/images/<dataset>.parquet

One row per item, ascending. `status` is `ok` (the bytes are a whole picture in JPEG, PNG, GIF,
WEBP, BMP or TIFF), `missing` (the item names none, or it is unavailable) or `broken` (what
arrived is not a picture); `source` says where the bytes came from or why there are none. One
bad picture never stops the stage; more than `images.max_failed` of them do. Those that failed
are listed in .work/images/<dataset>/ledger.csv, each with its reason.

The column `image` of the items is an http(s) address, or a path below data/raw/<dataset>, which
may lead into an archive: pictures.zip/a/b.jpg, likewise in .tar, .tar.gz and .tgz.
Fetched pictures are kept in .work/images/<dataset>/, packed, so that a stage that was stopped
is resumed; the folder may be deleted at any time. A dataset without features that read images
gets a table without pictures, and nothing is fetched.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.job.progress import Bar
from pipeline.params import Images
from pipeline.pictures.archives import Archives, below
from pipeline.pictures.fetch import fetch
from pipeline.pictures.hosts import is_address
from pipeline.pictures.store import Store
from pipeline.pictures.table import (
    BROKEN,
    MISSING,
    OK,
    Picture,
    too_large,
    too_many_failed,
    write_ledger,
    write_pictures,
)
from pipeline.tables.io import read_parquet, replacing
from pipeline.tables.pictures import open_rgb
from pipeline.tables.schema import IMAGE, ITEM, ITEMS, ITEMS_FILE
from pipeline.transfer.status import Unavailable

WORK = Path(".work/images")
LEDGER_FILE = "ledger.csv"  # in the dataset's folder below WORK
NOT_READ = "not read by any feature of this dataset"
NO_PICTURE = "the item names no picture"
CHECKED_AT_ONCE = 32  # pictures; bounds the memory of decoding
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """All places that an item's column `image` can name.

    Args:
        raw: data/raw/<dataset>.
        store: the fetched pictures, open.
        failures: address -> reason of those that could not be fetched.
        archives: those below `raw`, open.
        max_megabytes: a larger picture is not read.
    """

    raw: Path
    store: Store
    failures: Mapping[str, str]
    archives: Archives
    max_megabytes: float

    def read(self, place: str) -> bytes:
        """Return a picture's bytes.

        Raises:
            Unavailable: there are none.
            RawDataError: they are damaged in their archive, or where they were kept.
        """
        if place in self.failures:
            raise Unavailable(self.failures[place])
        if is_address(place):
            data = self.store.read(place)
            if len(data) > self.max_megabytes * 1e6:  # kept under another limit
                raise Unavailable(too_large(self.max_megabytes))
            return data
        if place in self.archives:
            return self.archives.read(place)
        try:
            return self._file(place).read_bytes()
        except (OSError, ValueError) as error:  # a name too long, a null byte, no permission
            raise Unavailable(f"not to be read ({type(error).__name__})") from error

    def _file(self, place: str) -> Path:
        file = below(self.raw, place)
        if not file.is_file():
            raise Unavailable("no such file")
        if file.stat().st_size > self.max_megabytes * 1e6:
            raise Unavailable(too_large(self.max_megabytes))
        return file


def checked_picture(place: str | None, places: Places) -> Picture:
    """Return one item's picture, after decoding it once.

    Args:
        place: the item's column `image`.
        places: where to read it.
    """
    if not place:
        return Picture(MISSING, reason=NO_PICTURE)
    try:
        data = places.read(place)
        return Picture(OK, place, data=data, size=open_rgb(data).size)
    except Unavailable as error:
        return Picture(MISSING, place, str(error))
    except RawDataError as error:
        return Picture(BROKEN, place, str(error))


def checked_pictures(column: Sequence[str | None], places: Places) -> Iterator[Picture]:
    """Yield `checked_picture` of every place, in order; threads decode, a few at a time."""
    bar = Bar(total=len(column), unit="image", desc="check")
    with bar, ThreadPoolExecutor() as pool:
        for first in range(0, len(column), CHECKED_AT_ONCE):
            chunk = column[first : first + CHECKED_AT_ONCE]
            for picture in pool.map(lambda place: checked_picture(place, places), chunk):
                bar.update()
                yield picture


def pack(
    column: Sequence[str | None], raw: Path, work: Path, output: Path, settings: Images
) -> Counter[str]:
    """Fetch, check and write the pictures of all items.

    Args:
        column: `image`, items ascending.
        raw: data/raw/<dataset>.
        work: the folder for fetched pictures and the ledger.
        output: data/images/<dataset>.parquet.
        settings: the section `images` of params.yaml.

    Returns:
        The number of items per status.

    Raises:
        NotWritten: a file cannot be written.
        RawDataError: more than `max_failed` of the pictures are missing or broken.
    """
    n_named, ledger = sum(bool(place) for place in column), work / LEDGER_FILE
    addresses = dict.fromkeys(place for place in column if place and is_address(place))
    failures, is_stopped = fetch(addresses, work, settings, n_named)
    if is_stopped:
        rows = [Picture(MISSING, place, failures.get(place or "", "")) for place in column]
        failed = _write_failed(rows, ledger)
        raise too_many_failed(failed, settings.max_failed, n_named, ledger)
    with (
        Archives(column, raw, work, settings.max_megabytes) as archives,
        Store(work) as store,
        replacing(output) as partial,
    ):
        places = Places(raw, store, failures, archives, settings.max_megabytes)
        pictures = write_pictures(checked_pictures(column, places), partial)
        # What is no picture, such as a log-in page, is fetched again by the next run.
        broken = (picture.place for picture in pictures if picture.status == BROKEN)
        store.forget(place for place in broken if place and is_address(place))
        failed = _write_failed(pictures, ledger)
        if len(failed) > settings.max_failed * n_named:
            raise too_many_failed(failed, settings.max_failed, n_named, ledger)
    return Counter(picture.status for picture in pictures)


def pack_nothing(n_items: int, output: Path) -> Counter[str]:
    """Write the table of a dataset whose features read no pictures; see `pack`."""
    with replacing(output) as partial:
        write_pictures((Picture(MISSING, reason=NOT_READ) for _ in range(n_items)), partial)
    return Counter({MISSING: n_items})


def _write_failed(pictures: Iterable[Picture], ledger: Path) -> list[Picture]:
    """Write the rows of items that name a picture and have none to the ledger; return them."""
    rows = enumerate(pictures)
    failed = {item: picture for item, picture in rows if picture.place and picture.reason}
    write_ledger(failed, ledger)
    return list(failed.values())


def main(argv: list[str] | None = None) -> None:
    """Read the items, fetch and pack their pictures."""
    arguments = parser(__doc__, "dataset", "raw", "processed")
    arguments.add_argument("output", type=Path, help="data/images/<dataset>.parquet")
    args = arguments.parse_args(argv)

    settings = params.load().of(args.dataset)
    settings.source(args.dataset)
    items = read_parquet(args.processed / ITEMS_FILE, ITEMS).sort(ITEM)
    if settings.reads_images(args.dataset):
        column = items[IMAGE].to_list()
        counts = pack(column, args.raw, WORK / args.dataset, args.output, settings.images)
    else:
        counts = pack_nothing(items.height, args.output)
    log.info("%s: %s", args.output, ", ".join(f"{n} {status}" for status, n in counts.items()))


if __name__ == "__main__":
    run(main)
