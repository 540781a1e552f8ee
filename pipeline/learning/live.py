"""Curves of a training while it runs, by DVCLive: `LIVE_CURVES=FOLDER`.

    FOLDER/<dataset>/<model>/<phase>/report.html            reloads itself every 5 s
    FOLDER/<dataset>/<model>/<phase>/plots/metrics/*.tsv    loss, hr@10, ndcg@10 by epoch,
                                                            and train.select_by if another

The variable is of the machine: it changes no result, and no job re-runs because of it. Needs
the extra `live`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from model.fit import Record
from pipeline.job.errors import ParamsError

VARIABLE = "LIVE_CURVES"
Draw: TypeAlias = Callable[[Record], None]


def curves(dataset: str, model: str, phase: str, select_by: str) -> Draw:
    """Return what draws a record; it does nothing without LIVE_CURVES.

    Curves of an earlier training in the same folder are removed. `select_by` is the metric that
    chooses the epoch.

    Raises:
        ParamsError: DVCLive is not installed, or the folder cannot be made.
    """
    if not (root := os.environ.get(VARIABLE)):
        return lambda record: None
    folder = Path(root) / dataset / model / phase
    try:
        from dvclive import Live

        folder.mkdir(parents=True, exist_ok=True)
    except ModuleNotFoundError:
        raise ParamsError(
            f"{VARIABLE}: expected the package dvclive, not installed; run pip install -e "
            f"'.[live]' -c constraints.txt, or unset {VARIABLE}"
        ) from None
    except OSError as error:
        raise ParamsError(f"{VARIABLE}: expected a folder to write to, got {error}") from None
    live = Live(str(folder), report="html", save_dvc_exp=False, dvcyaml=False)

    def draw(record: Record) -> None:
        live.step = record.epoch
        values = {"loss": record.loss, "hr@10": record.hr, "ndcg@10": record.ndcg}
        if select_by.removeprefix("sampled ") not in values:
            values[select_by] = record.value
        for name, value in values.items():
            if value is not None:  # loss without training, the others without held-out items
                live.log_metric(name, value)
        live.sync()

    return draw
