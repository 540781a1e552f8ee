"""The trainings of the section `benchmark`, which are cells of the study.

One is trained once if the study asks for it too: the same settings, seed and budget. With
another budget than the study's, a cell has `budget-benchmark` in its name.
"""

from __future__ import annotations

from pipeline.params import study
from pipeline.params.cell import Cell, check_models, check_unique, named
from pipeline.params.experiments import Budget
from pipeline.params.model_section import ContentModel
from pipeline.params.models import learning_rate
from pipeline.params.study import Row
from pipeline.params.typed_file import Params
from pipeline.params.yaml_file import unknown

KEY = "benchmark"  # of params.yaml, and of the cells with its budget


def budget(settings: Params, dataset: str) -> Budget:
    """Return what one training may spend on a dataset."""
    if settings.benchmark.budget:
        return settings.benchmark.budget
    train = settings.of(dataset).train
    return Budget(**{key: getattr(train, key) for key in Budget.model_fields})


def budget_of(settings: Params, dataset: str, cell: Cell) -> Budget:
    """Return what a cell of the study or of the benchmark may spend."""
    if cell.budget:
        return budget(settings, dataset)
    return study.budget(settings).of_a_training()


def searched(settings: Params, cell: Cell) -> str | None:
    """Return the model whose sweep gives a cell's settings; None if nothing is searched."""
    return None if cell.budget else study.searched(settings, cell.model)


def left_out(settings: Params, dataset: str) -> dict[str, str]:
    """Return `{model: why}` of those of `benchmark.models` that a dataset cannot have."""
    possible = settings.possible(settings.benchmark.models, dataset)
    features = settings.dataset_features(dataset)
    reasons = {}
    for model in settings.benchmark.models:
        section = settings.typed_model(model, dataset)
        if model not in possible:
            needed = [*section.reads(features), *section.reads_tokens([])]
            reasons[model] = f"reads {', '.join(needed)}, which {dataset} does not have all of"
        elif isinstance(section, ContentModel) and section.modalities == "all" and not features:
            reasons[model] = f"reads all features, and {dataset} has none"
    return reasons


def rows(settings: Params, dataset: str) -> list[Row]:
    """Return the models of the benchmark on a dataset with their cells, one per seed.

    Models without parameters to train have the first seed alone.
    """
    shares = _has_the_studys_budget(settings, dataset)
    trained = study.first_rows(settings, dataset) if shares else {}
    absent = left_out(settings, dataset)
    found = []
    for model in settings.benchmark.models:
        if model in absent:
            continue
        key = study.training_key(settings, dataset, model, {})
        first, values = trained.setdefault(key, (model, {}))
        seeds = settings.benchmark.seeds
        if not learning_rate(settings.model(model, dataset)):
            seeds = seeds[:1]  # nothing is drawn
        cells = tuple(Cell(first, values, seed, "" if shares else KEY) for seed in seeds)
        found.append(Row(model, {}, cells))
    return found


def _has_the_studys_budget(settings: Params, dataset: str) -> bool:
    if not study.is_possible(settings):
        return False
    of_study = study.budget(settings)
    return not of_study.search and of_study.of_a_training() == budget(settings, dataset)


def cells(settings: Params, dataset: str) -> dict[str, Cell]:
    """Return `{name: cell}` of every training of the benchmark on a dataset."""
    return {cell.name: cell for row in rows(settings, dataset) for cell in row.cells}


def every_cell(settings: Params, dataset: str) -> dict[str, Cell]:
    """Return the cells of the study and of the benchmark."""
    return study.cells(settings, dataset) | cells(settings, dataset)


def cell(settings: Params, dataset: str, name: str) -> Cell:
    """Return one of `every_cell`, or raise ParamsError with an example."""
    found = every_cell(settings, dataset)
    return named(found, name, f"study or {KEY}", f"on {dataset}")


def check(settings: Params) -> None:
    """Refuse a section that cannot be run.

    Raises:
        ParamsError: a model or dataset that does not exist, or a name that is there twice.
    """
    section = settings.benchmark
    check_models(section.models, settings.sections, f"{KEY}.models")
    check_unique(section.models, f"{KEY}.models")
    check_unique(section.seeds, f"{KEY}.seeds")
    for dataset in section.published:
        if dataset not in settings.sources:
            what = f"no dataset {dataset!r}"
            raise unknown(f"{KEY}.published", what, settings.sources, f"sources.{dataset}")
