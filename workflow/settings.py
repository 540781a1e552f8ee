"""Stage `settings`: what each job takes from params.yaml, in a file of its own.

    params.yaml -> data/settings/STAGE/D.json, STAGE/D/F.json, STAGE/D/M.json
    files that features name -> their sha256 in features/D/F.json,
        a link data/named_files/D/F/SETTING

A file is rewritten only when its content changed. Both engines use them as inputs, so that an
edit of params.yaml re-runs the jobs it concerns and no others, even where an engine kept no
record of earlier params. Model settings are resolved (default, dataset, variant).

The links are for DVC, whose dependencies are a fixed list: it looks through them at the content
of this stage's own output, and runs the stage when that is no longer what it was. What is not
there cannot be linked, so the stage refuses it; Snakemake leaves that to the stage `features`.
They lie beside the slices, which DVC keeps in its cache, where weights do not belong.

    python -m workflow.settings data/settings data/named_files
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.params import extractors, study, sweep
from pipeline.params.features import Settings as FeatureSettings
from pipeline.tables.io import replacing, sha256_of, write_text
from workflow.checksums import remembered_sha256
from workflow.code import ROOT, closure

SETTINGS_FOLDER, LINKS_FOLDER = Path("data/settings"), Path("data/named_files")
KEPT = ".gitkeep"  # in git, so that a fresh clone has the folder and DVC finds it unchanged
MAY_NAME_A_FILE = ("weights", "path", "ids")  # settings of an extractor


def slices(settings: params.Params) -> dict[str, Any]:
    """Return `{"stage/dataset[/modality or model]": what the job depends on}`.

    A feature depends on the content of the files that its settings name. What is made of a
    feature does not need them: it depends on the feature.

    Raises:
        RawDataError: such a file is there and cannot be read.
    """
    found: dict[str, Any] = {}
    for dataset in settings.datasets:
        source = settings.source(dataset)
        features = settings.dataset_features(dataset)
        every_feature = settings.every_feature(dataset)
        compared = [settings.compare, settings.seed]
        reads_images = any(feature.field == "image" for feature in features.values())
        found |= {
            f"download/{dataset}": [source, settings.seed],
            f"ingest/{dataset}": [source, settings.ingest],
            f"kcore/{dataset}": [source.format, settings.kcore.of(dataset)],
            f"split/{dataset}": [source.format, settings.split, settings.seed],
            f"validate/{dataset}": [source.format],
            f"images/{dataset}": [settings.images, reads_images],
            f"compare/{dataset}": [*compared, settings.models, source, features],
            f"curves/{dataset}": [settings.models],
        }
        if source.format == "sample":
            models = settings.content_models(dataset)
            code = {model: model_code(settings.architecture(model)) for model in models}
            own = [settings.factors.items, source, features, models, settings.seed, code]
            found[f"factors/{dataset}"] = own
        for modality in dict.fromkeys([*settings.modalities, *every_feature]):
            feature = every_feature.get(modality)
            own = [feature, settings.seed, _contents(feature)]
            found[f"features/{dataset}/{modality}"] = own
        for table in settings.tables:
            models = settings.table(table, dataset)
            found[f"compare/{dataset}/{table}"] = [*compared, models, source, features]
        if every_feature != features:
            models = settings.table(extractors.TABLE, dataset)
            own = [*compared, models, source, every_feature]
            found[f"compare/{dataset}/{extractors.TABLE}"] = own
        for model in settings.all_models(dataset):
            found |= _model_slices(settings, dataset, model)
        for model in sweep.models(settings, dataset):
            found |= _sweep_slices(settings, dataset, model)
        found |= _study_slices(settings, dataset)
    return found


def model_code(architecture: str) -> dict[str, str]:
    """Return `{file: sha256}` of the code below model/ that a recommender runs.

    That is its own file, what it imports, and what lies at the top of model/: an edit of one
    recommender is no reason to train another.
    """
    recommenders = Path("model/recommenders")
    top = (path.relative_to(ROOT) for path in (ROOT / "model").glob("[!_]*.py"))
    # Not what knows several recommenders, such as explanations: no training imports it.
    shared = (file for file in top if not closure([file], recommenders))
    files = closure([recommenders / f"{architecture}.py", *shared], Path("model"))
    return {file.as_posix(): sha256_of(ROOT / file) for file in files}


def _model_slices(settings: params.Params, dataset: str, model: str) -> dict[str, Any]:
    own = [
        model_code(settings.architecture(model)),
        settings.architecture(model),
        settings.model(model, dataset),
        settings.model_modalities(model, dataset),
        settings.seed,
    ]
    return {
        f"train/{dataset}/{model}": [*own, settings.train],
        f"evaluate/{dataset}/{model}": [*own, settings.evaluate],
        f"recommend/{dataset}/{model}": [*own, settings.recommend],
    }


def _sweep_slices(settings: params.Params, dataset: str, model: str) -> dict[str, Any]:
    section, code = sweep.section(settings), model_code(settings.architecture(model))
    fixed = sweep.fixed(settings, dataset, model) | {"code": code}
    tried = [sweep.ranges(settings, dataset, model), section.seeds, section.trials]
    cells = [cell.short_name for cell in sweep.cells(settings, dataset, model)]
    # The lines to paste also hold what the section already has for this dataset.
    layer = settings.sections[model].get(dataset)
    return {
        f"sweep_cell/{dataset}/{model}": fixed,
        f"sweep_search/{dataset}/{model}": [fixed, *tried, settings.seed],
        f"sweep_table/{dataset}/{model}": [fixed, *tried, cells, layer],
    }


def _study_slices(settings: params.Params, dataset: str) -> dict[str, Any]:
    """Return the slices of the study's trainings, of its tables and of its page."""
    if not study.is_possible(settings):
        return {}
    budget = study.budget(settings)
    train = settings.train.model_copy(update=budget.of_a_training().model_dump())
    trainings = {
        f"study_cell/{dataset}/{name}": [
            model_code(settings.architecture(cell.model)),
            settings.architecture(cell.model),
            study.model_settings(settings, dataset, cell.model, cell.values),
            settings.model_modalities(cell.model, dataset),
            cell.seed,
            [train, settings.evaluate, study.searched(settings, cell.model)],
        ]
        for name, cell in study.cells(settings, dataset).items()
    }
    rows = {
        table: [[row.label, [cell.name for cell in row.cells]] for row in rows]
        for table, rows in study.tables(settings, dataset).items()
    }
    shared = [rows, budget, settings.study.budget, settings.source(dataset)]
    shown = [settings.models, settings.compare, settings.seed]
    return trainings | {
        f"study_tables/{dataset}": [*shared, settings.dataset_features(dataset)],
        f"study_page/{dataset}": [*shared, shown],
    }


