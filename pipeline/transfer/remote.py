"""Files at addresses that are not http: `file:`, and the object stores `s3:` and `gs:`.

The work is fsspec's. Keys and end points of a store come from where its own client looks for
them: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ~/.aws; GOOGLE_APPLICATION_CREDENTIALS. A part of
`fetch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.job.errors import RawDataError
from pipeline.transfer.answers import Changed, Interrupted, Refused
from pipeline.transfer.ranges import Origin

EXTRAS = {"s3": "s3", "gs": "gs"}  # scheme -> the extra of this project that has its client
SCHEMES = ("file", *EXTRAS)
PIECE = 1 << 20  # bytes of a range that are handed on at once


def is_remote(url: str) -> bool:
    """Tell an address that this module reads from an http one."""
    return _scheme(url) in SCHEMES


def origin(url: str) -> Origin:
    """Return the file at an address.

    Raises:
        RawDataError: the store's client is not installed.
        Refused: there is no such file, or we may not read it.
        Interrupted: the store does not answer, or not now.
    """
    store, path = _store(url)
    try:
        info, version = store.info(path), store.ukey(path)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise Refused(f"{type(error).__name__}: {error}") from error
    # The clients raise nearly anything: OSError, their own errors, those of their own clients.
    except Exception as error:
        raise Interrupted(f"{type(error).__name__}: {error}") from error
    if info["type"] != "file":
        raise Refused("no such file, but a folder")

    def read(first: int, end: int) -> Iterator[bytes]:
        try:
            data = store.cat_file(path, start=first, end=end)
            same = store.ukey(path) == version
        except FileNotFoundError as error:
            raise Changed from error
        except Exception as error:
            raise Interrupted(f"{type(error).__name__}: {error}") from error
        if not same:
            raise Changed
        yield from (data[at : at + PIECE] for at in range(0, len(data), PIECE))

    return Origin(url, version, info["size"], read)


def is_folder(url: str) -> bool:
    """Tell whether there is something below an address; False where nobody can tell."""
    if not is_remote(url):  # also '', and http, which has no folders
        return False
    store, path = _store(url)
    try:
        return bool(store.isdir(path))
    except Exception:  # the files' own addresses say what is wrong with the store
        return False


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _store(url: str) -> tuple[Any, str]:
    import fsspec  # only who uses such an address pays for it

    try:
        # Nothing is remembered from an earlier call: a file may change while it is fetched.
        return fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        extra = EXTRAS.get(_scheme(url), "")
        raise RawDataError(
            f"{url}: {error}. Install its client: pip install -e '.[{extra}]'"
        ) from error
