"""The command line of every stage: shared arguments, log, exit status."""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import shlex
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from pipeline.job.errors import MEND, PipelineError
from pipeline.job.one_writer import SNAKEMAKE, only_writer
from pipeline.job.progress import shown

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
TIMES = Path(".work/times")  # the seconds that each job took last time
MACHINE = ("--device", "--threads")  # change no file's content but in the last digits
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
    arguments = argparse.ArgumentParser(
        prog=f"python -m {_module()}" if _module() else None,
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


def _module() -> str:
    """Return the name of the module that `python -m` runs; empty without one."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else ""


def run(main: Callable[[], None], *, writes: bool = True) -> None:
    """Run a stage, log to standard error, turn a PipelineError into a message and status 1.

    DVC and Snakemake read the status: a stage that failed must not look successful.

    Args:
        main: of the module.
        writes: whether two processes with the same arguments would write the same files; the
            second is refused.
    """
    on_terminal = sys.stderr.isatty()
    logging.basicConfig(
        # A person sees progress, warnings and a line at the end; a log file has everything.
        level=logging.WARNING if on_terminal else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(name)s: %(message)s",
    )
    # These libraries log every request or word.
    for name in ("httpx", "httpcore", "gensim"):
        logging.getLogger(name).setLevel(logging.WARNING)
    job, start = title([Path(sys.argv[0]).stem, *sys.argv[1:]]), time.monotonic()
    is_job = _module().startswith("pipeline.")  # or a command about jobs
    asks = not {"-h", "--help"}.isdisjoint(sys.argv)
    lock = only_writer(_lock_name(job)) if is_job and writes and not asks else nullcontext()
    try:
        if "DVC_STAGE" in os.environ:  # set by DVC for what it runs
            with only_writer(SNAKEMAKE):
                pass
        with lock, shown(job):
            main()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in MEND:
            raise
        print(f"error: {error}. {MEND[error.errno]} and run again", file=sys.stderr)
        raise SystemExit(1) from None
    seconds = time.monotonic() - start
    if not is_job:
        return
    _remember(job, seconds)
    if on_terminal:
        print(f"{job:<44} {duration(seconds):>8}", file=sys.stderr)


def _lock_name(job: str) -> str:
    """Return a name that is equal for commands that write the same files.

    An engine may give a job other threads than the other engine does, or than a person.
    """
    words = iter(sys.argv[1:])
    named = [word for word in words if not (word in MACHINE and next(words, ""))]
    return f"{job} {zlib.crc32(shlex.join(named).encode()):08x}"


def duration(seconds: float) -> str:
    """Return a duration as `M:SS`, or as `H:MM:SS` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def title(words: Sequence[str]) -> str:
    """Return a stage with its dataset and model: a command line up to its first path."""
    return " ".join(
        itertools.takewhile(lambda word: "/" not in word and word[:1] != "-", words)
    )


def title_of(command: str) -> str:
    """Return the title of the job that the command `python -m pipeline.STAGE ...` runs."""
    words = shlex.split(command)
    at = words.index("-m") + 1
    return title([words[at].rpartition(".")[2], *words[at + 1 :]])


def last_time(job: str) -> float | None:
    """Return the seconds that the job of this title took last time; None if it never ran."""
    try:
        return float((TIMES / f"{job}.txt").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _remember(job: str, seconds: float) -> None:
    with suppress(OSError):  # a job does not fail for it
        TIMES.mkdir(parents=True, exist_ok=True)
        (TIMES / f"{job}.txt").write_text(f"{seconds:.1f}\n", encoding="utf-8")