def _contents(feature: FeatureSettings | None) -> dict[str, str | None]:
    """Return `{setting: sha256}`; None for a name such as `imagenet`, or an absent file."""
    named = {name: getattr(feature, name, None) for name in MAY_NAME_A_FILE}
    return {
        name: remembered_sha256(Path(value))
        for name, value in named.items()
        if value is not None
    }


def links(settings: params.Params) -> dict[str, Path]:
    """Return `{"dataset/modality/setting": file}` of the files that features name."""
    return {
        f"{dataset}/{modality}/{name}": Path(getattr(feature, name)).absolute()
        for dataset in settings.datasets
        for modality, feature in settings.dataset_features(dataset).items()
        for name, sha256 in _contents(feature).items()
        if sha256 is not None
    }


def write(settings: params.Params, folder: Path, links_folder: Path) -> None:
    """Bring both folders up to date: touch what changed, remove what is not named.

    Args:
        settings: the validated parameters.
        folder: where the slices lie.
        links_folder: where the links lie; it is made, even if there are none.

    Raises:
        RawDataError: a file that a feature names is there and cannot be read.
    """
    wanted = {folder / f"{name}.json": _text(value) for name, value in slices(settings).items()}
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(text, path)
    for path in sorted(folder.rglob("*.json")):
        if path not in wanted:
            path.unlink()
    named = {links_folder / name: file for name, file in links(settings).items()}
    _link(named, links_folder)


def _link(wanted: dict[Path, Path], folder: Path) -> None:
    """Make the links that are wanted below `folder`, and remove all others."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / KEPT).exists():
        (folder / KEPT).touch()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and (path not in wanted or path.readlink() != wanted[path]):
            path.unlink()
    for path, file in wanted.items():
        if not path.is_symlink():
            with replacing(path) as partial:
                partial.symlink_to(file)


def check_modalities(settings: params.Params) -> None:
    """Refuse a modality that dvc.yaml would leave out without a word.

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


def check_files(settings: params.Params) -> None:
    """Refuse a file that is not there: DVC would not see when it comes, nor when it changes.

    A name among `weights`, such as `imagenet`, has neither a dot nor a slash.

    Raises:
        RawDataError: a feature of a dataset to be built names such a file.
    """
    for dataset in settings.datasets:
        for modality, feature in settings.dataset_features(dataset).items():
            for name, sha256 in _contents(feature).items():
                value = getattr(feature, name)
                if sha256 is None and (name != "weights" or set("./") & set(value)):
                    raise RawDataError(
                        f"params.yaml: features.{dataset}.{modality}.{name}: no such file "
                        f"{value}; put it there, or leave this modality out until it is"
                    )


def _text(value: Any) -> str:
    return json.dumps(value, default=_plain, indent=1, sort_keys=True) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"expected a section of params.yaml, got {type(value).__name__}")


def main(argv: list[str] | None = None) -> None:
    """Validate params.yaml and write the files."""
    arguments = parser(__doc__)
    arguments.add_argument("folder", type=Path, help="where to write the slices")
    arguments.add_argument("links", type=Path, help="where to link the files that are named")
    args = arguments.parse_args(argv)
    settings = params.load()
    check_modalities(settings)
    check_files(settings)
    write(settings, args.folder, args.links)


if __name__ == "__main__":
    run(main)
