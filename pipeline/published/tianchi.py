"""Files of Tianchi 231506, which are behind a log-in and have no address."""

from __future__ import annotations

from pipeline import params
from pipeline.published.raw_file import RawFile

PAGE = "https://tianchi.aliyun.com/competition/entrance/231506/information"
HISTORY, ITEMS_TEXT, MATCHES = (
    "user_bought_history.txt",
    "dim_items.txt",
    "dim_fashion_matchsets.txt",
)
PICTURES = "images"  # a folder
# Archives of pictures: one of the user's, and the four that were published, whose folders are
# called tianchi_fm_img2_1 and so on.
ARCHIVES = ("images.zip", *(f"tianchi_fm_img3_{n}.zip" for n in (1, 2, 3, 4)))


def files(source: params.TianchiSource) -> list[RawFile]:
    """Return the files; the matches and the archives of pictures are optional."""
    return [
        RawFile(name=HISTORY, page=PAGE),
        RawFile(name=ITEMS_TEXT, page=PAGE),
        *(RawFile(name=name, page=PAGE, required=False) for name in (MATCHES, *ARCHIVES)),
    ]


def folders(source: params.TianchiSource) -> tuple[str, ...]:
    """Return the folder of pictures, which the mirror may have."""
    return (PICTURES,)
