r"""Stage `train`: learn a model, choosing its epoch on validation.

    data/processed/D, data/features/D -> results/D/M/{checkpoint.safetensors,history.parquet}

The model learns from train without the validation items, is measured on the validation
candidates (sampled NDCG@10) every `train.evaluate_every` epochs, and stops when nothing
better came for `train.patience` measurements. With `train.refit` it then starts anew on train
and validation for the chosen number of epochs. Test items are not read, except with
`train.select_on: test`, which is there to explain published numbers and is called optimistic
wherever it shows.

A killed training goes on where it stood (.work/train/) and ends in the same bytes.

    python -m pipeline.train sample mcln data/processed/sample data/features/sample \
        results/sample/mcln
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor
from tqdm import tqdm

from model.base import Measure, Preparation, Recommender
from model.data import Interactions
from model.fit import LossNotFinite, Progress, Record, Training, fit
from model.metrics import hit_ratio, ndcg
from model.ranking import sampled_ranks
from pipeline import params
from pipeline.job import devices
from pipeline.job.command_line import run
from pipeline.job.errors import TrainingDiverged
from pipeline.learning.checkpoint import build, read_checkpoint, save_checkpoint
from pipeline.learning.command_line import Arguments, read_arguments
from pipeline.learning.dataset import Dataset, load_features
from pipeline.tables.io import write_parquet
from pipeline.tables.schema import CHECKPOINT_FILE, HISTORY, HISTORY_FILE, TEST, VALIDATION

log = logging.getLogger("train")
WORK = Path(".work/train")


class Run:
    """One training of one model: what its phases share."""

    def __init__(self, arguments: Arguments, settings: params.Params) -> None:
        """Read what the model learns from."""
        self.arguments, self.settings = arguments, settings
        self.dataset = Dataset(arguments.processed)
        self.device = devices.choose(arguments.device)
        modalities = settings.model_modalities(arguments.model, arguments.dataset)
        self.features = load_features(arguments.features, modalities, self.dataset.n_items)

    def measure(self, part: str) -> Measure:
        """Return the (HR@10, NDCG@10) of a model on the candidates of `part`."""
        users, targets, negatives = self.dataset.candidates(part)

        def measured(model: Recommender) -> tuple[float, float]:
            candidates = users, targets, negatives
            ranks = sampled_ranks(model.scorer(), *candidates, self.dataset.n_items)
            return hit_ratio(ranks, 10), ndcg(ranks, 10)

        return measured

    def phase(self, name: str, pairs: Interactions, epochs: int, part: str) -> Training:
        """Train from the beginning, or from where a killed run stood.

        Args:
            name: `select` measures and keeps the best; `refit` runs through.
            pairs: what is learnt from.
            epochs: at most.
            part: what is measured on.
        """
        budget, names = self.settings.train, self.arguments
        training = self._fresh(pairs)
        saved = WORK / f"{names.dataset}-{names.model}-{name}-{self._key(pairs)}.safetensors"
        measure = self.measure(part) if name == "select" else None
        title = f"{names.dataset} {names.model} {name}"
        with _explained(title):
            if not _resume(training, saved):
                training.model.prepare(self._preparation(training, measure))
            steps = fit(
                training,
                epochs=epochs,
                evaluate_every=budget.evaluate_every,
                patience=budget.patience,
                measure=measure,
            )
            _follow(steps, training, saved, title, epochs)
        return training

    def _fresh(self, pairs: Interactions) -> Training:
        names = self.arguments
        generator = torch.Generator().manual_seed(self.settings.seed)
        model = build(
            self.settings, names.dataset, names.model, pairs, self.features, generator
        )
        return Training(
            model,
            pairs,
            lr=self._lr(),
            batch_size=self.settings.train.batch_size,
            generator=generator,
            device=self.device,
        )

    def _preparation(self, training: Training, measure: Measure | None) -> Preparation:
        return Preparation(
            training.interactions,
            training.batch_size,
            self._lr(),
            training.generator,
            self.device,
            measure,
            log.info,
        )

    def _lr(self) -> float:
        names = self.arguments
        return params.learning_rate(self.settings.model(names.model, names.dataset))

    def _key(self, pairs: Interactions) -> str:
        """Name what a saved state belongs to: settings, data and features."""
        names = self.arguments
        settings = self.settings.model(names.model, names.dataset).model_dump_json()
        digest = hashlib.sha256(f"{settings}{self.settings.train}{self.settings.seed}".encode())
        digest.update(f"{self.device.type}{torch.__version__}".encode())
        candidates = (t for part in (VALIDATION, TEST) for t in self.dataset.candidates(part))
        for tensor in (pairs.users, pairs.items, *self.features.values(), *candidates):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def learn(run: Run) -> tuple[dict[str, Tensor], dict[str, Any], pl.DataFrame]:
    """Choose the epoch, and refit when asked.

    Returns:
        The parameters, the facts about them, and schema.HISTORY.

    Raises:
        TrainingDiverged: a loss left the numbers.
    """
    budget = run.settings.train
    on_test = budget.select_on == TEST
    part = TEST if on_test else VALIDATION
    pairs = run.dataset.pairs(validation=on_test)
    chosen = run.phase("select", pairs, budget.epochs, part)
    history = [_table(chosen.progress.records, "select", part)]
    epoch, tensors = chosen.progress.best_epoch, chosen.best
    refit = budget.refit and not on_test
    if refit:
        again = run.phase("refit", run.dataset.pairs(validation=True), epoch, part)
        history.append(_table(again.progress.records, "refit", part))
        tensors = again.best
    facts = {
        "dataset": run.arguments.dataset,
        "model": run.arguments.model,
        "architecture": run.settings.architecture(run.arguments.model),
        "seed": run.settings.seed,
        "epoch": epoch,
        "selected_on": f"{part} ndcg@10 (sampled)",
        "refit": refit,
        "trained_on": "train and validation" if refit or on_test else "train",
        "settings": run.settings.model(run.arguments.model, run.arguments.dataset).model_dump(),
        "budget": budget.model_dump(),
    }
    return tensors, facts, pl.concat(history)


def _table(records: list[Record], phase: str, part: str) -> pl.DataFrame:
    rows = [
        {
            "phase": phase,
            "epoch": record.epoch,
            "loss": record.loss,
            "hr@10": record.hr,
            "ndcg@10": record.ndcg,
            "measured_on": part,
        }
        for record in records
    ]
    return pl.DataFrame(rows, schema=HISTORY)


@contextmanager
def _explained(title: str) -> Iterator[None]:
    """Turn a loss that left the numbers into an error that names the training."""
    try:
        yield
    except LossNotFinite as error:
        raise TrainingDiverged(
            f"train {title}: {error}; expected a finite number. Lower the model's lr in "
            "params.yaml, or look for features that are not numbers"
        ) from error


def _follow(
    steps: Iterable[Record], training: Training, saved: Path, title: str, epochs: int
) -> None:
    """Run the epochs behind a progress bar, saving the state at each record."""
    with tqdm(total=epochs, initial=training.progress.epoch, desc=title, unit="epoch") as bar:
        for record in steps:
            bar.update(record.epoch - bar.n)
            shown = {"loss": record.loss, "ndcg@10": record.ndcg}
            bar.set_postfix({k: f"{v:.4f}" for k, v in shown.items() if v is not None})
            state = json.dumps(asdict(training.progress))
            save_checkpoint(training.tensors(), {"progress": state}, saved)


def _resume(training: Training, saved: Path) -> bool:
    """Go on from the saved state, if there is one, and tell whether there was."""
    if not saved.exists():
        return False
    tensors, facts = read_checkpoint(saved)
    progress = json.loads(facts["progress"])
    records = [Record(**record) for record in progress.pop("records")]
    training.restore(tensors, Progress(**progress, records=records))
    log.info("%s: going on after epoch %d", saved.stem, training.progress.epoch)
    return True


def main(argv: list[str] | None = None) -> None:
    """Read, learn, write."""
    arguments = read_arguments(__doc__, argv)
    settings = params.load()
    job = Run(arguments, settings)
    tensors, facts, history = learn(job)
    write_parquet(history, arguments.results / HISTORY_FILE)
    save_checkpoint(tensors, facts, arguments.results / CHECKPOINT_FILE)
    for left in WORK.glob(f"{arguments.dataset}-{arguments.model}-*.safetensors"):
        left.unlink()


if __name__ == "__main__":
    run(main)
