"""A tiny dataset with one model, for the tests of pages; one title is hostile."""

from io import BytesIO

import polars as pl
from PIL import Image

from pipeline import params
from pipeline.pages.gallery import Material
from pipeline.tables import schema as s

HOSTILE = '<script>alert(\'x\')</script> " onload="y" \u0000 https://example.org'
TITLES = [HOSTILE, "Red bag", None, "Blue bag", "Green bag", "Last bag"]


def table(rows, columns):
    return pl.DataFrame(rows, columns, orient="row")


def picture(colour="teal"):
    buffer = BytesIO()
    Image.new("RGB", (300, 150), colour).save(buffer, "PNG")
    return buffer.getvalue()


def material():
    train = [(0, 0, 86400), (1, 0, 0), (1, 1, 5), (1, 2, 9), (2, 1, 7), (2, 3, 8)]
    parts = {
        s.TRAIN: train,
        s.VALIDATION: [(0, 1, 86500), (1, 3, 11), (2, 4, 12)],
        s.TEST: [(0, 2, 90000), (1, 4, 12), (2, 5, 13)],
    }
    return Material(
        settings=params.load(),
        dataset="sample",
        statistics={
            "users": 3, "items": 6, "interactions": 12, "density": 0.5,
            "rounds": [{"users": 1234, "items": 20, "interactions": 40}],
        },
        items=table([(i, f"raw{i}", t, None, None) for i, t in enumerate(TITLES)], s.ITEMS),
        users=table([(0, "ann"), (1, "<b>bob"), (2, "eve")], s.USERS),
        parts={part: table(rows, s.INTERACTIONS) for part, rows in parts.items()},
        ranks={"m": table([(0, 2, 1, 1, 7), (1, 4, 30, 50, 7), (2, 5, 0, 0, 7)], s.RANKS)},
        histories={"m": table([("select", 5, 0.6, 0.2, 0.1, 0.1, "validation")], s.HISTORY)},
        lists={"m": table([(0, 0, 5, "5", 2.0), (0, 1, 2, "2", 1.0)], s.RECOMMENDATIONS)},
    )  # fmt: skip
