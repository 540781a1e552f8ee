"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT / "../shared/data"  # real data, where it lies beside the checkout
