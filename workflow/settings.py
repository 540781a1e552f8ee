"""Stage `settings`: what each job takes from params.yaml, in a file of its own.

    params.yaml -> data/settings/STAGE/D.json, STAGE/D/F.json, STAGE/D/M.json
    files that features name -> their sha256 in features/D/F.json,
        a link data/named_files/D/F/SETTING

A file is rewritten only when its content changed. Both engines use them as inputs, so that an
edit of params.yaml re-runs the jobs it concerns and no others, even where an engine kept no
record of earlier params. A slice has the settings of its model in full, and no reference.

    python -m workflow.settings data/settings data/named_files
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import params
from pipeline.job.code import ROOT, closure
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.params import benchmark, extractors, study, sweep, tune
from pipeline.params.cell import Cell
from pipeline.tables.io import sha256_of, write_text
from workflow import named_files, other_engine

SETTINGS_FOLDER, LINKS_FOLDER = Path("data/settings"), Path("data/named_files")
PICTURES_FOLDER = Path("data/fingerprints/pictures")

Slices = dict[str, Any]  # {"stage/dataset[/modality, model or table]": what the job depends on}


def slices(settings: params.Params) -> Slices:
    """Return what every job depends on, by its slice's name.

    A feature depends on the content of the files that its settings name, and the download on
    the user's own tables and pictures. What is made of these does not need them: it depends on
    the feature, or on the downloaded files.

    Raises:
        RawDataError: such a file is there and cannot be read.
    """
    by_name: Slices = {}
    for dataset in settings.datasets:
        own = settings.of(dataset)
        by_name |= _data_slices(own, dataset)
        by_name |= _feature_slices(own, dataset)
        for model in own.all_models(dataset):
            by_name |= _model_slices(own, dataset, model)
        by_name |= _comparison_slices(own, dataset)
        by_name |= _factor_slices(own, dataset)
        for model in sweep.models(own, dataset):
            by_name |= _sweep_slices(own, dataset, model)
        for model in tune.models(own, dataset):
            by_name |= _tune_slice(own, dataset, model)
        by_name |= _cell_slices(own, dataset)
        by_name |= _study_slices(own, dataset)
        by_name |= _benchmark_slice(own, dataset)
    return by_name


def _data_slices(settings: params.Params, dataset: str) -> Slices:
    source = settings.source(dataset)
    n_candidates = settings.evaluate.candidates
    return {
        f"download/{dataset}": [source, settings.seed, named_files.source_checksums(source)],
        f"ingest/{dataset}": [source, settings.ingest],
        f"kcore/{dataset}": [source.format, settings.kcore],
        f"split/{dataset}": [source.format, settings.split, settings.seed, n_candidates],
        f"validate/{dataset}": [source.format],
        f"images/{dataset}": [settings.images, settings.reads_images(dataset)],
        f"tokens/{dataset}": [settings.dataset_tokens(dataset), settings.seed],
    }


def _feature_slices(settings: params.Params, dataset: str) -> Slices:
    """Return the slice of every modality; DVC's matrix also has those the dataset lacks."""
    features = settings.every_feature(dataset)
    return {
        f"features/{dataset}/{modality}": [
            features.get(modality),
            settings.seed,
            named_files.checksums(features.get(modality)),
        ]
        for modality in dict.fromkeys([*settings.modalities, *features])
    }


def _model_slices(settings: params.Params, dataset: str, model: str) -> Slices:
    shared = [
        model_code(settings.architecture(model)),
        settings.architecture(model),
        settings.model(model, dataset),
        settings.model_modalities(model, dataset),
        settings.seed,
    ]
    return {
        f"train/{dataset}/{model}": [*shared, settings.train],
        f"evaluate/{dataset}/{model}": [
            *shared,
            settings.evaluate.model_dump(exclude={"metrics"}),  # which only tables show
            list(settings.dataset_features(dataset)),
        ],
        f"recommend/{dataset}/{model}": [*shared, settings.recommend],
        f"deploy/{dataset}/{model}": [
            *shared,
            settings.train,
            settings.deploy.model_dump(exclude={"model"}),
        ],
    }


