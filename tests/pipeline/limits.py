"""Ledgers of files that are read: what is tolerated."""

from pipeline import params
from pipeline.sources.raw import Ledger

LIMITS = params.Ingest(max_bad_lines=0)


def ledger(limit=0, **more):
    return Ledger(params.Ingest(max_bad_lines=limit, **more))
