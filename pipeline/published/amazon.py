"""Files of the Amazon review dumps of 2014, 2018 and 2023: one of reviews, one of metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.published.raw_file import RawFile

Source = params.AmazonSource | params.Amazon2023Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Dump:
    """Where one year's files are; in paths, `{}` is the category."""

    servers: tuple[str, ...]  # official one first
    reviews: Mapping[str, str]  # variant -> path below a server
    metadata: str  # likewise


DUMPS = {
    # The lab's present server, then the one that the dump was first published on, which is
    # known to answer http when https fails.
    "amazon2014": Dump(
        servers=(
            "https://mcauleylab.ucsd.edu/public_datasets/data/amazon/categoryFiles",
            "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles",
            "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles",
        ),
        reviews={"5core": "reviews_{}_5.json.gz", "full": "reviews_{}.json.gz"},
        metadata="meta_{}.json.gz",
    ),
    # The lab's present server first, then the addresses that older descriptions give.
    "amazon2018": Dump(
        servers=(
            "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2",
            "https://datarepo.eng.ucsd.edu/mcauley_group/data/amazon_v2",
            "https://jmcauley.ucsd.edu/data/amazon_v2",
        ),
        reviews={
            "5core": "categoryFilesSmall/{}_5.json.gz",
            "full": "categoryFiles/{}.json.gz",
        },
        metadata="metaFiles2/meta_{}.json.gz",
    ),
    # The lab's present server, then the one that the dataset's card names.
    "amazon2023": Dump(
        servers=(
            "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023",
            "https://datarepo.eng.ucsd.edu/mcauley_group/data/amazon_2023",
        ),
        reviews={
            "5core": "benchmark/5core/rating_only/{}.csv.gz",
            "full": "raw/review_categories/{}.jsonl.gz",
        },
        metadata="raw/meta_categories/meta_{}.jsonl.gz",
    ),
}


def files(source: Source) -> list[RawFile]:
    """Return the category's review file and metadata file."""
    metadata = PurePosixPath(DUMPS[source.format].metadata).with_name(metadata_name(source))
    return [_file(source, _reviews(source)), _file(source, metadata)]


def reviews_name(source: Source) -> str:
    """Return the name of the review file."""
    return _reviews(source).name


def metadata_name(source: Source) -> str:
    """Return the name of the metadata file: the published one unless params name another."""
    published = PurePosixPath(DUMPS[source.format].metadata.format(source.category))
    name = source.metadata or published.name
    if Path(name).name != name or name.startswith("."):
        raise ParamsError(f"params.yaml: sources: metadata: expected a file name, got {name!r}")
    return name


def _reviews(source: Source) -> PurePosixPath:
    return PurePosixPath(DUMPS[source.format].reviews[source.reviews].format(source.category))


def _file(source: Source, path: PurePosixPath) -> RawFile:
    servers = DUMPS[source.format].servers
    return RawFile(name=path.name, urls=tuple(f"{server}/{path}" for server in servers))
