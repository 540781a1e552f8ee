"""Shared by the rules: the checked parameters, and the inputs that depend on them."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from workflow import named_files, settings
from pipeline.params import extractors
from pipeline import params
from pipeline.job.errors import PipelineError
from pipeline.params import benchmark as benchmark_cells
from pipeline.params import study
from pipeline.params import sweep
from pipeline.params import tune
from pipeline.params.tokens import features_read as features_read_by_tokens
from pipeline.comparison import published_numbers
from pipeline.pages.file_names import (
    BENCHMARK_JSON,
    BENCHMARK_MD,
    CELLS_FOLDER,
    COMPARISON_JSON,
    COMPARISON_MD,
    EXPLANATIONS_FILE,
    FACTORS_JSON,
    FACTORS_SVG,
    REPORT_FILE,
    SWEEP_JSON,
    SWEEP_MD,
    TABLES_TEX,
    TIMES_FILE,
    TRIALS_FILE,
    TUNE_MD,
    VALIDATION_MD,
)

# Fail early, with the key's name. The slices are inputs of the jobs.
try:
    PARAMS = params.load()
    settings.write(PARAMS, settings.SETTINGS_FOLDER, settings.LINKS_FOLDER)
    named_files.write_pictures_checksums(PARAMS, settings.PICTURES_FOLDER)
except PipelineError as error:
    raise WorkflowError(str(error)) from None

# A stage that computes takes every core: two at once would slow each other down. Where the
# number of cores is unknown (a report, a cluster), the profile's set-threads applies.
try:
    ALL_CORES = workflow.cores
except WorkflowError:
    ALL_CORES = 1


MODEL_STAGES = ["train", "evaluate_model", "recommend"]


def code(*names):
    """Return the files of modules and folders and of pipeline/tables, in a stable order.

    They cover what a stage imports, so that it re-runs after a change. Not included are
    pipeline/params and model, whose effect is in the slice in data/settings, and pipeline/job,
    which does not affect content.
    """
    files = []
    for path in map(Path, ("pipeline/tables", *names)):
        files += [path] if path.is_file() else sorted(path.rglob("*.py"))
        files += sorted(path.rglob("*.html.j2"))
    return [str(file) for file in files]


def every_output(wildcards):
    """Return what the stages make of every dataset: a deleted file is made again."""
    stages = [
        "download",
        "ingest",
        "kcore",
        "split",
        "validate",
        "images",
        "tokens",
        "compare",
        "curves",
    ]
    of_dataset, of_model = (
        [str(file) for name in names for file in getattr(rules, name).output]
        for names in (stages, MODEL_STAGES)
    )
    features = [
        f"data/features/{dataset}/{modality}.parquet"
        for dataset in PARAMS.datasets
        for modality in PARAMS.dataset_features(dataset)
    ]
    return (
        expand(of_dataset, dataset=PARAMS.datasets)
        + expand(of_model, dataset=PARAMS.datasets, model=PARAMS.models)
        + features
    )


def all_models():
    """Return every model of `models`, `tables`, `extractors`, `deploy`, `sweep` and `tune`."""
    found = [m for dataset in PARAMS.datasets for m in PARAMS.all_models(dataset)]
    found += PARAMS.sweep.models if PARAMS.sweep else []
    found += PARAMS.tune.models or []
    return list(dict.fromkeys(found))


def table_files():
    """Return the comparison of every table on every dataset."""
    return expand(
        "results/{dataset}/{table}/{name}",
        dataset=PARAMS.datasets,
        table=PARAMS.tables,
        name=[COMPARISON_JSON, COMPARISON_MD, REPORT_FILE],
    )


def extractor_files(wildcards):
    """Return the comparison of extractors of every dataset that has one."""
    datasets = [name for name in PARAMS.datasets if name in PARAMS.extractors]
    if not datasets:
        raise WorkflowError(
            f"params.yaml: extractors: expected one of {PARAMS.datasets}, the datasets of"
            f" `datasets`, got {list(PARAMS.extractors)}"
        )
    try:
        for dataset in datasets:
            PARAMS.comparison(dataset)
    except PipelineError as error:
        raise WorkflowError(str(error)) from None
    return expand(
        "results/{dataset}/{table}/{name}",
        dataset=datasets,
        table=extractors.TABLE,
        name=[COMPARISON_JSON, COMPARISON_MD, REPORT_FILE],
    )


def sweep_tables():
    """Return the sweep table of every swept model on every dataset."""
    return [
        f"results/{dataset}/{model}/{SWEEP_MD}"
        for dataset in PARAMS.datasets
        for model in sweep.models(PARAMS, dataset)
    ]


def sweep_files(wildcards):
    """Return `sweep_tables`.

    Raises:
        WorkflowError: `sweep` declares nothing.
    """
    try:
        sweep.section(PARAMS)
    except PipelineError as error:
        raise WorkflowError(str(error)) from None
    return sweep_tables()


def tune_files(wildcards):
    """Return the table of every tuned model on every dataset, and print what they cost.

    Raises:
        WorkflowError: no model is tuned.
    """
    pairs = [(d, m) for d in PARAMS.datasets for m in tune.models(PARAMS, d)]
    if not pairs:
        raise WorkflowError(
            "params.yaml: tune.models: expected a model that has one of"
            f" {list(PARAMS.tune.ranges)}, got {PARAMS.tune.models or PARAMS.models}"
        )
    for dataset, model in pairs:
        cost = tune.cost(PARAMS.of(dataset), dataset, model)
        print(f"{dataset} {model}: {cost}", file=sys.stderr)
    return [f"results/{dataset}/{model}/{TUNE_MD}" for dataset, model in pairs]


def tried(wildcards):
    """Return the results of a model's cells, and of the search over them if there is one."""
    dataset, model = wildcards.dataset, wildcards.model
    folder = f"results/{dataset}/{model}"
    cells = [
        f"{folder}/{CELLS_FOLDER}/{cell.short_name}.json"
        for cell in sweep.cells(PARAMS, dataset, model)
    ]
    return cells + ([f"{folder}/{TRIALS_FILE}"] if PARAMS.sweep.trials else [])


