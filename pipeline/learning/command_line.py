"""The command line of a stage about one model, and the threads it computes with."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from pipeline.job.command_line import parser


@dataclass(frozen=True)
class Arguments:
    """The command line of train, evaluate and recommend."""

    dataset: str
    model: str
    processed: Path
    features: Path
    results: Path
    device: str


def read_arguments(documentation: str | None, argv: list[str] | None) -> Arguments:
    """Read the command line of a stage about one model, and fix the number of threads."""
    return arguments_of(model_parser(documentation).parse_args(argv))


def model_parser(documentation: str | None) -> argparse.ArgumentParser:
    """Return the parser of a stage about one model, to which more may be added."""
    names = "dataset", "model", "processed", "features", "results", "--device", "--threads"
    return parser(documentation, *names)


def arguments_of(args: argparse.Namespace) -> Arguments:
    """Return what `model_parser` read, and fix the number of threads."""
    use_threads(args.threads)
    return Arguments(**{field.name: getattr(args, field.name) for field in fields(Arguments)})


def use_threads(count: int | None) -> None:
    """Fix the number of CPU threads, so that bytes do not depend on who started the job.

    Snakemake sets OMP_NUM_THREADS to a rule's threads and DVC sets nothing.
    """
    torch.set_num_threads(count or len(os.sched_getaffinity(0)))
    # Without it cuBLAS may add up in another order from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The default, but some versions of torch warn as long as nobody has said it.
    torch.sparse.check_sparse_tensor_invariants.disable()
    torch.use_deterministic_algorithms(True, warn_only=True)
