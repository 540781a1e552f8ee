"""Fetching, checking and packing pictures."""
