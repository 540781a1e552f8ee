"""Pictures encoded per second: the stage, a bare forward pass, a simple loop.

    PYTHONPATH=. python benchmarks/extraction.py [--threads N] [--device cuda]

Pictures are JPEG files of 400 x 400 pixels, drawn from a seed; weights are untrained. The stage
reads them from a table, decodes, encodes, keeps blocks and writes Parquet. The bare forward
pass has its pixels in memory, in batches of the stage's size, in channels_last, up to the same
layer. The loop opens one picture at a time, applies torchvision's transforms, and runs the
unchanged network. On a CPU the stage pauses after each block and the other two run; the result
is the median over the blocks. Then the peak memory of the stage with 200 and with 2,000 such
pictures (efficientnet_lite0, a new process each).

On a GPU decoding runs in advance, so complete runs of the stage alternate with the others, in
each precision, and decoding alone, by all processes, is timed too. The stage cannot be faster
than the slower of decoding and the bare forward pass. The first round warms up.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import torch
from PIL import Image
from torchvision.models import get_model_weights

from pipeline.extractors import networks, pixels
from pipeline.extractors.encode import CHUNK, CPU_BATCH, GPU_BATCH
from pipeline.extractors.extraction import BLOCK, Machine, n_cpus
from pipeline.extractors.kept_blocks import remove_kept
from pipeline.extractors.network import arithmetic
from pipeline.features import Modality, extract_features
from pipeline.params.features import ImageNetwork, Precision
from pipeline.pictures.table import ROWS
from pipeline.tables.features import Vector, write_features
from pipeline.tables.schema import IMAGES, ITEMS

N_BARE, N_LOOP, BLOCKS = 48, 16, 5
N_GPU, N_GPU_BARE, N_GPU_LOOP, ROUNDS = 96 * BLOCK, 32 * BLOCK, 2 * BLOCK, 2
SIZES = 200, 2_000
SMALL = "efficientnet_lite0"  # the network whose memory is measured


def jpeg(number: int) -> bytes:
    """Return a picture with edges and gradients, such as a product on a plain background."""
    random = np.random.default_rng(number)
    small = Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8))
    file = io.BytesIO()
    small.resize((400, 400), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def modality(
    folder: Path,
    n: int,
    network: str,
    machine: Machine,
    precision: Precision = "float32",
) -> Modality:
    """Return the stage's input of n different pictures; write their table if it is absent."""
    images = folder / f"images_{n}.parquet"
    if not images.exists():
        with ThreadPoolExecutor(n_cpus()) as pool:
            files = enumerate(pool.map(jpeg, range(n)))
        rows = [(i, "ok", data, 400, 400, "drawn") for i, data in files]
        table = pl.DataFrame(rows, schema=IMAGES, orient="row")
        table.write_parquet(images, row_group_size=ROWS)  # as the stage images does
    empty = {name: [None] * n for name in ITEMS} | {"item": list(range(n))}
    return Modality(
        where=f"{network}, {n} pictures",
        settings=ImageNetwork(extractor=network, weights="seeded", precision=precision),
        seed=1,
        machine=machine,
        items=pl.DataFrame(empty, schema=ITEMS),
        images=images,
        work=folder / "work",
    )


def in_turn(
    stage: Modality, folder: Path, others: list[Callable[[], float]]
) -> Iterator[list[float]]:
    """Run the stage; for each block but the first yield seconds per picture of all."""
    rows = extract_features(stage)
    rounds: list[list[float]] = []
    start = time.perf_counter()

    def watched() -> Iterator[Vector | None]:
        nonlocal start
        for number, vector in enumerate(rows.vectors):
            yield vector
            if (number + 1) % BLOCK == 0:
                seconds = (time.perf_counter() - start) / BLOCK
                rounds.append([seconds, *(other() for other in others)])
                start = time.perf_counter()

    write_features(watched(), folder / "out.parquet", dim=rows.dim, metadata={})
    remove_kept(stage.work)
    yield from rounds[1:]


def complete_run(stage: Modality, folder: Path) -> float:
    """Run the stage; return seconds per picture after the first block."""
    rows, start = extract_features(stage), 0.0

    def watched() -> Iterator[Vector | None]:
        nonlocal start
        for number, vector in enumerate(rows.vectors):
            start = time.perf_counter() if number == BLOCK else start
            yield vector

    n = write_features(watched(), folder / "out.parquet", dim=rows.dim, metadata={})
    seconds = time.perf_counter() - start
    remove_kept(stage.work)
    return seconds / (n - BLOCK)