def of_table(*patterns):
    """Return an input function: these files of every model of a job's table."""

    def files(wildcards):
        models = PARAMS.table(wildcards.table, wildcards.dataset)
        return expand(patterns, dataset=wildcards.dataset, model=models)

    return files


def study_files(wildcards):
    """Return the page of every dataset; for generated ones also what moves a score there."""
    if message := study.missing_table(PARAMS):
        raise WorkflowError(message)
    datasets = PARAMS.datasets
    generated = [name for name in datasets if PARAMS.source(name).format == "sample"]
    files = expand("results/{dataset}/{name}", dataset=generated, name=FACTORS_JSON)
    if study.is_possible(PARAMS):
        names = [TABLES_TEX, REPORT_FILE, TIMES_FILE]
        files += expand("results/{dataset}/study/{name}", dataset=datasets, name=names)
    return files


def benchmark_files(wildcards):
    """Return the table of every dataset beside its published numbers.

    Raises:
        WorkflowError: no model is named, or a dataset is linked with numbers that are not there.
    """
    if not PARAMS.benchmark.models:
        raise WorkflowError(
            "params.yaml: benchmark.models: expected at least one, got none"
        )
    try:
        for dataset in PARAMS.datasets:
            published_numbers.linked(PARAMS.of(dataset), dataset)
    except PipelineError as error:
        raise WorkflowError(str(error)) from None
    return expand(
        "results/{dataset}/{name}", dataset=PARAMS.datasets, name=BENCHMARK_MD
    )


def explanation_files():
    """Return the explanations of every model on every dataset."""
    return expand(
        "results/{dataset}/{model}/{name}",
        dataset=PARAMS.datasets,
        model=PARAMS.models,
        name=EXPLANATIONS_FILE,
    )


