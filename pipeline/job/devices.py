"""Select the device of a job: `--device auto`, `cpu`, `cuda` or `mps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.job.errors import ParamsError
from pipeline.job.gpu_slots import cuda_name

if TYPE_CHECKING:
    import torch


def choose(name: str) -> torch.device:
    """Return the device called `name`; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ParamsError: the device is not available, or GPU_SLOTS is wrong.
    """
    import torch  # here: extractors without a network must not wait for the import

    is_available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    usable = [kind for kind, available in is_available.items() if available]
    chosen = usable[0] if name == "auto" else name
    if chosen not in usable:
        raise ParamsError(f"--device {name}: not on this machine; expected one of {usable}")
    if chosen != "cuda":
        return torch.device(chosen)
    device = torch.device(cuda_name(torch.cuda.device_count()))
    if device.index is not None:
        torch.cuda.set_device(device)  # otherwise pinned memory would belong to GPU 0
    return device


def arithmetic(device: torch.device) -> str:
    """Return what the last digits of a result depend on: the kind of device, CPU threads."""
    import torch

    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)} torch {torch.__version__}"
    kind = f"{device.type} {torch.backends.cpu.get_cpu_capability()}"
    return f"{kind} {torch.get_num_threads()} threads torch {torch.__version__}"