def bare(name: str, device: str, precision: Precision = "float32") -> Callable[[], float]:
    """Return a forward pass over pixels that are already on the device."""
    network = networks.load(name, "seeded", 1)
    module = network.module.to(device, memory_format=torch.channels_last).eval()
    side, (size, n) = network.input.crop, (CPU_BATCH, N_BARE)
    if device != "cpu":
        size, n = GPU_BATCH, N_GPU_BARE
    batch = torch.rand(size, 3, side, side).to(device, memory_format=torch.channels_last)

    def run() -> float:
        start = time.perf_counter()
        with arithmetic(torch.device(device), precision):
            for _ in range(n // size):
                rows = module(batch)
            rows.cpu()  # waits for all batches
        return (time.perf_counter() - start) / n

    return run


def loop(name: str, device: str) -> Callable[[], float]:
    """Return a simple loop over pictures."""
    module = networks.load(name, "seeded", 1).module.to(device).eval()
    transforms = get_model_weights(name).DEFAULT.transforms()
    files = [jpeg(i) for i in range(N_LOOP if device == "cpu" else N_GPU_LOOP)]

    def run() -> float:
        start = time.perf_counter()
        rows = []
        for data in files:
            image = transforms(Image.open(io.BytesIO(data)).convert("RGB"))
            with torch.no_grad():
                rows.append(module(image[None].to(device))[0].cpu().numpy())
        np.stack(rows)
        return (time.perf_counter() - start) / len(files)

    return run


def decoding(name: str) -> Callable[[], float]:
    """Return the CPU part of the stage: files to pixels, by all processes."""
    expected = networks.load(name, "seeded", 1).input
    files = [jpeg(i) for i in range(32 * BLOCK)]
    chunks = [files[first : first + CHUNK] for first in range(0, len(files), CHUNK)]

    def run() -> float:
        with pixels.processes() as pool:
            deque(
                pool.map(pixels.decode, chunks[:32], [expected] * 32), maxlen=0
            )  # starts them
            start = time.perf_counter()
            deque(pool.map(pixels.decode, chunks, [expected] * len(chunks)), maxlen=0)
            return (time.perf_counter() - start) / len(files)

    return run


def on_gpu(folder: Path, network: str, machine: Machine) -> None:
    """Compare complete runs in each precision with the others."""
    decode, simple = decoding(network), loop(network, machine.device)
    for precision in get_args(Precision):
        stage = modality(folder, N_GPU, network, machine, precision)
        forward = bare(network, machine.device, precision)
        rounds = [
            (complete_run(stage, folder), forward(), decode(), simple())
            for _ in range(ROUNDS + 1)
        ]
        ours, passed, decoded, looped = map(statistics.median, zip(*rounds[1:], strict=True))
        print(
            f"{network} {precision}: stage {1 / ours:.0f} pictures/s, bare forward "
            f"{1 / passed:.0f}, decoding {1 / decoded:.0f}, loop {1 / looped:.0f}; stage / "
            f"slower of the two {max(passed, decoded) / ours:.2f}, stage / loop "
            f"{looped / ours:.1f}",
            flush=True,
        )


def on_cpu(folder: Path, network: str, machine: Machine) -> None:
    """Compare the stage's blocks with the others, in turn."""
    stage = modality(folder, BLOCKS * BLOCK, network, machine)
    rounds = in_turn(stage, folder, [bare(network, "cpu"), loop(network, "cpu")])
    ours, forward, looped = map(statistics.median, zip(*rounds, strict=True))
    print(
        f"{network}: stage {1 / ours:.1f} pictures/s, bare forward {1 / forward:.1f}, "
        f"loop {1 / looped:.1f}; stage / bare {forward / ours:.2f}, stage / loop "
        f"{looped / ours:.1f}",
        flush=True,
    )


def peak_of_this_process() -> int:
    """Return the peak memory in MB; getrusage would include the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def peak(folder: Path, n: int, machine: Machine) -> int:
    """Return the peak memory in MB of a process that encodes n pictures."""
    modality(folder, n, SMALL, machine)  # drawn here: the new process only reads them
    command = [sys.executable, __file__, "--threads", str(machine.threads)]
    command += ["--device", machine.device, "--peak", str(n), str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout.split()[-1])


def print_peak(folder: Path, n: int, machine: Machine) -> None:
    """Encode n existing pictures and print the peak memory in MB."""
    rows = extract_features(modality(folder, n, SMALL, machine))
    write_features(rows.vectors, folder / "out.parquet", dim=rows.dim, metadata={})
    print(peak_of_this_process())


def main() -> None:
    """Print pictures per second and their ratios, then the peak memory."""
    parse = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--threads", type=int, default=n_cpus(), help="in the network")
    parse.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parse.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    args = parse.parse_args()
    machine = Machine(device=args.device, threads=args.threads)
    torch.set_num_threads(args.threads)
    if args.peak:
        return print_peak(Path(args.peak[1]), int(args.peak[0]), machine)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network in ("vgg16", "resnet50"):
            (on_cpu if args.device == "cpu" else on_gpu)(folder, network, machine)
        few, many = (peak(folder, n, machine) for n in SIZES)
    print(f"peak memory: {few} MB with {SIZES[0]} pictures, {many} MB with {SIZES[1]}")
    return None


if __name__ == "__main__":
    main()