# What a deployed model consists of; see pipeline/explore/deploy.py.
DEPLOYED = ["recommendations.parquet", "users.parquet", "items.parquet", "vectors.json"]
DEPLOYED += ["items.faiss"] if PARAMS.deploy.faiss else []


def deploy_files(wildcards):
    """Return the files of the deployed model on every dataset.

    Raises:
        WorkflowError: `deploy` names no model, or one that reads what a dataset lacks.
    """
    model = PARAMS.deploy.model
    if model is None:
        raise WorkflowError(
            "params.yaml: deploy.model: expected the model that goes to production, such"
            f" as {PARAMS.models[-1]}"
        )
    try:
        for dataset in PARAMS.datasets:
            PARAMS.model(model, dataset)
    except PipelineError as error:
        raise WorkflowError(str(error)) from None
    return expand(
        "results/{dataset}/{model}/deploy/{name}",
        dataset=PARAMS.datasets,
        model=model,
        name=DEPLOYED,
    )


# The trainings of the study: {dataset: {name: cell}}.
CELLS = {dataset: study.cells(PARAMS, dataset) for dataset in PARAMS.datasets}


def cell_of(wildcards):
    """Return the cell of a job, of the study or of the benchmark.

    Raises:
        WorkflowError: no such cell; the message lists the cells.
    """
    try:
        return benchmark_cells.cell(PARAMS, wildcards.dataset, wildcards.cell)
    except PipelineError as error:
        raise WorkflowError(str(error)) from None


def cell_files(*names):
    """Return an input function: these files of every cell of a job's dataset."""

    def files(wildcards):
        return expand(
            "results/{dataset}/study/{cell}/{name}",
            dataset=wildcards.dataset,
            cell=CELLS[wildcards.dataset],
            name=names,
        )

    return files


def benchmark_metrics(wildcards):
    """Return the metrics of every training of the benchmark on a job's dataset."""
    return expand(
        "results/{dataset}/study/{cell}/metrics.json",
        dataset=wildcards.dataset,
        cell=benchmark_cells.cells(PARAMS, wildcards.dataset),
    )


def features_of_benchmark(wildcards):
    """Return the features and tokens that the models of the benchmark read."""
    rows = benchmark_cells.rows(PARAMS, wildcards.dataset)
    return features_of([row.model for row in rows], wildcards.dataset)


def features_of_dataset(dataset):
    """Return every feature of a dataset."""
    return expand(
        "data/features/{dataset}/{modality}.parquet",
        dataset=dataset,
        modality=PARAMS.dataset_features(dataset),
    )


def features_of_study(wildcards):
    """Return every feature of a dataset, whose widths Table 1 states; tokens that are read."""
    dataset = wildcards.dataset
    features = features_of_dataset(dataset)
    models = {cell.model for cell in CELLS[dataset].values()}
    reads_tokens = any(PARAMS.model_tokens(model, dataset) for model in models)
    return features + [f"data/tokens/{dataset}.parquet"] * reads_tokens


def checkpoints_shown(wildcards):
    """Return the checkpoints of the models whose recommendations the study's page shows."""
    return expand(
        "results/{dataset}/study/{cell}/checkpoint.safetensors",
        dataset=wildcards.dataset,
        cell=[c.name for c in study.shown(PARAMS, wildcards.dataset).values()],
    )


def factors_shown(wildcards):
    """Return what moves a score, which generated datasets have."""
    is_generated = PARAMS.source(wildcards.dataset).format == "sample"
    names = [FACTORS_JSON, FACTORS_SVG] if is_generated else []
    return [f"results/{wildcards.dataset}/{name}" for name in names]


def factors_option(wildcards, input):
    """Return the option for the folder of the factor study; empty without one."""
    return f" --factors results/{wildcards.dataset}" if input.factors else ""


def study_figures():
    """Return the names of the figures on the study's page."""
    return [*PARAMS.study.grids, "learning", "cutoffs"]


