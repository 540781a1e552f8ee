"""The header `Retry-After`, by which a server asks to be left alone for a while.

Not a stage: what `download` and `images` heed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 300.0  # seconds; a server that asks for more is left alone until the next run


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
