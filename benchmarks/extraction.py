"""Features of pictures per second: the stage, a bare forward pass, the loop that most write.

    PYTHONPATH=. python benchmarks/extraction.py [threads]

Pictures are JPEG files of 400 x 400 pixels, drawn from a seed; weights are untrained. The stage
reads them from a table, decodes, encodes, keeps blocks and writes Parquet. The bare forward
pass has its pixels in memory, batches of the stage's size, channels_last, and stops at the same
layer. The loop opens one picture at a time, applies torchvision's transforms, and runs the
network as it comes. After each block of the stage its clock stops and the other two have their
turn; the median of the blocks counts. Then the peak memory of the stage with 200 and with 2,000
pictures of the same kind (efficientnet_lite0, each in a process of its own).
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image
from torchvision.models import get_model_weights

from pipeline.extractors import BLOCK, Machine, n_cpus, networks
from pipeline.extractors.encode import CPU_BATCH
from pipeline.feature_settings import ImageNetwork
from pipeline.feature_table import Vector, write_features
from pipeline.features import Modality, extract_features
from pipeline.kept_blocks import forget
from pipeline.picture_table import ROWS
from pipeline.schema import IMAGES, ITEMS

N_BARE, N_LOOP, BLOCKS = 48, 16, 5
SIZES = 200, 2_000
SMALL = "efficientnet_lite0"  # the network whose memory is measured


def jpeg(number: int) -> bytes:
    """Return a picture with edges and gradients, such as a product on a plain ground."""
    random = np.random.default_rng(number)
    small = Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8))
    file = io.BytesIO()
    small.resize((400, 400), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def modality(folder: Path, n: int, network: str, threads: int) -> Modality:
    """Write a table of n different pictures unless it is there; return the stage's work."""
    images = folder / f"images_{n}.parquet"
    if not images.exists():
        rows = [(i, "ok", jpeg(i), 400, 400, "drawn") for i in range(n)]
        table = pl.DataFrame(rows, schema=IMAGES, orient="row")
        table.write_parquet(images, row_group_size=ROWS)  # as the stage images does
    empty = {name: [None] * n for name in ITEMS} | {"item": list(range(n))}
    return Modality(
        where=f"{network}, {n} pictures",
        settings=ImageNetwork(extractor=network, weights="seeded"),
        seed=1,
        machine=Machine(device="cpu", threads=threads),
        items=pl.DataFrame(empty, schema=ITEMS),
        images=images,
        work=folder / "work",
    )


def in_turn(
    what: Modality, folder: Path, others: list[Callable[[], float]]
) -> Iterator[list[float]]:
    """Run the stage; after each block but the first yield seconds per picture of everybody."""
    rows = extract_features(what)
    found: list[list[float]] = []
    start = time.perf_counter()

    def watched() -> Iterator[Vector | None]:
        nonlocal start
        for number, vector in enumerate(rows.vectors):
            yield vector
            if (number + 1) % BLOCK == 0:
                own = (time.perf_counter() - start) / BLOCK
                found.append([own, *(other() for other in others)])
                start = time.perf_counter()

    write_features(watched(), folder / "out.parquet", dim=rows.dim, metadata={})
    forget(what.work)
    yield from found[1:]


def bare(name: str) -> Callable[[], float]:
    """Return a forward pass over pixels that are there already."""
    network = networks.load(name, "seeded", 1)
    module = network.module.to(memory_format=torch.channels_last).eval()
    side = network.input.crop
    batch = torch.rand(CPU_BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)

    def run() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(N_BARE // CPU_BATCH):
                module(batch)
        return (time.perf_counter() - start) / N_BARE

    return run


def loop(name: str) -> Callable[[], float]:
    """Return the loop that most people write."""
    module = networks.load(name, "seeded", 1).module.eval()
    transforms = get_model_weights(name).DEFAULT.transforms()
    files = [jpeg(i) for i in range(N_LOOP)]

    def run() -> float:
        start = time.perf_counter()
        rows = []
        for data in files:
            image = transforms(Image.open(io.BytesIO(data)).convert("RGB"))
            with torch.no_grad():
                rows.append(module(image[None])[0].numpy())
        np.stack(rows)
        return (time.perf_counter() - start) / N_LOOP

    return run


def peak_of_this_process() -> int:
    """Return it in MB; getrusage would count the process that forked this one as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def peak(folder: Path, n: int, threads: int) -> int:
    """Return the peak memory in MB of a process that encodes n pictures."""
    modality(folder, n, SMALL, threads)  # drawn here: the other process only reads them
    command = [sys.executable, __file__, str(threads), str(n), str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout.split()[-1])


def main() -> None:
    """Print pictures per second and their ratios, then the peak memory."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else n_cpus()
    torch.set_num_threads(threads)
    if len(sys.argv) > 3:
        folder = Path(sys.argv[3])
        rows = extract_features(modality(folder, int(sys.argv[2]), SMALL, threads))
        write_features(rows.vectors, folder / "out.parquet", dim=rows.dim, metadata={})
        print(peak_of_this_process())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network in ("vgg16", "resnet50"):
            what = modality(folder, BLOCKS * BLOCK, network, threads)
            rounds = in_turn(what, folder, [bare(network), loop(network)])
            ours, forward, one = map(statistics.median, zip(*rounds, strict=True))
            print(
                f"{network}: stage {1 / ours:.1f} pictures/s, bare forward {1 / forward:.1f}, "
                f"loop {1 / one:.1f}; stage / bare {forward / ours:.2f}, stage / loop "
                f"{one / ours:.1f}",
                flush=True,
            )
        few, many = (peak(folder, n, threads) for n in SIZES)
    print(f"peak memory: {few} MB with {SIZES[0]} pictures, {many} MB with {SIZES[1]}")


if __name__ == "__main__":
    main()
