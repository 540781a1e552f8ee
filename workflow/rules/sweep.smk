"""Sweeps: settings tried on validation (sweep_cell, sweep_search), and their table (sweep_table).

tune_search and tune_table are the same for the section `tune`.

Cells run on one core each, so that `snakemake --cores 8 sweep` trains eight at once.
pipeline/experiments/sweep/dvc_lines.py queues the same cells as DVC experiments.
"""


# Not test.parquet. Of the candidates, those of validation decide.
rule sweep_cell:
    input:
        code=code(
            "pipeline/experiments/sweep/cell.py",
            "pipeline/experiments/trial.py",
            "pipeline/learning",
            "pipeline/train.py",
        ),
        settings="data/settings/sweep_cell/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        candidates=rules.split.output.candidates,
        features=features_read,
    output:
        "results/{dataset}/{model}/sweep/{cell}.json",
    log:
        "logs/sweep_cell/{dataset}/{model}/{cell}.log",
    benchmark:
        "logs/benchmarks/sweep_cell/{dataset}/{model}/{cell}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    shell:
        "python -m pipeline.experiments.sweep.cell {wildcards.dataset} {wildcards.model} {wildcards.cell}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset} {output}"
        " --threads {threads} 2> {log}"


# One trial after the other: each is proposed from the results of the previous ones.
rule sweep_search:
    input:
        code=code(
            "pipeline/experiments/sweep/journal.py",
            "pipeline/experiments/sweep/pruned_run.py",
            "pipeline/experiments/sweep/search.py",
            "pipeline/experiments/trial.py",
            "pipeline/learning",
            "pipeline/train.py",
        ),
        settings="data/settings/sweep_search/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        candidates=rules.split.output.candidates,
        features=features_read,
    output:
        "results/{dataset}/{model}/sweep_trials.json",
    log:
        "logs/sweep_search/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/sweep_search/{dataset}/{model}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    shell:
        "python -m pipeline.experiments.sweep.search {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset} {output}"
        " --threads {threads} 2> {log}"


rule sweep_table:
    input:
        code=code("pipeline/experiments/sweep/table.py", "pipeline/pages"),
        settings="data/settings/sweep_table/{dataset}/{model}.json",
        tried=tried,
    output:
        numbers="results/{dataset}/{model}/sweep.json",
        table=report(
            "results/{dataset}/{model}/sweep.md",
            caption="../report/sweep.rst",
            category="Sweeps",
            labels={"dataset": "{dataset}", "model": "{model}"},
        ),
    log:
        "logs/sweep_table/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/sweep_table/{dataset}/{model}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "python -m pipeline.experiments.sweep.table {wildcards.dataset} {wildcards.model}"
        " results/{wildcards.dataset}/{wildcards.model} 2> {log}"


# All rounds are one job: the next one is known when the last training of a round has ended.
rule tune_search:
    input:
        code=code(
            "pipeline/experiments/sweep/halving.py",
            "pipeline/experiments/trial.py",
            "pipeline/learning",
            "pipeline/train.py",
        ),
        settings="data/settings/tune_search/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        candidates=rules.split.output.candidates,
        features=features_read,
    output:
        "results/{dataset}/{model}/tune.json",
    log:
        "logs/tune_search/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/tune_search/{dataset}/{model}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    shell:
        "python -m pipeline.experiments.sweep.halving {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset} {output}"
        " --threads {threads} 2> {log}"


rule tune_table:
    input:
        code=code(
            "pipeline/experiments/sweep/halving_table.py",
            "pipeline/experiments/sweep/table.py",
            "pipeline/pages",
        ),
        found=rules.tune_search.output,
    output:
        report(
            "results/{dataset}/{model}/tune.md",
            caption="../report/sweep.rst",
            category="Sweeps",
            labels={"dataset": "{dataset}", "model": "{model}"},
        ),
    log:
        "logs/tune_table/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/tune_table/{dataset}/{model}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "python -m pipeline.experiments.sweep.halving_table {wildcards.dataset}"
        " {wildcards.model} results/{wildcards.dataset}/{wildcards.model} 2> {log}"
