r"""Stage `sweep_search`: let optuna choose which cells of the section `sweep` are trained.

    data/processed/D, data/features/D -> results/D/M/sweep_trials.json

`sweep.trials` different cells of `sweep.ranges` are tried, one after the other. A seeded TPE
sampler proposes the next by what validation said of those before. A trial reports NDCG@10 on
validation at every measurement, and is ended (pruned) where its best is below the median of
those before it at the same epoch. Test is not read. What came to its end is trained on all
`sweep.seeds`; pruning looks at the first. sweep_table puts trials into one table with the cells
of the grid.

The study is kept in .work/sweep/, as lines of JSON, under a name made of the data, settings and
code that its trials depend on. A search that was killed goes on in the middle of its trial, and
one whose `trials` was raised keeps those that it has.

Needs the extra `optuna`: pip install -e '.[optuna]' -c constraints.txt

    python -m pipeline.experiments.sweep.search sample lightgcn data/processed/sample \
        data/features/sample results/sample/lightgcn/sweep_trials.json
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pipeline import params
from pipeline.experiments.sweep.cell import try_cell
from pipeline.experiments.sweep.pruned_run import Pruned, Watched
from pipeline.experiments.trial import forget, run_name
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import sweep_cells
from pipeline.params.cell import Cell
from pipeline.tables.io import write_json
from pipeline.tables.schema import VALIDATION
from pipeline.train import Trainer

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("sweep_search")
WORK = Path(".work/sweep")
RANDOM, BEFORE_PRUNING = 10, 5  # trials: optuna's own defaults
ASKED = 20  # proposals for each trial, most of them repeats, after which the search ends


class Search:
    """A study of one model on one dataset, and how its trials are run."""

    def __init__(self, raw: dict[str, Any], job: Arguments) -> None:
        """Open the study, or make it.

        Args:
            raw: params.yaml, unchecked.
            job: names, folders and device.

        Raises:
            ParamsError: no such model in the sweep, or optuna is not installed.
            RawDataError: the study's file is damaged.
        """
        self.raw, self.job, self.settings = raw, job, params.parse(raw)
        self.sweep = sweep_cells.declared(self.settings)
        self.ranges = sweep_cells.ranges(self.settings, job.dataset, job.model)
        self.optuna = library()
        self.study = self._open(WORK / f"{job.dataset}-{job.model}-{self._key()}.jsonl")

    def run(self) -> list[dict[str, Any]]:
        """Run the trials that are missing.

        Returns:
            `{number, state, results}` of each trial that is no repetition, in their order; of
            a study that has more, the first ones.
        """
        wanted = min(self.sweep.trials, math.prod(map(len, self.ranges.values())))
        while len(self._different()) < wanted and len(self.study.trials) < ASKED * wanted:
            self._one()
        if (missing := wanted - len(self._different())) > 0:
            log.info("%d trials fewer: the sampler has nothing new to propose", missing)
        return [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "results": trial.user_attrs["results"],
            }
            for trial in self._different()[:wanted]
        ]

    def _one(self) -> None:
        """Ask for a trial, or take the one that was not finished; run it; tell."""
        trial = self._next()
        values = {key: self._value(trial, key) for key in self.ranges}
        before = {_name(old.user_attrs["values"]): old for old in self._different()}
        if (old := before.get(_name(values))) is not None:
            self._repeat(trial, old)
            return
        trial.set_user_attr("values", values)
        results = self._results(trial, values)
        trial.set_user_attr("results", results)
        pruned = any("pruned" in result for result in results)
        # A loss that left the numbers is worth nothing, which is for the sampler to know.
        worth = statistics.fmean(result.get("ndcg@10", 0.0) for result in results)
        self._tell(trial, None if pruned else worth)
        log.info("trial %d, %s: %s", trial.number, values, "pruned" if pruned else worth)
        for seed in self.sweep.seeds:
            forget(self.job.dataset, run_name(self.job.model, "trial", Cell(values, seed).name))

    def _repeat(self, trial: optuna.Trial, old: optuna.trial.FrozenTrial) -> None:
        """Give a proposal that was tried already the same end."""
        trial.set_user_attr("repeats", old.number)
        pruned = old.state == self.optuna.trial.TrialState.PRUNED
        for epoch, ndcg in old.intermediate_values.items() if pruned else ():
            trial.report(ndcg, epoch)
        self._tell(trial, None if pruned else old.value)

    def _tell(self, trial: optuna.Trial, worth: float | None) -> None:
        """End a trial; None for one that was pruned."""
        states = self.optuna.trial.TrialState
        state = states.PRUNED if worth is None else states.COMPLETE
        self.study.tell(trial, worth, state=state)

    def _results(self, trial: optuna.Trial, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Train a cell on every seed, or on the first until it is pruned."""
        first, *others = (Cell(values, seed) for seed in self.sweep.seeds)

        def watched(arguments: Arguments, settings: params.Params) -> Trainer:
            return Watched(arguments, settings).watched_by(trial)

        try:
            results = [try_cell(self.raw, first, self.job, watched, by="trial")]
        except Pruned:
            curve = self.study.trials[trial.number].intermediate_values
            return [{"values": values, "seed": first.seed, "pruned": max(curve)}]
        return [*results, *(try_cell(self.raw, cell, self.job, by="trial") for cell in others)]

    def _next(self) -> optuna.Trial:
        states = self.optuna.trial.TrialState
        running = self.study.get_trials(deepcopy=False, states=[states.RUNNING])
        number = running[0].number if running else len(self.study.trials)
        # By number, so that a search that was interrupted draws as one that was not.
        seed = int(
            hashlib.sha256(f"{self.settings.seed} {number}".encode()).hexdigest()[:8], 16
        )
        self.study.sampler = self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
        if running:
            return self.optuna.Trial(self.study, running[0]._trial_id)
        return self.study.ask()

    def _value(self, trial: optuna.Trial, key: str) -> Any:
        """Propose a value; of numbers in order, neighbours are taken to be alike."""
        values = self.ranges[key]
        if all(isinstance(v, int | float) for v in values) and values == sorted(values):
            return values[trial.suggest_int(key, 0, len(values) - 1)]
        return trial.suggest_categorical(key, values)

    def _different(self) -> list[optuna.trial.FrozenTrial]:
        """Return the finished trials that are no repetition."""
        trials = self.study.get_trials(deepcopy=False)
        return [t for t in trials if t.state.is_finished() and "repeats" not in t.user_attrs]

    def _open(self, path: Path) -> optuna.Study:
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = self.optuna.storages.journal
        try:
            return self.optuna.create_study(
                storage=self.optuna.storages.JournalStorage(
                    journal.JournalFileBackend(str(path))
                ),
                pruner=self.optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING),
                study_name="sweep",
                direction="maximize",
                load_if_exists=True,
            )
        except ValueError as error:
            raise RawDataError(f"{path}: damaged ({error}); remove it to search anew") from None

    def _key(self) -> str:
        """Name what the trials depend on: settings, ranges, data, features and code."""
        fixed = sweep_cells.fixed(self.settings, self.job.dataset, self.job.model)
        fixed["budget"] = self.sweep.budget.model_dump()
        own = [fixed, self.ranges, self.sweep.seeds, self.settings.seed]
        digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode())
        for path in _code():
            digest.update(path.read_bytes())
        job = Trainer(self.job, self.settings)
        digest.update(f"{job.device.type}{torch.__version__}".encode())
        pairs = job.dataset.pairs(validation=False)
        judged = job.dataset.candidates(VALIDATION)
        for tensor in (pairs.users, pairs.items, *job.features.values(), *judged):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _code() -> list[Path]:
    """Return the files of this project that are imported now."""
    modules = [
        m for name, m in sys.modules.items() if name.split(".")[0] in ("model", "pipeline")
    ]
    files = {Path(file) for m in modules if (file := getattr(m, "__file__", None))}
    return sorted(files | {Path(__file__)})


def _name(values: dict[str, Any]) -> str:
    return Cell(values, 0).name


def library() -> Any:
    """Return optuna, quiet.

    Raises:
        ParamsError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ParamsError(
            "params.yaml: sweep.trials: needs optuna: pip install -e '.[optuna]' -c "
            "constraints.txt; or set it to 0"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def main(argv: list[str] | None = None) -> None:
    """Search, write."""
    names = "dataset", "model", "processed", "features", "out", "--device", "--threads"
    parse = parser(__doc__, *names)
    args = parse.parse_args(argv)
    use_threads(args.threads)
    params.load()  # for its messages
    job = Arguments(
        args.dataset, args.model, args.processed, args.features, args.out.parent, args.device
    )
    write_json({"trials": Search(params.read(), job).run()}, args.out)


if __name__ == "__main__":
    run(main)
