"""Makes the tests' own helper modules importable by name, and shares the cores out."""

import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in (".", "model", "pipeline")]

# Workers of pytest-xdist share the cores, and so do the programs that they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