def features_of_cell(wildcards):
    """Return what a cell's model reads."""
    return features_of([cell_of(wildcards).model], wildcards.dataset)


def sweep_of_cell(wildcards):
    """Return the sweep that a cell's settings are from, if its budget searches."""
    model = benchmark_cells.searched(PARAMS, cell_of(wildcards))
    return [f"results/{wildcards.dataset}/{model}/{SWEEP_JSON}"] if model else []


def sweep_option(wildcards, input):
    """Return the option for the sweep; empty without one."""
    return f" --sweep {input.sweep}" if input.sweep else ""


def sheet_files():
    """Return the feature sheet of every modality of every dataset."""
    return [
        f"results/{dataset}/features/{modality}.html"
        for dataset in PARAMS.datasets
        for modality in PARAMS.dataset_features(dataset)
    ]


def modalities():
    """Return every modality of `datasets`; a name that never matches if there is none."""
    found = [
        name for dataset in PARAMS.datasets for name in PARAMS.every_feature(dataset)
    ]
    return list(dict.fromkeys(found)) or ["none"]


def features_read(wildcards):
    """Return what a model reads of features and tokens: a new one re-runs only such models."""
    return features_of([wildcards.model], wildcards.dataset)


def features_evaluated(wildcards):
    """Return what a model reads, and every feature of the dataset, which tell of lists."""
    dataset = wildcards.dataset
    return list(
        dict.fromkeys([*features_read(wildcards), *features_of_dataset(dataset)])
    )


def features_of(models, dataset):
    """Return the features that any of the models reads, and the tokens if one reads them."""
    read = [m for model in models for m in PARAMS.model_modalities(model, dataset)]
    features = expand(
        "data/features/{dataset}/{modality}.parquet",
        dataset=dataset,
        modality=dict.fromkeys(read),
    )
    reads_tokens = any(PARAMS.model_tokens(model, dataset) for model in models)
    return features + [f"data/tokens/{dataset}.parquet"] * reads_tokens


def features_of_tokens(wildcards):
    """Return the features that a dataset's tokens are made from."""
    return expand(
        "data/features/{dataset}/{modality}.parquet",
        dataset=wildcards.dataset,
        modality=features_read_by_tokens(PARAMS.dataset_tokens(wildcards.dataset)),
    )


def features_measured(wildcards):
    """Return the features that any model of the rule factors reads."""
    return features_of(PARAMS.content_models(wildcards.dataset), wildcards.dataset)


def features_compared(wildcards):
    """Return the features that any model of a comparison reads."""
    dataset, table = wildcards.dataset, wildcards.get("table")
    return features_of(
        PARAMS.table(table, dataset) if table else PARAMS.models, dataset
    )


def checkpoints_measured(wildcards):
    """Return the checkpoints of the models that read content."""
    return expand(
        "results/{dataset}/{model}/checkpoint.safetensors",
        dataset=wildcards.dataset,
        model=PARAMS.content_models(wildcards.dataset),
    )


def downloaded_features(wildcards):
    """Return the manifest of the raw files if a feature is one of them; else nothing."""
    feature = PARAMS.feature(wildcards.dataset, wildcards.modality)
    manifest = f"data/raw/{wildcards.dataset}/manifest.json"
    return [manifest] if named_files.reads_downloaded(feature) else []


def feature_shards(wildcards):
    """Return the shards of a modality of pictures under `--set-scatter`; else nothing."""
    parts = gather.features("{scatteritem}")
    pictures = PARAMS.feature(wildcards.dataset, wildcards.modality).field == "image"
    if len(parts) == 1 or not pictures:
        return []
    return expand(
        "data/shards/{dataset}/{modality}/{part}.parquet",
        dataset=wildcards.dataset,
        modality=wildcards.modality,
        part=parts,
    )


def put_together(wildcards, input):
    """Return the option for the shards; empty without shards."""
    return f" --shards {input.shards}" if input.shards else ""
