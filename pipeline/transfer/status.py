"""What an HTTP status means for a download, and how long to wait before the next attempt.

Raw files and pictures share it: which statuses are worth a retry, the header `Retry-After`,
pauses that grow, the errors of an address, and addresses without passwords.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

# Time-out, too early, too many requests (RFC 9110, 8470, 6585); every 5xx is temporary too.
TEMPORARY = {408, 425, 429}
BUSY = {429, 503}  # too many requests, unavailable: about the host, not one address
LONGEST_WAIT = 300.0  # seconds; a server that asks for more is not asked again in this run
# A user name and password before a host, also where slashes or the scheme were forgotten.
USER = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?/{1,2}|)[^/?#]*@")
QUERY = re.compile(r"(?:[?#]|[&;][^/=]*=).*", re.DOTALL)
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds; each pause is twice the one before


class Unavailable(Exception):  # noqa: N818 (the reason for a missing file, not a bug)
    """A file or a picture is unavailable; the message says why."""


class Refused(Unavailable):
    """The address will not give the file in this run."""


class TemporaryFailure(Unavailable):
    """Retry after `pause` seconds or more."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


def check_status(code: int, pause: float = 0.0) -> None:
    """Raise unless a status is a success.

    Args:
        code: HTTP status; redirects are followed before.
        pause: seconds that the server asks to wait, see `requested_pause`.

    Raises:
        TemporaryFailure: worth a retry after the pause.
        Refused: not worth one, or the pause is longer than `LONGEST_WAIT`.
    """
    if code in TEMPORARY or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if pause > LONGEST_WAIT:
            raise Refused(f"HTTP {code} with Retry-After {pause:.0f} s")
        raise TemporaryFailure(f"HTTP {code}", pause)
    if not HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        raise Refused(f"HTTP {code}")


def requested_pause(headers: Mapping[str, str]) -> float:
    """Return the seconds that a response asks to wait; 0 if it does not ask."""
    return retry_after(headers.get("Retry-After", ""), datetime.now(UTC))


def retry_after(value: str, now: datetime) -> float:
    """Return the seconds that a header `Retry-After` asks to wait (RFC 9110, 10.2.3).

    Args:
        value: a number of seconds or an HTTP date.
        now: with a time zone.

    Returns:
        At least 0; 0 if the value is neither.
    """
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
        return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def growing_pause(failures: int, first: float) -> float:
    """Return the seconds to wait after `failures` + 1 failed attempts in a row."""
    return min(first * 2.0**failures, LONGEST_PAUSE)


def without_credentials(url: str) -> str:
    """Return an address for logs, messages and notes: without what may be secret.

    That is a user name and password, a query and a fragment, such as `?token=` or a signature.
    """
    return QUERY.sub("", USER.sub(r"\1", url, count=1), count=1)


def reason(error: Exception, url: str) -> str:
    """Return the class and message of a library's error about an address.

    The class alone if the address has secret parts, which the message may repeat.
    """
    message = str(error) if without_credentials(url) == url else ""
    return f"{type(error).__name__}: {message}".rstrip(": ")
