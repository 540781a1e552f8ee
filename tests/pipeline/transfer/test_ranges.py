"""One file over several connections."""

import pytest
from web_cases import CONTENT, a_file, fetch, serving

from pipeline.transfer import ranges

PIECE = 32_768
ALL = {
    f"bytes={first}-{min(first + PIECE, len(CONTENT)) - 1}"
    for first in range(0, len(CONTENT), PIECE)
}


@pytest.fixture
def server(monkeypatch):
    """A server that gives ranges, of which even small ones are worth it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(ranges, "RANGE", PIECE)
    monkeypatch.setattr(ranges, "SMALLEST", 2 * PIECE)
    with serving() as running:
        running.tells_ranges = True
        yield running


def together(server, tmp_path, connections=4, **options):
    return fetch(a_file(server.url()), tmp_path, connections=connections, **options)


def test_ranges_come_over_several_connections_and_make_the_same_bytes(server, tmp_path):
    server.pace = 0.005

    assert together(server, tmp_path).read_bytes() == CONTENT

    assert server.asked()[0] is None
    assert sorted(server.asked()[1:]) == sorted(ALL)
    assert {request["If-Range"] for request in server.requests[1:]} == {'"v1"'}
    assert 2 <= server.most_at_once <= 5  # the first may not have noticed yet that it is over
    assert {path.name for path in tmp_path.iterdir()} == {"file.bin.part", "file.bin.part.json"}


@pytest.mark.parametrize(
    "how",
    [
        {"tells_ranges": False},
        {"tag": 'W/"v1"'},
        {"tag": ""},
        {"content": CONTENT[: 2 * PIECE - 1]},
        {"told_length": -1},
    ],
    ids=["no ranges", "weak version", "no version", "small", "no length"],
)
def test_a_file_that_is_not_sure_to_stay_itself_comes_in_one_piece(server, tmp_path, how):
    for name, value in how.items():
        setattr(server, name, value)

    part = fetch(a_file(server.url(), content=server.content), tmp_path, connections=4)

    assert part.read_bytes() == server.content
    assert server.asked() == [None]


def test_one_connection_asks_for_no_ranges(server, tmp_path):
    together(server, tmp_path, connections=1)

    assert server.asked() == [None]


def test_a_server_that_promises_ranges_and_gives_none_sends_the_whole(server, tmp_path):
    server.ranges = False

    assert together(server, tmp_path).read_bytes() == CONTENT


def test_dropped_lines_cost_only_what_had_not_come(server, tmp_path):
    server.drops = [8192, 10_000, 20_000, 30_000, 5_000]

    assert together(server, tmp_path).read_bytes() == CONTENT

    asked = {request for request in server.asked() if request}
    assert len(asked - ALL) >= 1  # the rest of a range
    assert not (tmp_path / "file.bin.ranges").exists()


def test_a_later_run_fetches_only_what_is_missing(server, tmp_path):
    server.breaks_after = 7
    assert together(server, tmp_path, retries=0) is None
    lines = (tmp_path / "file.bin.ranges.done").read_text().split("\n")[:-1]
    had = {f"bytes={line.split()[0]}-{int(line.split()[1]) - 1}" for line in lines}
    server.breaks_after = None
    server.requests.clear()

    assert together(server, tmp_path, retries=0).read_bytes() == CONTENT

    assert 0 < len(had) < len(ALL)
    assert set(server.asked()) == ALL - had


def interrupted(server, tmp_path):
    server.breaks_after = 7
    assert together(server, tmp_path, retries=0) is None
    server.breaks_after = None
    server.requests.clear()


@pytest.mark.parametrize("honours", [True, False], ids=["If-Range", "ETag of the answer"])
def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server, tmp_path, honours):
    interrupted(server, tmp_path)
    server.content, server.tag, server.honours_if_range = b"new" + CONTENT, '"v2"', honours

    part = fetch(a_file(server.url(), content=server.content), tmp_path, connections=4)

    assert part.read_bytes() == b"new" + CONTENT


def test_ranges_of_another_address_are_not_continued(server, tmp_path):
    interrupted(server, tmp_path)

    part = fetch(a_file(server.url("other.bin")), tmp_path, connections=4)

    assert part.read_bytes() == CONTENT
    assert server.asked()[0] is None
    assert {request[""] for request in server.requests} == {"/other.bin"}


def test_ranges_are_continued_over_one_connection_too(server, tmp_path):
    interrupted(server, tmp_path)

    assert together(server, tmp_path, connections=1).read_bytes() == CONTENT
    assert None not in server.asked()


@pytest.mark.parametrize(
    "journal",
    [
        "0 32768\n32768 655",
        "0 32768\nno range\n",
        "0 40000\n32768 65536\n",
        "0 9999999\n",
        "-1 5\n",
    ],
    ids=["cut short", "no range", "overlapping", "too long", "negative"],
)
def test_a_damaged_journal_does_no_harm(server, tmp_path, journal):
    """Of one that is cut short the whole lines count; of a senseless one, nothing."""
    interrupted(server, tmp_path)
    (tmp_path / "file.bin.ranges.done").write_text(journal)
    with (tmp_path / "file.bin.ranges").open("r+b") as file:
        file.write(CONTENT[:PIECE])

    assert together(server, tmp_path).read_bytes() == CONTENT


def test_bytes_that_are_not_what_the_journal_says_are_fetched_again(server, tmp_path):
    """As after a power cut on a disk that lies about what it has written."""
    interrupted(server, tmp_path)
    (tmp_path / "file.bin.ranges").write_bytes(bytes(len(CONTENT)))

    assert together(server, tmp_path).read_bytes() == CONTENT


def test_ranges_of_lines_that_are_turned_away_are_left_to_the_others(server, tmp_path):
    """Of the ranges that are asked for at once the server gives one, and answers 429 else."""
    server.only_one, server.pace = True, 0.002

    assert together(server, tmp_path).read_bytes() == CONTENT

    assert server.turned_away
