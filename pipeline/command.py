"""What every stage's command line shares: the parser's form, the log, the exit status."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from pipeline.errors import PipelineError


def parser(stage: str, documentation: str | None) -> argparse.ArgumentParser:
    """Return a parser whose `--help` is the stage's own documentation.

    Args:
        stage: the module's name below `pipeline`.
        documentation: the module's docstring.
    """
    return argparse.ArgumentParser(
        prog=f"python -m pipeline.{stage}",
        description=documentation,
        epilog="Numbers come from params.yaml in the working directory.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(main: Callable[[], None]) -> None:
    """Run a stage: log to standard error, turn our own errors into a message and status 1.

    Two engines watch the status: a stage that failed must not look as if it had succeeded.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s"
    )
    # Libraries that narrate every request or word are not part of our log.
    for name in ("httpx", "httpcore", "gensim"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        main()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
