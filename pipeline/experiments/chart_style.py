"""Colours and style of the experiments' figures."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = (
    "#0b6bcb",
    "#c2410c",
    "#0a7d4f",
    "#a21caf",
    "#856404",
    "#0e7490",
    "#be123c",
    "#4b5563",
)
INK, SOFT, SHADE = "#1d2125", "#59626b", "#f1f2f4"
# Letters as outlines look the same everywhere; the salt makes the ids of the SVG repeatable.
STYLE: Any = {
    "svg.hashsalt": "study",
    "svg.fonttype": "path",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def svg(figure: Figure, **options: Any) -> str:
    """Return a figure as SVG; the same figure gives the same text."""
    with mpl.rc_context(STYLE):
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, **options)
    return text.getvalue()
