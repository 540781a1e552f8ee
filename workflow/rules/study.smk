"""The paper's study: a training per cell (study_cell), then its tables and its page.

Cells run on one core each, so that `snakemake --cores 8 study` trains eight at once.
"""


# One job for training and evaluation: nothing else uses a cell's checkpoint before that.
rule study_cell:
    input:
        code=code(
            "pipeline/evaluate.py",
            "pipeline/experiments/study/cell.py",
            "pipeline/experiments/trial.py",
            "pipeline/learning",
            "pipeline/train.py",
        ),
        settings="data/settings/study_cell/{dataset}/{cell}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        candidates=rules.split.output.candidates,
        features=features_of_cell,
        sweep=sweep_of_cell,
    output:
        checkpoint="results/{dataset}/study/{cell}/checkpoint.safetensors",
        history="results/{dataset}/study/{cell}/history.parquet",
        metrics="results/{dataset}/study/{cell}/metrics.json",
        ranks="results/{dataset}/study/{cell}/ranks.parquet",
    log:
        "logs/study_cell/{dataset}/{cell}.log",
    benchmark:
        "logs/benchmarks/study_cell/{dataset}/{cell}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    params:
        sweep=sweep_option,
    shell:
        "python -m pipeline.experiments.study.cell {wildcards.dataset} {wildcards.cell}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/study/{wildcards.cell}{params.sweep}"
        " --threads {threads} 2> {log}"


rule study_tables:
    input:
        code=code(
            "pipeline/comparison",
            "pipeline/experiments/study/sections/latex.py",
            "pipeline/experiments/study/sections/numbers.py",
            "pipeline/experiments/study/sections/section.py",
            "pipeline/experiments/study/tables.py",
            "pipeline/pages",
        ),
        settings="data/settings/study_tables/{dataset}.json",
        statistics=rules.kcore.output.statistics,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        features=features_of_study,
        cells=cell_files("metrics.json", "ranks.parquet"),
    output:
        numbers="results/{dataset}/study/tables.json",
        latex="results/{dataset}/study/tables.tex",
        significance="results/{dataset}/study/significance.json",
        slices="results/{dataset}/study/slices.json",
    log:
        "logs/study_tables/{dataset}.log",
    benchmark:
        "logs/benchmarks/study_tables/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "python -m pipeline.experiments.study.tables {wildcards.dataset}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/study 2> {log}"


rule study_lists:
    input:
        code=code(
            "pipeline/evaluate.py",
            "pipeline/experiments/study/cell.py",
            "pipeline/experiments/study/lists.py",
            "pipeline/experiments/trial.py",
            "pipeline/explore/explain.py",
            "pipeline/learning",
            "pipeline/pages",
            "pipeline/recommend.py",
            "pipeline/train.py",
        ),
        settings="data/settings/study_page/{dataset}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        features=features_of_study,
        checkpoints=checkpoints_shown,
    output:
        lists="results/{dataset}/study/examples.parquet",
        explanations="results/{dataset}/study/explanations.json",
    log:
        "logs/study_lists/{dataset}.log",
    benchmark:
        "logs/benchmarks/study_lists/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=60,
        gpu=1,
    shell:
        "python -m pipeline.experiments.study.lists {wildcards.dataset}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/study --threads {threads} 2> {log}"


rule study_page:
    input:
        code=code(
            "pipeline/comparison",
            "pipeline/experiments/chart_style.py",
            "pipeline/experiments/study/page.py",
            "pipeline/experiments/study/sections",
            "pipeline/pages",
        ),
        settings="data/settings/study_page/{dataset}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        images=rules.images.output,
        numbers=rules.study_tables.output.numbers,
        significance=rules.study_tables.output.significance,
        slices=rules.study_tables.output.slices,
        lists=rules.study_lists.output,
        cells=cell_files("history.parquet", "ranks.parquet"),
        factors=factors_shown,
    output:
        figures=expand(
            "results/{dataset}/study/figures/{name}.{kind}",
            name=study_figures(),
            kind=["png", "svg"],
            allow_missing=True,
        ),
        markdown="results/{dataset}/study/report.md",
        page=report(
            "results/{dataset}/study/report.html",
            caption="../report/study_page.rst",
            category="Study",
            labels={"dataset": "{dataset}", "file": "page"},
        ),
    log:
        "logs/study_page/{dataset}.log",
    benchmark:
        "logs/benchmarks/study_page/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        factors=factors_option,
    shell:
        "python -m pipeline.experiments.study.page {wildcards.dataset} data/processed/{wildcards.dataset}"
        " {input.images} results/{wildcards.dataset}/study{params.factors} 2> {log}"


# Reads Snakemake's benchmarks, which a rule cannot name as inputs.
rule study_times:
    input:
        code=code("pipeline/experiments/study/times.py", "pipeline/pages"),
        settings="data/settings/study_tables/{dataset}.json",
        cells=cell_files("metrics.json"),
    output:
        "results/{dataset}/study/times.txt",
    log:
        "logs/study_times/{dataset}.log",
    benchmark:
        "logs/benchmarks/study_times/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "python -m pipeline.experiments.study.times {wildcards.dataset}"
        " logs/benchmarks/study_cell/{wildcards.dataset} results/{wildcards.dataset}/study"
        " 2> {log}"
