from datetime import UTC, datetime

import pytest

from pipeline.transfer.status import (
    Refused,
    TemporaryFailure,
    check_status,
    growing_pause,
    reason,
    requested_pause,
    retry_after,
    without_credentials,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("", 0),
        ("-5", 0),
        ("soon", 0),
        ("²", 0),
        ("9" * 400, float("inf")),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after(value, NOW) == seconds


def test_a_response_without_the_header_asks_for_no_pause():
    assert requested_pause({}) == 0
    assert requested_pause({"Retry-After": "7"}) == 7


@pytest.mark.parametrize("code", [200, 204, 206])
def test_a_success_raises_nothing(code):
    check_status(code)


@pytest.mark.parametrize("code", [408, 425, 429, 500, 503, 599])
def test_a_temporary_failure_carries_the_pause(code):
    with pytest.raises(TemporaryFailure, match=f"^HTTP {code}$") as raised:
        check_status(code, 300)

    assert raised.value.pause == 300


@pytest.mark.parametrize("code", [304, 400, 403, 404, 410])
def test_any_other_status_is_a_refusal(code):
    with pytest.raises(Refused, match=f"^HTTP {code}$"):
        check_status(code)


def test_a_server_that_asks_for_more_than_the_longest_wait_refuses():
    with pytest.raises(Refused, match=r"^HTTP 429 with Retry-After 301 s$"):
        check_status(429, 301)


def test_pauses_double_and_are_bounded():
    pauses = [growing_pause(failures, first=0.5) for failures in range(9)]

    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@host/a@b", "http://host/a@b"),
        ("http://me:se@cret@host:8/a", "http://host:8/a"),
        ("https://token@host/a?token=secret&key=b#c", "https://host/a"),
        ("https://host/a#secret", "https://host/a"),
        ("https://host/a;sig=secret/b", "https://host/a"),
        ("host/m&key=secret", "host/m"),
        ("me:secret@host/a", "host/a"),
        ("http:me:secret@host/a", "host/a"),
        ("https:/me:secret@host", "https:/host"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("s3://bucket/a b/c", "s3://bucket/a b/c"),
        ("file:///a@b/c", "file:///a@b/c"),
        ("/srv/a@b/c", "/srv/a@b/c"),
    ],
)
def test_nothing_secret_of_an_address_is_shown(url, shown):
    assert without_credentials(url) == shown


def test_an_error_may_repeat_an_address_only_if_it_has_no_secrets():
    error = OSError("no bucket key:secret@bucket")

    assert reason(error, "s3://key:secret@bucket/a") == "OSError"
    assert reason(error, "s3://bucket/a") == "OSError: no bucket key:secret@bucket"
