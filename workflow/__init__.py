"""What both engines need beside the stages: slices of settings, checksums, `sync`."""

import pipeline  # noqa: F401 (it says what is wrong with this Python, before imports fail)
