"""The stages of dvc.yaml for Snakemake: `snakemake --cores 8 evaluate`.

tests/test_workflow.py compares the two.
"""

from snakemake.utils import min_version

min_version("9.0")


configfile: "params.yaml"


report: "workflow/report/workflow.rst"


# Used only with --software-deployment-method apptainer.
container: "docker://python:3.11"


include: "workflow/rules/messages.smk"
include: "workflow/rules/common.smk"


wildcard_constraints:
    dataset="|".join(PARAMS.datasets),
    modality="|".join(modalities()),
    model="|".join(all_models()),
    table="|".join([*PARAMS.tables, extractors.TABLE]),
    cell="[^/]+",


rule all:
    input:
        every_output,


rule evaluate:
    input:
        every_output,


rule study:
    input:
        study_files,


rule benchmark:
    input:
        benchmark_files,


rule explain:
    input:
        explanation_files(),


rule deploy:
    input:
        deploy_files,


rule tables:
    input:
        table_files(),


rule sweep:
    input:
        sweep_files,


rule tune:
    input:
        tune_files,


rule sheets:
    input:
        sheet_files(),


rule compare_extractors:
    input:
        extractor_files,


include: "workflow/rules/data.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/learn.smk"
include: "workflow/rules/deploy.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/study.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/factors.smk"
