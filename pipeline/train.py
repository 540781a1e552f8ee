r"""Stage `train`: train a model, choosing its epoch on validation.

    data/processed/D, data/features/D -> results/D/M/{checkpoint.safetensors,history.parquet}

The model is trained on train without the validation items, is measured on validation every
`train.evaluate_every` epochs in the metric `train.select_by`, and stops after `train.patience`
measurements without improvement. A full ranking hides the items that it is trained on. With
`train.refit` it is then trained from scratch on train and validation for the chosen number of
epochs. Test items are not read, except with `train.select_on: test`, which exists to explain
published numbers and is labelled optimistic everywhere.

A killed training resumes from its saved state (.work/train/) and ends in the same bytes.
LIVE_CURVES=FOLDER draws its curves while it runs; see pipeline/learning/live.py.

    python -m pipeline.train sample mcln data/processed/sample data/features/sample \
        results/sample/mcln
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from model.base import Measure, Measured, Preparation, Recommender
from model.data import Interactions
from model.fit import LossNotFinite, Record, Training, fit
from model.measures import FULL, SAMPLED, in_words, split_metric
from model.metrics import ScoreNotANumber, UserRanks
from model.ranking import ranks, sampled_ranks
from pipeline import params
from pipeline.job import devices
from pipeline.job.code import code_digest
from pipeline.job.command_line import run
from pipeline.job.errors import TrainingDiverged
from pipeline.job.progress import Bar
from pipeline.learning.checkpoint import INPUTS, build, content, inputs, save_checkpoint
from pipeline.learning.command_line import Arguments, read_arguments
from pipeline.learning.dataset import Dataset
from pipeline.learning.live import Draw, curves
from pipeline.learning.state import WORK, resume, save_state, state_path
from pipeline.tables.io import write_parquet
from pipeline.tables.results import as_metadata
from pipeline.tables.schema import CHECKPOINT_FILE, HISTORY, HISTORY_FILE, TEST, VALIDATION

log = logging.getLogger("train")


class Trainer:
    """Trains one model on one dataset; its phases share the data and the features."""

    training: Training  # of the phase that was begun last

    def __init__(self, arguments: Arguments, settings: params.Params) -> None:
        """Read the processed tables, the features and the tokens."""
        self.arguments, self.settings = arguments, settings
        architecture = settings.architecture(arguments.model)
        self.code = code_digest("pipeline/train.py", f"model/recommenders/{architecture}.py")
        self.dataset = Dataset(arguments.processed)
        self.device = devices.choose(arguments.device)
        self.model_settings = settings.model(arguments.model, arguments.dataset)
        self.features = content(settings, arguments, self.dataset.n_items)

    def measure(self, part: str, pairs: Interactions) -> Measure:
        """Return the function that measures a model on the held-out items of `part`.

        `pairs` are what the full ranking hides; there is one if `train.select_by` needs it.
        """
        candidates, pool = self.dataset.candidates(part), self.dataset.pool(part)
        protocol, name = split_metric(self.settings.train.select_by)

        def measured(model: Recommender) -> Measured:
            scorer, places = model.scorer(), {}
            if protocol == FULL:
                places[SAMPLED], places[FULL] = ranks(scorer, *candidates, pairs, pool)
            else:
                places[SAMPLED] = sampled_ranks(scorer, *candidates, self.dataset.n_items)
            of = {p: UserRanks.of(p, places[p], candidates[0]) for p in places}
            hr, ndcg = (of[SAMPLED].mean(shown) for shown in ("hr@10", "ndcg@10"))
            return Measured(hr, ndcg, of[protocol].mean(name))

        return measured

    def run_phase(
        self, phase: str, pairs: Interactions, epochs: int, part: str, pause: int | None = None
    ) -> Training:
        """Train from scratch, or from the state that a killed or paused run has saved.

        Args:
            phase: `select` evaluates and keeps the best epoch; `refit` runs all epochs.
            pairs: to train on.
            epochs: at most.
            part: to evaluate on.
            pause: train no further than to this epoch, a multiple of `evaluate_every`; a later
                call goes on from there as if there had been no pause. None for no pause.

        Raises:
            TrainingDiverged: a non-finite loss.
            ParamsError: LIVE_CURVES is set and cannot be used.
        """
        budget, names = self.settings.train, self.arguments
        training = self.training = self.new_training(pairs)
        path = self._state_path(phase, pairs, epochs)
        measure = self.measure(part, pairs) if phase == "select" else None
        draw = curves(names.dataset, names.model, phase, budget.select_by)
        title = f"{names.dataset} {names.model} {phase}"
        try:
            if not resume(training, path):
                start = time.perf_counter()
                training.model.prepare(self._preparation(training, measure))
                training.progress.seconds += time.perf_counter() - start
            records = fit(
                training,
                epochs=min(epochs, pause or epochs),
                evaluate_every=budget.evaluate_every,
                patience=budget.patience,
                measure=measure,
            )
            _run(records, training, path, title, epochs, budget.select_by, draw)
        except (LossNotFinite, ScoreNotANumber) as error:
            raise TrainingDiverged(
                f"train {title}: {error}; expected a finite number. Lower the model's lr in "
                "params.yaml, or look for features that are not finite"
            ) from error
        return training

    def new_training(self, pairs: Interactions) -> Training:
        """Return the training of a freshly initialised model."""
        names = self.arguments.dataset, self.arguments.model
        generator = torch.Generator().manual_seed(self.settings.seed)
        return Training(
            build(self.settings, *names, pairs, self.features, generator),
            pairs,
            lr=params.learning_rate(self.model_settings),
            batch_size=self.settings.train.batch_size,
            generator=generator,
            device=self.device,
            sampling=self.settings.train.sampling,
        )

    def _preparation(self, training: Training, measure: Measure | None) -> Preparation:
        return Preparation(
            training.interactions,
            training.batch_size,
            params.learning_rate(self.model_settings),
            training.generator,
            self.device,
            measure,
            log.info,
        )

    def _state_path(self, phase: str, pairs: Interactions, epochs: int) -> Path:
        """Return where the state is kept of a training on these settings, data and code."""
        names, settings = self.arguments, self.settings
        fixed = self.model_settings.model_dump_json(), settings.train, settings.seed, epochs
        candidates = (t for part in (VALIDATION, TEST) for t in self.dataset.candidates(part))
        return state_path(
            (names.dataset, names.model, phase),
            f"{fixed} {self.code} {devices.arithmetic(self.device)}",
            (pairs.users, pairs.items, *self.features.values(), *candidates),
        )


def train_model(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any], pl.DataFrame]:
    """Choose the epoch, and refit if `train.refit` is set.

    Returns:
        The parameters, the facts about them, and schema.HISTORY.

    Raises:
        TrainingDiverged: a non-finite loss.
    """
    arguments, settings = trainer.arguments, trainer.settings
    budget = settings.train
    on_test = budget.select_on == TEST
    part = TEST if on_test else VALIDATION
    pairs = trainer.dataset.pairs(validation=on_test)
    training = trainer.run_phase("select", pairs, budget.epochs, part)
    history = [_table(training.progress.records, "select", part)]
    epoch = training.progress.best_epoch
    refit = budget.refit and not on_test
    if refit:
        pairs = trainer.dataset.pairs(validation=True)
        training = trainer.run_phase("refit", pairs, epoch, part)
        history.append(_table(training.progress.records, "refit", part))
    facts = {
        "dataset": arguments.dataset,
        "model": arguments.model,
        "architecture": settings.architecture(arguments.model),
        "seed": settings.seed,
        "epoch": epoch,
        "selected_on": in_words(part, budget.select_by),
        "refit": refit,
        "trained_on": "train and validation" if refit or on_test else "train",
        "settings": trainer.model_settings.model_dump(),
        "budget": budget.model_dump(),
        INPUTS: inputs(trainer.dataset, trainer.features),
    }
    return training.best, facts, pl.concat(history)


def _table(records: list[Record], phase: str, part: str) -> pl.DataFrame:
    rows = [(phase, r.epoch, r.loss, r.hr, r.ndcg, r.value, part) for r in records]
    return pl.DataFrame(rows, schema=HISTORY, orient="row")


def _run(
    records: Iterable[Record],
    training: Training,
    path: Path,
    title: str,
    epochs: int,
    name: str,
    draw: Draw,
) -> None:
    """Run the epochs with a progress bar, drawing and saving the state after each record."""
    for record in training.progress.records:  # of a killed run
        draw(record)
    with Bar(total=epochs, initial=training.progress.epoch, desc=title, unit="epoch") as bar:
        for record in records:
            draw(record)
            values = {"loss": record.loss, name: record.value}
            bar.set_postfix(
                {k: f"{v:.4f}" for k, v in values.items() if v is not None}, refresh=False
            )
            bar.update(record.epoch - bar.n)
            save_state(training, path)


def main(argv: list[str] | None = None) -> None:
    """Read, train, write."""
    arguments = read_arguments(__doc__, argv)
    tensors, facts, history = train_model(
        Trainer(arguments, params.load().of(arguments.dataset))
    )
    write_parquet(history, arguments.results / HISTORY_FILE, as_metadata(facts))
    save_checkpoint(tensors, facts, arguments.results / CHECKPOINT_FILE)
    for state in WORK.glob(f"{arguments.dataset}-{arguments.model}-*.safetensors"):
        state.unlink()


if __name__ == "__main__":
    run(main)
