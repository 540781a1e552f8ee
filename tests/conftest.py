"""Makes the tests' own helper modules importable by name."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in (".", "model", "pipeline")]
