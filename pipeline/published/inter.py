"""Files of a published benchmark: the interactions, and the features beside them."""

from __future__ import annotations

from pipeline import params
from pipeline.published.raw_file import RawFile
from pipeline.published.tables import own_file


def files(source: params.InterSource) -> list[RawFile]:
    """Return the interactions, and the other files that the source lists."""
    return [own_file(name) for name in (source.interactions, *source.files)]
