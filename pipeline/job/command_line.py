"""The command line of every stage: shared arguments, log, exit status."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.job.errors import PipelineError

PARAMS_NOTE = "Numbers come from params.yaml in the working directory."
# Arguments that several stages share: {argument: help}.
SHARED = {
    "dataset": "a name under `sources` in params.yaml",
    "model": "a model's section in params.yaml",
    "modality": "a name under `features.<dataset>` in params.yaml",
    "cell": "the name of a cell, such as lr-0.001__seed-2023",
    "raw": "data/raw/<dataset>",
    "interim": "data/interim/<dataset>",
    "processed": "data/processed/<dataset>",
    "images": "data/images/<dataset>.parquet",
    "features": "data/features/<dataset>",
    "results": "results/<dataset>, or a folder below it",
    "out": "file or folder to write",
    "--device": "auto (the default), cpu, cuda or mps",
    "--threads": "CPU threads; default: one per CPU",
}
TEXTS = ("dataset", "model", "modality", "cell", "--device")
TYPES = dict.fromkeys(TEXTS, str) | {"--threads": int}  # the others are paths


def parser(
    documentation: str | None, *shared: str, reads_params: bool = True
) -> argparse.ArgumentParser:
    """Return a parser whose `--help` is the module's docstring.

    Args:
        documentation: the module's docstring.
        shared: names in `SHARED`, in the order of the command line.
        reads_params: whether the module reads params.yaml, which `--help` then says.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    arguments = argparse.ArgumentParser(
        prog=f"python -m {spec.name}" if spec else None,
        description=documentation,
        epilog=PARAMS_NOTE if reads_params else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in shared:
        default = "auto" if name == "--device" else None
        arguments.add_argument(
            name, type=TYPES.get(name, Path), help=SHARED[name], default=default
        )
    return arguments


def run(main: Callable[[], None]) -> None:
    """Run a stage, log to standard error, turn a PipelineError into a message and status 1.

    DVC and Snakemake read the status: a stage that failed must not look successful.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s"
    )
    # These libraries log every request or word.
    for name in ("httpx", "httpcore", "gensim"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        main()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
