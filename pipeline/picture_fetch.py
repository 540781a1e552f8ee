"""Fetch many pictures at once, each into a file of its own, patiently and within limits.

Not a stage: what `images` does before it packs. A file has its final name only when it is
whole, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx
from tqdm import tqdm

from pipeline.errors import RawDataError
from pipeline.io import replacing
from pipeline.params import Images

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a retry; doubled each time
TIMEOUTS_PER_PICTURE = 10  # a server that sends a byte now and then is given up after these
# Answers that may be another the next time: request timeout, too early, too many requests.
TRY_AGAIN = {408, 425, 429}
UNREACHABLE = 50  # pictures without an answer, and none with: there is no network


class NotHad(Exception):  # noqa: N818 (a reason, caught at once)
    """Why one picture could not be had; `answered` unless no server did."""

    def __init__(self, reason: str, *, answered: bool = True) -> None:
        super().__init__(reason)
        self.answered = answered


def is_address(place: str) -> bool:
    """Tell an http(s) address from a path."""
    return place.lower().startswith(("http://", "https://"))


def kept_file(folder: Path, address: str) -> Path:
    """Return where the file fetched from an address is kept."""
    return folder / hashlib.sha256(address.encode()).hexdigest()


def fetch(
    addresses: Iterable[str], folder: Path, settings: Images, n_named: int
) -> dict[str, str]:
    """Fetch every address that is not in the folder yet.

    Args:
        addresses: http(s), each once.
        folder: where the files are kept, see `kept_file`.
        settings: the section `images` of params.yaml.
        n_named: items that name a picture, of which `max_failed` is a share.

    Returns:
        The reason for each address that could not be had.

    Raises:
        RawDataError: so many failed already that the rest need not be tried, or no server
            answers at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [address for address in addresses if not kept_file(folder, address).exists()]
    limits = httpx.Limits(max_connections=settings.connections)
    with (
        httpx.Client(follow_redirects=True, timeout=settings.timeout, limits=limits) as client,
        ThreadPoolExecutor(settings.connections) as pool,
    ):
        jobs = {
            pool.submit(_fetch_one, client, address, folder, settings): address
            for address in wanted
        }
        try:
            return _failures(jobs, settings.max_failed, n_named)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _failures(jobs: dict[Future[None], str], max_failed: float, n_named: int) -> dict[str, str]:
    """Wait for the jobs; return address -> reason of those that failed, or stop early."""
    failures: dict[str, str] = {}
    answered = False
    done = as_completed(jobs)
    for job in tqdm(done, total=len(jobs), unit="image", desc="fetch", mininterval=1):
        error = job.exception()
        if error is not None and not isinstance(error, NotHad):
            raise error
        answered = answered or error is None or error.answered
        if error is not None:
            failures[jobs[job]] = str(error)
        no_network = max_failed < 1 and not answered and len(failures) >= UNREACHABLE
        if no_network or len(failures) > max_failed * n_named:
            raise too_many_failed(failures.values(), max_failed, n_named)
    return failures


def too_many_failed(reasons: Iterable[str], max_failed: float, n_named: int) -> RawDataError:
    """Return the error that stops the stage, with counts and the commonest reasons."""
    counts = Counter(reasons)
    commonest = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common(3))
    return RawDataError(
        f"images: expected at most images.max_failed = {max_failed:g} of {n_named} pictures to "
        f"fail, got {counts.total()} failures so far: {commonest}. Mend the cause and run the "
        "stage again (what was fetched is kept), or raise images.max_failed"
    )


def _fetch_one(client: httpx.Client, address: str, folder: Path, settings: Images) -> None:
    """Fetch one address into the folder, or raise NotHad."""
    target = kept_file(folder, address)
    for attempt in range(settings.retries + 1):
        try:
            data = _get(client, address, settings)
        except httpx.TransportError as error:
            reason = NotHad(f"no answer ({type(error).__name__})", answered=False)
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            reason = NotHad(f"HTTP {code}")
            if code < 500 and code not in TRY_AGAIN:
                break
        except (httpx.RequestError, httpx.InvalidURL, ValueError) as error:
            reason = NotHad(f"not to be fetched ({type(error).__name__})", answered=False)
            break
        else:
            with replacing(target) as partial:
                partial.write_bytes(data)
            return
        if attempt < settings.retries:
            time.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))
    raise reason


def _get(client: httpx.Client, address: str, settings: Images) -> bytes:
    """Return the body of an answer, reading no more and no longer than is allowed."""
    chunks, size = [], 0
    until = time.monotonic() + TIMEOUTS_PER_PICTURE * settings.timeout
    with client.stream("GET", address) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > settings.max_megabytes * 1e6:
                raise NotHad(too_large(settings.max_megabytes))
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the bytes trickle in")
            chunks.append(chunk)
    return b"".join(chunks)


def too_large(max_megabytes: float) -> str:
    """Return the reason for a picture beyond the limit."""
    return f"more than images.max_megabytes = {max_megabytes:g}"
