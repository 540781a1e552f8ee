r"""Rule `sweep_search`: let optuna choose which cells of the section `sweep` are trained.

    data/processed/D, data/features/D -> results/D/M/sweep_trials.json

`sweep.trials` different cells of `sweep.ranges` are tried, one after the other. A seeded TPE
sampler proposes the next from the validation results of the previous ones. A trial reports the
metric `train.select_by` at every measurement, and is pruned if its best is below the median of
the earlier trials at the same epoch. Test is not read. A trial that completes is trained on all
`sweep.seeds`; pruning looks at the first. The rule sweep_table puts trials into one table with
the cells of the grid.

The optuna study is kept in .work/sweep/, as lines of JSON, under a name made of the data,
settings and code that its trials depend on. A killed search resumes in the middle of its trial,
and a search whose `trials` was raised keeps its earlier trials.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.experiments.sweep.journal import Journal
from pipeline.experiments.sweep.pruned_run import Pruned, Watched
from pipeline.experiments.trial import Trial, outcome, trial_of
from pipeline.job import devices
from pipeline.job.code import code_digest
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import sweep
from pipeline.params.cell import Cell, Values
from pipeline.tables.io import write_json
from pipeline.tables.schema import VALIDATION
from pipeline.train import Trainer

if TYPE_CHECKING:
    import optuna


log = logging.getLogger("sweep_search")
WORK = Path(".work/sweep")
CODE = code_digest("pipeline/experiments/sweep/search.py")
RANDOM, BEFORE_PRUNING = 10, 5  # trials: optuna's own defaults
MOST_PROPOSALS = 20  # for each trial, repeats included; then the search ends


class Search:
    """An optuna study of one model on one dataset, and how its trials are run."""

    def __init__(self, raw: dict[str, Any], job: Arguments) -> None:
        """Open the study, or create it.

        Raises:
            ParamsError: no such model in the sweep, or optuna is not installed.
        """
        self.raw, self.job, self.settings = raw, job, params.parse(raw).of(job.dataset)
        self.sweep = sweep.section(self.settings)
        self.ranges = sweep.ranges(self.settings, job.dataset, job.model)
        self.optuna = library()
        self.study = self._open(WORK / f"{job.dataset}-{job.model}-{self._key()}.jsonl")

    def run(self) -> list[dict[str, Any]]:
        """Run the missing trials.

        Returns:
            `{number, state, results}` of each trial that is no repeat, in order; only the first
            `sweep.trials` of them.
        """
        wanted = min(self.sweep.trials, math.prod(map(len, self.ranges.values())))
        most = MOST_PROPOSALS * wanted
        while len(self._distinct()) < wanted and len(self.study.trials) < most:
            self._run_next()
        trials = self._distinct()[:wanted]
        if len(trials) < wanted:
            log.info("%d trials fewer: the sampler proposes only repeats", wanted - len(trials))
        return [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "results": trial.user_attrs["results"],
            }
            for trial in trials
        ]

    def _run_next(self) -> None:
        """Run the unfinished trial, or a new one, and report its end to the study."""
        trial = self._next()
        values = {key: self._value(trial, key) for key in self.ranges}
        earlier = [old for old in self._distinct() if old.user_attrs["values"] == values]
        if earlier:
            self._repeat(trial, earlier[0])
            return
        trial.set_user_attr("values", values)
        results = self._results(trial, values)
        trial.set_user_attr("results", results)
        pruned = any("pruned" in result for result in results)
        # To the sampler a diverged training is worth 0.
        mean = statistics.fmean(result.get("value", 0.0) for result in results)
        self._finish(trial, None if pruned else mean)
        log.info("trial %d, %s: %s", trial.number, values, "pruned" if pruned else mean)
        for seed in self.sweep.seeds:
            self._trial(values, seed).remove_state(self.job.dataset)

    def _repeat(self, trial: optuna.Trial, earlier: optuna.trial.FrozenTrial) -> None:
        """End a proposal that was tried before in the same way as then."""
        trial.set_user_attr("repeats", earlier.number)
        pruned = earlier.state == self.optuna.trial.TrialState.PRUNED
        for epoch, value in earlier.intermediate_values.items() if pruned else ():
            trial.report(value, epoch)
        self._finish(trial, None if pruned else earlier.value)

    def _finish(self, trial: optuna.Trial, value: float | None) -> None:
        """End a trial; `value` is None if it was pruned."""
        states = self.optuna.trial.TrialState
        state = states.PRUNED if value is None else states.COMPLETE
        self.study.tell(trial, value, state=state)

    def _results(self, trial: optuna.Trial, values: Values) -> list[dict[str, Any]]:
        """Train a cell on every seed, or on the first until it is pruned."""
        first, *others = (self._trial(values, seed) for seed in self.sweep.seeds)

        def watched(arguments: Arguments, settings: params.Params) -> Trainer:
            return Watched(arguments, settings).watched_by(trial)

        try:
            results = [outcome(first, self.raw, self.job, watched)]
        except Pruned:
            curve = self.study.trials[trial.number].intermediate_values
            return [{"values": values, "seed": first.cell.seed, "pruned": max(curve)}]
        return results + [outcome(other, self.raw, self.job) for other in others]

    def _trial(self, values: Values, seed: int) -> Trial:
        return trial_of(Cell(self.job.model, values, seed), self.sweep.budget, "trial")

    def _next(self) -> optuna.Trial:
        states = self.optuna.trial.TrialState
        running = self.study.get_trials(deepcopy=False, states=[states.RUNNING])
        number = running[0].number if running else len(self.study.trials)
        # By number, so that an interrupted search draws the same as an uninterrupted one.
        digest = hashlib.sha256(f"{self.settings.seed} {number}".encode()).hexdigest()
        sampler = self.optuna.samplers.TPESampler
        self.study.sampler = sampler(seed=int(digest[:8], 16), n_startup_trials=RANDOM)
        if running:
            return self.optuna.Trial(self.study, running[0]._trial_id)
        return self.study.ask()

    def _value(self, trial: optuna.Trial, key: str) -> Any:
        """Propose a value; neighbours in a sorted list of numbers count as similar."""
        values = self.ranges[key]
        if all(isinstance(v, int | float) for v in values) and values == sorted(values):
            return values[trial.suggest_int(key, 0, len(values) - 1)]
        return trial.suggest_categorical(key, values)

    def _distinct(self) -> list[optuna.trial.FrozenTrial]:
        """Return the finished trials that are no repeats."""
        trials = self.study.get_trials(deepcopy=False)
        return [t for t in trials if t.state.is_finished() and "repeats" not in t.user_attrs]

    def _open(self, path: Path) -> optuna.Study:
        return self.optuna.create_study(
            storage=self.optuna.storages.JournalStorage(Journal(path)),
            pruner=self.optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING),
            study_name="sweep",
            direction="maximize",
            load_if_exists=True,
        )

    def _key(self) -> str:
        """Return a digest of what the trials depend on: settings, data, features and code."""
        fixed = sweep.fixed(self.settings, self.job.dataset, self.job.model)
        numbers = [fixed, self.ranges, self.sweep.seeds, self.settings.seed]
        digest = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode())
        job = Trainer(self.job, self.settings)
        digest.update(f"{job.code} {CODE} {devices.arithmetic(job.device)}".encode())
        pairs = job.dataset.pairs(validation=False)
        candidates = job.dataset.candidates(VALIDATION)
        for tensor in (pairs.users, pairs.items, *job.features.values(), *candidates):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


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
    args = parser(__doc__, *names).parse_args(argv)
    use_threads(args.threads)
    params.load()  # for its messages
    folders = args.processed, args.features, args.out.parent
    job = Arguments(args.dataset, args.model, *folders, args.device)
    write_json({"trials": Search(params.read(), job).run()}, args.out)


if __name__ == "__main__":
    run(main)
