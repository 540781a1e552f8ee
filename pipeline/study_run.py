r"""The study of one dataset without Snakemake: every stage of it, one after the other.

    data/processed/D, data/features/D, data/images/D, results/D/M [, results/D/M/sweep.json]
        -> results/D/study/ but for times.txt; for generated datasets also results/D/study.*

For DVC, whose matrix is a full product and cannot leave cells out: one stage, which makes the
files that `snakemake study` makes, to the last byte (workflow/README.md has its lines). A cell
that was trained from the same settings, data, features and code is not trained again, which
notes in .work/study_run/ tell, and one that was killed goes on; so a run that was stopped is
started again.

    python -m pipeline.study_run sample
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import params, study_cell, study_examples, study_page
from pipeline import schema as s
from pipeline import study as factors
from pipeline import study_tables as tables
from pipeline.command import parser, run
from pipeline.io import sha256_of, write_json
from pipeline.paper import budget as study_budget
from pipeline.paper import cells as study_cells
from pipeline.paper.settings import FOLDER

log = logging.getLogger("study_run")
WORK = Path(".work/study_run")
CODE = (
    "evaluate", "feature_table", "io", "learning", "schema", "search", "study_cell", "train",
)  # fmt: skip
TABLES = (
    s.USERS_FILE, s.ITEMS_FILE, s.TRAIN_FILE, s.VALIDATION_FILE, s.TEST_FILE,
    s.CANDIDATES_FILE,
)  # fmt: skip
MADE = (s.CHECKPOINT_FILE, s.HISTORY_FILE, s.METRICS_FILE, s.RANKS_FILE)


def cell(settings: params.Params, dataset: str, name: str, device: str) -> bool:
    """Train and rank a cell unless that was done, and tell whether it was done now.

    Args:
        settings: the file params.yaml.
        dataset: its name.
        name: of the cell.
        device: auto, cpu, cuda or mps.
    """
    model = study_cells.cell(settings, dataset, name).model
    searched = study_budget.searched(settings, model)
    sweep = Path(f"results/{dataset}/{searched}") / s.SWEEP_JSON if searched else None
    own, note = Path(f"results/{dataset}/{FOLDER}/{name}"), WORK / dataset / f"{name}.json"
    read = [*inputs(settings, dataset, model), *([sweep] if sweep else [])]
    known = {"settings": _slice(settings, dataset, name), "inputs": _sums(read)}
    outputs = [own / file for file in MADE]
    if note.exists() and all(path.exists() for path in outputs):
        said = json.loads(note.read_text(encoding="utf-8"))
        if said == known | {"outputs": _sums(outputs)}:
            return False
    option = ["--sweep", str(sweep)] if sweep else []
    folders = [f"data/processed/{dataset}", f"data/features/{dataset}", str(own)]
    arguments = [dataset, name, *folders, *option, "--device", device, "--threads", "1"]
    study_cell.main(arguments)
    write_json(known | {"outputs": _sums(outputs)}, note)
    return True


def inputs(settings: params.Params, dataset: str, model: str) -> Iterator[Path]:
    """Yield what a cell is made of: code, tables, features."""
    yield from sorted(Path("model").glob("*.py"))
    yield from (Path("pipeline") / f"{name}.py" for name in CODE)
    yield from (Path(f"data/processed/{dataset}") / name for name in TABLES)
    for modality in settings.model_modalities(model, dataset):
        yield Path(f"data/features/{dataset}/{modality}.parquet")


def _sums(paths: list[Path]) -> dict[str, str]:
    return {str(path): sha256_of(path) if path.exists() else "" for path in paths}


def _slice(settings: params.Params, dataset: str, name: str) -> str:
    own = study_cells.slices(settings, dataset)[f"study_cell/{dataset}/{name}"]
    text = json.dumps(own, default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: BaseModel) -> Any:
    return value.model_dump()


def main(argv: list[str] | None = None) -> None:
    """Run the cells that are missing, then everything that is made of them."""
    parse = parser("study_run", __doc__)
    parse.add_argument("dataset", help="a name under `sources` in params.yaml")
    parse.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    args = parse.parse_args(argv)
    settings, dataset = params.load(), args.dataset
    names = list(study_cells.cells(settings, dataset))
    for number, name in enumerate(names, 1):
        done = cell(settings, dataset, name, args.device)
        log.info("%d of %d: %s%s", number, len(names), name, "" if done else ", kept")

    processed, features = f"data/processed/{dataset}", f"data/features/{dataset}"
    images, results = f"data/images/{dataset}.parquet", f"results/{dataset}"
    study, option = f"{results}/{FOLDER}", []
    if settings.source(dataset).format == "sample":
        raw = f"data/raw/{dataset}"
        factors.main([dataset, raw, processed, features, images, results])
        option = ["--factors", results]
    tables.main([dataset, processed, features, study])
    study_examples.main([dataset, processed, features, study, "--threads", "1"])
    study_page.main([dataset, processed, images, study, *option])


if __name__ == "__main__":
    run(main)
