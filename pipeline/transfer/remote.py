"""Files at addresses that are not http: `file:`, and the object stores `s3:` and `gs:`.

Read by fsspec. Keys and end points of a store come from where its own client looks for them:
AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ~/.aws; GOOGLE_APPLICATION_CREDENTIALS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.job.errors import RawDataError
from pipeline.transfer.ranges import Changed, Origin
from pipeline.transfer.status import (
    Refused,
    TemporaryFailure,
    reason,
    without_credentials,
)

EXTRAS = {"s3": "s3", "gs": "gs"}  # scheme -> the extra of this project that has its client
SCHEMES = ("file", *EXTRAS)
CHUNK = 1 << 20  # bytes of a range that are yielded at once


def is_remote(url: str) -> bool:
    """Whether this module reads an address; http is read elsewhere."""
    return _scheme(url) in SCHEMES


def origin(url: str) -> Origin:
    """Return the file at an address.

    Raises:
        RawDataError: the store's client is not installed.
        Refused: there is no such file, or it may not be read.
        TemporaryFailure: the store does not answer, or not now.
    """
    store, path = _store(url)
    try:
        info, version = store.info(path), store.ukey(path)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise Refused(reason(error, url)) from error
    # The clients raise nearly anything: OSError, their own errors, those of their own clients.
    except Exception as error:
        raise TemporaryFailure(reason(error, url)) from error
    if info["type"] != "file":
        raise Refused("expected a file, got a folder")

    def read(first: int, end: int) -> Iterator[bytes]:
        try:
            data = store.cat_file(path, start=first, end=end)
            is_same = store.ukey(path) == version
        except FileNotFoundError as error:
            raise Changed from error
        except Exception as error:
            raise TemporaryFailure(reason(error, url)) from error
        if not is_same:
            raise Changed
        yield from (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))

    return Origin(url, version, info["size"], read)


def is_folder(url: str) -> bool:
    """Whether there is something below an address; False where that cannot be known."""
    if not is_remote(url):  # also '', and http, which has no folders
        return False
    store, path = _store(url)
    try:
        return bool(store.isdir(path))
    except Exception:  # an error of the store is reported for the files' own addresses
        return False


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _store(url: str) -> tuple[Any, str]:
    import fsspec  # slow to import, and needed for such addresses only

    try:
        # Without caches: a file may change while it is fetched.
        return fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        extra = EXTRAS.get(_scheme(url), "")
        raise RawDataError(
            f"{without_credentials(url)}: {error}. Install its client: "
            f"pip install -e '.[{extra}]'"
        ) from error
