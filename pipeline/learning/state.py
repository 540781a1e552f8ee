"""The state of a stopped training, kept below .work/train until the training is complete.

    .work/train/<dataset>-<model>-<phase>-<key>.safetensors

The key is a hash of all that the training depends on, its code included: a state is continued
only by the same training.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from model.fit import Progress, Record, Training
from pipeline.tables.kept import read_kept, throw_away, write_kept

WORK = Path(".work/train")
PROGRESS = "progress"  # name of a tensor: the bytes of JSON
log = logging.getLogger(__name__)


def state_path(names: tuple[str, str, str], settings: str, tensors: Iterable[Tensor]) -> Path:
    """Return where a training's state is kept; remove what others left there.

    Args:
        names: dataset, model and phase.
        settings: all that is no tensor, as text.
        tensors: the data.
    """
    digest = hashlib.sha256(settings.encode())
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    name = "-".join(names)
    path = WORK / f"{name}-{digest.hexdigest()[:16]}.safetensors"
    for other in WORK.glob(f"{name}-{'[0-9a-f]' * 16}.safetensors"):
        if other != path:
            throw_away(other, "made by other code, settings or data, or on another device")
    return path


def save_state(training: Training, path: Path) -> None:
    """Keep the state of a training."""
    text = json.dumps(asdict(training.progress)).encode()
    progress = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    write_kept(save(training.tensors() | {PROGRESS: progress}), path)


def resume(training: Training, path: Path) -> bool:
    """Restore the kept state; return False if there is none, or a damaged one."""
    content = read_kept(path)
    if content is None:
        return False
    tensors = load(content)
    progress = json.loads(tensors.pop(PROGRESS).numpy().tobytes())
    numbers = (tensor for tensor in tensors.values() if tensor.is_floating_point())
    if not all(tensor.isfinite().all() for tensor in numbers):
        throw_away(path, "it has numbers that are not finite")
        return False
    records = [Record(**record) for record in progress.pop("records")]
    training.restore(tensors, Progress(**progress, records=records))
    log.info("%s: resuming after epoch %d", path.stem, training.progress.epoch)
    return True
