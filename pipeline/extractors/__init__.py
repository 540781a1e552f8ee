"""Encoders of pictures and texts, one file each; `registry` has them by name."""
