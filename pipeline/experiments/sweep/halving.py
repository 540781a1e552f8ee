r"""Rule `tune_search`: choose settings by successive halving over the section `tune`.

    data/processed/D, data/features/D -> results/D/M/tune.json

All combinations of `tune.ranges` are trained for a part of `train.epochs`; the best third on
validation goes on for three times the epochs, and so on, `tune.rounds` rounds in all
(pipeline/params/tune.py). What counts is the best measurement so far, as it does in the stage
`train`. There is one seed, that of params.yaml. Test is not read. A training that diverges, or
stops early, is a result.

The state of every training stays in .work/train/ until the search ends: a killed search goes on
from there and ends in the same result. Rule tune_table makes a table of it;
pipeline/experiments/sweep/keep.py writes the best settings to params.yaml.

    python -m pipeline.experiments.sweep.halving sample lightgcn data/processed/sample \
        data/features/sample results/sample/lightgcn/tune.json
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from pipeline import params
from pipeline.experiments.trial import Trial, outcome, trial_of
from pipeline.job.command_line import parser, run
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import sweep, tune
from pipeline.params.cell import Cell
from pipeline.params.tune import Round
from pipeline.tables.io import write_json
from pipeline.train import Trainer

log = logging.getLogger("halving")
Result: TypeAlias = dict[str, Any]
Train: TypeAlias = Callable[[str, int], Result]  # from a name and a last epoch


def search(names: list[str], rounds: list[Round], train: Train) -> dict[str, Result]:
    """Run the rounds.

    Args:
        names: of the trainings; among equals the earlier one goes on.
        rounds: how many trainings go to which epoch, see `tune.rounds`.
        train: trains one further, and returns its `curve` {epoch: value}, or `diverged`.

    Returns:
        `{name: its last result with `round`}`, the one to choose first.
    """
    results: dict[str, Result] = {}
    order = names
    for number, entry in enumerate(rounds, 1):
        for name in order[: entry.trainings]:
            if "diverged" not in results.get(name, {}):
                results[name] = train(name, entry.epochs) | {"round": number}
        # Later rounds before earlier ones; sorted() keeps the order of equals.
        order = sorted(order, key=lambda name: _rank(results[name]))
    return {name: results[name] for name in order}


def _rank(result: Result) -> tuple[bool, int, float]:
    """Return what sorts the results after a round: the best one is least."""
    best = max(result.get("curve", {}).values(), default=0.0)
    return "diverged" in result, -result["round"], -best


class Search:
    """The trainings of one model on one dataset."""

    def __init__(self, raw: Mapping[str, Any], job: Arguments) -> None:
        """Plan them; of `job` all but the results' folder is used.

        Raises:
            ParamsError: the model is not one of those that are tuned.
        """
        self.raw, self.job = raw, job
        self.settings = params.parse(dict(raw)).of(job.dataset)
        self.section = tune.as_sweep(self.settings)
        cells = sweep.cells(self.section, job.dataset, job.model)
        self.cells = {cell.short_name: cell for cell in cells}
        self.rounds = tune.rounds(self.settings, job.dataset, job.model)

    def run(self) -> dict[str, Any]:
        """Train, and return the content of tune.json."""
        dataset, model = self.job.dataset, self.job.model
        log.info("%s %s: %s", dataset, model, tune.cost(self.settings, dataset, model))
        rows = list(search(list(self.cells), self.rounds, self._train).values())
        best = rows[0]
        return {
            "dataset": dataset,
            "model": model,
            "selected_by": self.settings.train.select_by,
            "seed": self.settings.seed,
            "negatives": self.settings.evaluate.candidates,
            "ranges": sweep.ranges(self.section, dataset, model),
            "fixed": sweep.fixed(self.section, dataset, model),
            "rounds": [asdict(entry) for entry in self.rounds],
            "most_epochs": tune.most_epochs(self.rounds),
            "epochs": sum(row["epochs"] for row in rows),
            "minutes": round(sum(row.pop("seconds") for row in rows) / 60, 1),
            "rows": rows,
            "best": None if "diverged" in best else best["values"],
        }

    def _train(self, name: str, epochs: int) -> Result:
        """Train one further, as far as this round goes."""
        trainers: list[Trainer] = []

        def start(arguments: Arguments, settings: params.Params) -> Trainer:
            trainers.append(Trainer(arguments, settings))
            return trainers[0]

        result = outcome(self._trial(self.cells[name]), self.raw, self.job, start, epochs)
        progress = trainers[0].training.progress
        log.info("%s to epoch %d: %s", name, progress.epoch, result.get("value", "diverged"))
        kept = "values", "diverged", "epoch", "value", "hr@10", "ndcg@10", "curve"
        done = max(map(int, result["curve"])) if "curve" in result else progress.epoch
        result = {key: result[key] for key in kept if key in result}
        return result | {"epochs": done, "seconds": progress.seconds}

    def _trial(self, cell: Cell) -> Trial:
        return trial_of(cell, sweep.section(self.section).budget, "tune")

    def remove_states(self) -> None:
        """Remove the saved states; the result has been written."""
        for cell in self.cells.values():
            self._trial(cell).remove_state(self.job.dataset)


def main(argv: list[str] | None = None) -> None:
    """Search, write."""
    names = "dataset", "model", "processed", "features", "out", "--device", "--threads"
    args = parser(__doc__, *names).parse_args(argv)
    use_threads(args.threads)
    params.load()  # for its messages
    folders = args.processed, args.features, args.out.parent
    found = Search(params.read(), Arguments(args.dataset, args.model, *folders, args.device))
    write_json(found.run(), args.out)
    found.remove_states()


if __name__ == "__main__":
    run(main)