@cache
def model_code(architecture: str) -> dict[str, str]:
    """Return `{file: sha256}` of the code below model/ that a recommender runs.

    That is its file, what it imports, and the files at the top of model/: an edit of one
    recommender is no reason to train another.
    """
    recommenders = Path("model/recommenders")
    top = (path.relative_to(ROOT) for path in (ROOT / "model").glob("[!_]*.py"))
    # Not what knows several recommenders, such as explanations: no training imports it.
    shared = (file for file in top if not closure([file], recommenders))
    files = closure([recommenders / f"{architecture}.py", *shared], Path("model"))
    return {file.as_posix(): sha256_of(ROOT / file) for file in files}


def _comparison_slices(settings: params.Params, dataset: str) -> Slices:
    """Return the slices of all comparisons: of `models`, of each table, of the extractors."""
    shown = [settings.evaluate.metrics, settings.train.select_by]
    first, source = [settings.compare, settings.seed, *shown], settings.source(dataset)
    features = settings.dataset_features(dataset)
    by_name: Slices = {
        f"compare/{dataset}": [*first, settings.models, source, features],
        f"curves/{dataset}": [settings.models, settings.evaluate.metrics],
    }
    for table in settings.table_names(dataset):
        read = settings.every_feature(dataset) if table == extractors.TABLE else features
        models = settings.table(table, dataset)
        by_name[f"compare/{dataset}/{table}"] = [*first, models, source, read]
    return by_name


def _factor_slices(settings: params.Params, dataset: str) -> Slices:
    """Return the slice of what moves a score, which generated datasets have."""
    source, features = settings.source(dataset), settings.dataset_features(dataset)
    if source.format != "sample":
        return {}
    models = settings.content_models(dataset)
    code = {model: model_code(settings.architecture(model)) for model in models}
    shared = [source, features, models, settings.seed, code]
    return {f"factors/{dataset}": [settings.factors.items, *shared]}


def _sweep_slices(settings: params.Params, dataset: str, model: str) -> dict[str, Any]:
    section, code = sweep.section(settings), model_code(settings.architecture(model))
    fixed = sweep.fixed(settings, dataset, model) | {"code": code}
    tried = [sweep.ranges(settings, dataset, model), section.seeds, section.trials]
    cells = [cell.short_name for cell in sweep.cells(settings, dataset, model)]
    n_candidates = settings.evaluate.candidates
    # The lines to paste also hold what the section already has for this dataset.
    layer = settings.sections[model].get(dataset)
    return {
        f"sweep_cell/{dataset}/{model}": fixed,
        f"sweep_search/{dataset}/{model}": [fixed, *tried, settings.seed],
        f"sweep_table/{dataset}/{model}": [fixed, *tried, cells, layer, n_candidates],
    }


def _tune_slice(settings: params.Params, dataset: str, model: str) -> Slices:
    section, code = tune.as_sweep(settings), model_code(settings.architecture(model))
    fixed = sweep.fixed(section, dataset, model) | {"code": code}
    ranges = sweep.ranges(section, dataset, model)
    rounds = [asdict(entry) for entry in tune.rounds(settings, dataset, model)]
    shared = [settings.seed, settings.evaluate.candidates]
    return {f"tune_search/{dataset}/{model}": [fixed, ranges, rounds, *shared]}


def _cell_slices(settings: params.Params, dataset: str) -> Slices:
    """Return the slices of the trainings of the study and of the benchmark."""
    evaluate = settings.evaluate.model_dump(exclude={"metrics"})
    return {
        f"study_cell/{dataset}/{name}": [
            model_code(settings.architecture(cell.model)),
            settings.architecture(cell.model),
            study.model_settings(settings, dataset, cell.model, cell.values),
            settings.model_modalities(cell.model, dataset),
            cell.seed,
            [_train(settings, dataset, cell), evaluate, benchmark.searched(settings, cell)],
        ]
        for name, cell in benchmark.every_cell(settings, dataset).items()
    }


