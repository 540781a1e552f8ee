"""The command line of a stage about one model, and the CPU threads of its process."""

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


def model_parser(documentation: str | None) -> argparse.ArgumentParser:
    """Return the parser of a stage about one model; the caller may add arguments."""
    names = "dataset", "model", "processed", "features", "results", "--device", "--threads"
    return parser(documentation, *names)


def read_arguments(documentation: str | None, argv: list[str] | None) -> Arguments:
    """Parse the command line and set the number of threads."""
    return arguments_of(model_parser(documentation).parse_args(argv))


def arguments_of(args: argparse.Namespace) -> Arguments:
    """Return what `model_parser` parsed, and set the number of threads."""
    use_threads(args.threads)
    return Arguments(**{field.name: getattr(args, field.name) for field in fields(Arguments)})


def use_threads(count: int | None) -> None:
    """Set the number of CPU threads; by default one per CPU.

    Bytes must not depend on who starts the job: Snakemake sets OMP_NUM_THREADS to a rule's
    threads and DVC sets nothing.
    """
    torch.set_num_threads(count or len(os.sched_getaffinity(0)))
    # Without it the order in which cuBLAS adds may change from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The default; some versions of torch warn until it is set explicitly.
    torch.sparse.check_sparse_tensor_invariants.disable()
    torch.use_deterministic_algorithms(True, warn_only=True)
