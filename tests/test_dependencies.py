"""What is installed: pinned, with hashes, under licences that somebody has read."""

from __future__ import annotations

import re
from email.message import Message
from importlib.metadata import Distribution

import pytest
from packaging.utils import canonicalize_name
from paths import ROOT

from pipeline.job.errors import PipelineError
from workflow import licences

PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")
LOCK = (ROOT / "requirements.lock").read_text()
INSTALLED = licences.installed()


def pins(text: str) -> dict[str, str]:
    found = (PIN.match(line) for line in text.splitlines())
    return {canonicalize_name(m[1]): m[2] for m in found if m}


CONSTRAINTS = pins((ROOT / "constraints.txt").read_text())


def test_everything_that_is_installed_is_pinned():
    """A local build such as 2.14.1+cpu is of the version before the plus."""
    wrong = [
        f"{name}=={package.version}"
        for name, package in INSTALLED.items()
        if CONSTRAINTS.get(name) != package.version.partition("+")[0]
    ]

    assert sorted(wrong) == [], "see CONTRIBUTING.md, Dependencies"


def test_the_lock_has_the_pinned_versions_with_hashes():
    locked = {}
    for entry in re.split(r"\n(?=\S)", LOCK):
        if PIN.match(entry):
            locked |= pins(entry)
            assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry

    assert {name: locked.get(name) for name in CONSTRAINTS} == CONSTRAINTS


@pytest.mark.parametrize("name", ["constraints.txt", "requirements.lock"])
def test_no_index_is_named(name):
    """Where packages come from is the user's own setting."""
    assert not re.search(r"://|^\s*-[if]|--(?:extra-)?index", (ROOT / name).read_text(), re.M)


def test_every_base_image_is_named_by_its_digest():
    images = re.findall(r"^FROM (\S+)", (ROOT / "Containerfile").read_text(), re.M)

    assert images
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in images)


def test_every_installed_licence_is_accepted_and_listed():
    rows = licences.rows(INSTALLED.values())
    page = (ROOT / "docs/licences.md").read_text()

    assert licences.surprises(INSTALLED.values()) == []
    absent = [name for name, *_ in rows if f"\n| {name} | " not in page]
    assert absent == [], "python -m workflow.licences docs/licences.md"


class Package(Distribution):
    """A package that states some metadata."""

    def __init__(self, name: str, **metadata: str) -> None:
        self.stated = Message()
        for key, value in ({"Name": name, "Version": "1.0"} | metadata).items():
            self.stated[key.replace("_", "-")] = value

    @property
    def metadata(self):
        return self.stated

    def read_text(self, filename):
        return None

    def locate_file(self, path):
        return path


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"License_Expression": "MIT"}, "permissive"),
        ({"License_Expression": "MPL-2.0 AND (Apache-2.0 OR MIT)"}, "weak copyleft"),
        ({"License_Expression": "GPL-3.0-only OR MIT"}, "permissive"),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, "surprise"),
        ({"License_Expression": "(MIT OR BSD-3-Clause) AND AGPL-3.0-only"}, "surprise"),
        ({"License_Expression": "LGPL-3.0-or-later"}, "weak copyleft"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "permissive"),
        (
            {"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"},
            "surprise",
        ),
        ({"License": "Apache 2.0"}, "permissive"),
        ({"License": "Commercial, ask us"}, "surprise"),
        ({"License": "UNKNOWN"}, "surprise"),
        ({}, "surprise"),
    ],
)
def test_a_licence_that_nobody_has_accepted_is_a_surprise(metadata, kind):
    package = Package("theirs", **metadata)

    assert licences.rows([package])[0][3] == kind
    lines = licences.surprises([package])
    assert [line.split(":")[0] for line in lines] == ["theirs 1.0"] * (kind == "surprise")


def test_a_surprise_stops_the_list_by_name(tmp_path, monkeypatch):
    theirs = {"theirs": Package("theirs", License="GPLv3")}
    monkeypatch.setattr(licences, "installed", lambda: theirs)

    with pytest.raises(PipelineError, match=r"got\n  theirs 1\.0: GPLv3\n.*REVIEWED"):
        licences.main([str(tmp_path / "licences.md")])

    assert not (tmp_path / "licences.md").exists()
