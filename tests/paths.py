"""Where things are, and the names of the stages."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT / "../shared/data"  # real data, where it lies beside the checkout
STAGES = [
    "download",
    "ingest",
    "kcore",
    "split",
    "validate",
    "images",
    "features",
    "tokens",
    "train",
    "evaluate",
    "recommend",
    "compare",
    "curves",
]
