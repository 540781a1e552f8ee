"""Fixtures of the tests about pictures."""

import pytest
from picture_cases import serving

from pipeline.pictures import hosts as picture_hosts
from pipeline.transfer import status


@pytest.fixture
def impatient(monkeypatch):
    """Make pauses short, and ask no proxy."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(status, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(picture_hosts, "FIRST_GAP", 0.02)


@pytest.fixture
def server(impatient):
    with serving() as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
