import io
import logging
import sys
import time

import pytest

from pipeline.job import progress
from pipeline.job.progress import Bar, shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


def streams(monkeypatch, out, err):
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)


@pytest.mark.parametrize("terminal", ["stdout", "stderr"])
def test_a_bar_is_drawn_on_the_stream_that_is_a_terminal_and_removed(monkeypatch, terminal):
    """An engine sends standard error to a file, and a person may send standard output."""
    files = {"stdout": io.StringIO(), "stderr": io.StringIO()} | {terminal: Terminal()}
    streams(monkeypatch, files["stdout"], files["stderr"])

    with Bar(total=2, desc="sample", ncols=60) as bar:
        time.sleep(progress.ON_TERMINAL + 0.1)
        bar.update(1)

    drawn = {name: file.getvalue() for name, file in files.items()}
    assert "sample:  50%" in drawn.pop(terminal)
    assert set(drawn.values()) == {""}


def test_without_a_terminal_the_log_has_a_line_of_the_last_state(monkeypatch, caplog):
    out, err = io.StringIO(), io.StringIO()
    streams(monkeypatch, out, err)

    with caplog.at_level(logging.INFO), Bar(total=3, desc="sample", unit="image") as bar:
        bar.update(3)
    with caplog.at_level(logging.INFO), Bar(total=3, desc="nothing"):
        pass

    (message,) = {record.getMessage() for record in caplog.records}
    assert message.startswith("sample: 100%")
    assert "3/3" in message
    assert (out.getvalue(), err.getvalue()) == ("", "")


def test_the_clock_of_the_innermost_bar_moves_while_its_counter_does_not(monkeypatch):
    terminal = Terminal()
    streams(monkeypatch, io.StringIO(), terminal)
    monkeypatch.setattr(progress, "HEARTBEAT", 0.05)

    with shown("train sample mcln"):
        time.sleep(0.3)
        alone = terminal.getvalue()
        with Bar(total=2, desc="epochs"):
            time.sleep(0.3)

    assert alone.count("train sample mcln") >= 3
    inside = terminal.getvalue()[len(alone) :]
    assert inside.count("epochs:   0%") >= 3
    assert progress._open == []