def _train(settings: params.Params, dataset: str, cell: Cell) -> params.Train:
    """Return the section `train` with a cell's budget."""
    budget = benchmark.budget_of(settings, dataset, cell)
    return settings.train.model_copy(update=budget.model_dump())


def _study_slices(settings: params.Params, dataset: str) -> Slices:
    """Return the slices of the study's tables and of its page."""
    if not study.is_possible(settings):
        return {}
    budget = study.budget(settings)
    rows = {
        table: [[row.label, [cell.name for cell in row.cells]] for row in rows]
        for table, rows in study.tables(settings, dataset).items()
    }
    measured = [settings.evaluate, settings.train.select_by]
    shared = [rows, budget, settings.study.budget, settings.source(dataset), measured]
    shown = [settings.models, settings.compare, settings.seed]
    return {
        f"study_tables/{dataset}": [*shared, settings.dataset_features(dataset)],
        f"study_page/{dataset}": [*shared, shown],
    }


def _benchmark_slice(settings: params.Params, dataset: str) -> Slices:
    section = settings.benchmark
    if not section.models:
        return {}
    rows = benchmark.rows(settings, dataset)
    return {
        f"benchmark/{dataset}": [
            [[row.label, [cell.name for cell in row.cells]] for row in rows],
            [benchmark.budget(settings, dataset), section.seeds],
            [section.published.get(dataset), benchmark.left_out(settings, dataset)],
            [settings.evaluate, settings.train],
            [settings.source(dataset), settings.dataset_features(dataset)],
            [row.model for row in rows if settings.has_layer(row.model, dataset)],
        ]
    }


def write(settings: params.Params, folder: Path, links_folder: Path) -> None:
    """Bring both folders up to date: write what changed, remove what is no longer used.

    Args:
        settings: the validated parameters.
        folder: of the slices.
        links_folder: of the links to the files that features and sources name.

    Raises:
        RawDataError: a file that params.yaml names is there and cannot be read.
    """
    texts = {folder / f"{name}.json": _text(value) for name, value in slices(settings).items()}
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(text, path)
    for path in sorted(folder.rglob("*.json")):
        if path not in texts:
            path.unlink()
    named_files.write_picture_links(settings, folder / "pictures")
    named_files.write_links(settings, links_folder)


def _text(value: Any) -> str:
    return json.dumps(value, default=BaseModel.model_dump, indent=1, sort_keys=True) + "\n"


def check_modalities(settings: params.Params) -> None:
    """Refuse a modality that dvc.yaml would leave out silently.

    Its matrix is datasets x `modalities`; Snakemake, which does not run this stage, plans by
    `features` alone.

    Raises:
        ParamsError: a dataset to be built has a modality that `modalities` does not list.
    """
    for dataset in settings.datasets:
        for modality in settings.dataset_features(dataset):
            if modality not in settings.modalities:
                raise ParamsError(
                    f"params.yaml: modalities: expected {modality!r} among them, since "
                    f"features.{dataset}.{modality} is there and {dataset} is in `datasets`; "
                    f"got {settings.modalities}"
                )


def main(argv: list[str] | None = None) -> None:
    """Validate params.yaml and write the files."""
    arguments = parser(__doc__)
    arguments.add_argument("folder", type=Path, help="of the slices")
    arguments.add_argument("links", type=Path, help="of the links to the files that are named")
    args = arguments.parse_args(argv)
    settings = params.load()
    other_engine.before_dvc()
    check_modalities(settings)
    named_files.check(settings)
    write(settings, args.folder, args.links)


if __name__ == "__main__":
    run(main)
