"""Where a job computes: `--device auto`, `cpu`, `cuda` or `mps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.job.errors import ParamsError
from pipeline.job.gpu_slots import cuda_name

if TYPE_CHECKING:
    import torch


def choose(name: str) -> torch.device:
    """Return the device called `name`; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ParamsError: the device is not there, or GPU_SLOTS names others.
    """
    import torch  # here: the extractors that need none must not wait for it

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    usable = [kind for kind, available in there.items() if available]
    chosen = usable[0] if name == "auto" else name
    if chosen not in usable:
        raise ParamsError(f"--device {name}: not on this machine; expected one of {usable}")
    if chosen != "cuda":
        return torch.device(chosen)
    device = torch.device(cuda_name(torch.cuda.device_count()))
    if device.index is not None:
        torch.cuda.set_device(device)  # or what names none, such as pinned memory, is of GPU 0
    return device
