"""Makes the tests' own helper modules importable by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "model"))
