"""From features to the tables: train, evaluate, recommend, compare, curves."""


# Without test.parquet, which only evaluate opens.
rule train:
    input:
        code=code("pipeline/train.py", "pipeline/learning"),
        settings="data/settings/train/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        candidates=rules.split.output.candidates,
        features=features_read,
    output:
        checkpoint="results/{dataset}/{model}/checkpoint.safetensors",
        history="results/{dataset}/{model}/history.parquet",
    log:
        "logs/train/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/train/{dataset}/{model}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    shell:
        "python -m pipeline.train {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model} 2> {log}"


# Stage `evaluate` for one model; `evaluate` is the name of the target.
rule evaluate_model:
    input:
        code=code("pipeline/evaluate.py", "pipeline/learning"),
        settings="data/settings/evaluate/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        candidates=rules.split.output.candidates,
        features=features_evaluated,
        checkpoint=rules.train.output.checkpoint,
    output:
        metrics=report(
            "results/{dataset}/{model}/metrics.json",
            caption="../report/metrics.rst",
            category="Metrics",
            labels={"dataset": "{dataset}", "model": "{model}"},
        ),
        ranks="results/{dataset}/{model}/ranks.parquet",
    log:
        "logs/evaluate/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/evaluate/{dataset}/{model}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=120,
        gpu=1,
    shell:
        "python -m pipeline.evaluate {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model} 2> {log}"


rule recommend:
    input:
        code=code("pipeline/recommend.py", "pipeline/learning"),
        settings="data/settings/recommend/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        features=features_read,
        checkpoint=rules.train.output.checkpoint,
    output:
        "results/{dataset}/{model}/recommendations.parquet",
    log:
        "logs/recommend/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/recommend/{dataset}/{model}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=120,
        gpu=1,
    shell:
        "python -m pipeline.recommend {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model} 2> {log}"


# Explanations of one model; `explain` is the name of the target. Only Snakemake has it, since no
# other stage reads them.
rule explain_model:
    input:
        code=code(
            "pipeline/explore/explain.py",
            "pipeline/learning",
            "pipeline/pages",
        ),
        settings="data/settings/recommend/{dataset}/{model}.json",
        gallery="data/settings/compare/{dataset}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        features=features_read,
        checkpoint=rules.train.output.checkpoint,
        recommendations=rules.recommend.output,
    output:
        "results/{dataset}/{model}/explanations.json",
    log:
        "logs/explain/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/explain/{dataset}/{model}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=60,
    shell:
        "python -m pipeline.explore.explain {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model} --device cpu 2> {log}"


rule compare:
    input:
        code=code("pipeline/compare.py", "pipeline/comparison", "pipeline/pages"),
        settings="data/settings/compare/{dataset}.json",
        statistics=rules.kcore.output.statistics,
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        images=rules.images.output,
        features=features_compared,
        histories=expand(
            rules.train.output.history, model=PARAMS.models, allow_missing=True
        ),
        metrics=expand(
            rules.evaluate_model.output.metrics,
            model=PARAMS.models,
            allow_missing=True,
        ),
        ranks=expand(
            rules.evaluate_model.output.ranks, model=PARAMS.models, allow_missing=True
        ),
        recommendations=expand(
            rules.recommend.output, model=PARAMS.models, allow_missing=True
        ),
    output:
        numbers="results/{dataset}/comparison.json",
        table=report(
            "results/{dataset}/comparison.md",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"dataset": "{dataset}", "models": "all", "file": "table"},
        ),
        report=report(
            "results/{dataset}/report.html",
            caption="../report/page.rst",
            category="Comparison",
            labels={"dataset": "{dataset}", "models": "all", "file": "page"},
        ),
        significance="results/{dataset}/significance.json",
        slices="results/{dataset}/slices.json",
    log:
        "logs/compare/{dataset}.log",
    benchmark:
        "logs/benchmarks/compare/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "python -m pipeline.compare {wildcards.dataset} data/processed/{wildcards.dataset}"
        " {input.images} results/{wildcards.dataset}"
        " --features data/features/{wildcards.dataset} 2> {log}"


# Read by `dvc metrics` and `dvc plots`. The recommendations are inputs only because DVC's
# checksums of a model's results include them.
rule curves:
    input:
        code=code("pipeline/curves.py"),
        settings="data/settings/curves/{dataset}.json",
        histories=rules.compare.input.histories,
        metrics=rules.compare.input.metrics,
        ranks=rules.compare.input.ranks,
        recommendations=rules.compare.input.recommendations,
    output:
        scores="plots/scores/{dataset}.json",
        learning="plots/learning/{dataset}.csv",
        cutoffs="plots/cutoffs/{dataset}.csv",
    log:
        "logs/curves/{dataset}.log",
    benchmark:
        "logs/benchmarks/curves/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "python -m pipeline.curves {wildcards.dataset} results/{wildcards.dataset} plots"
        " 2> {log}"


# The models of one of the `tables`, also those that are not in `models`.
rule compare_table:
    input:
        code=code("pipeline/compare.py", "pipeline/comparison", "pipeline/pages"),
        settings="data/settings/compare/{dataset}/{table}.json",
        statistics=rules.kcore.output.statistics,
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        images=rules.images.output,
        features=features_compared,
        results=of_table(
            rules.train.output.history,
            rules.evaluate_model.output.metrics,
            rules.evaluate_model.output.ranks,
            rules.recommend.output[0],
        ),
    output:
        numbers="results/{dataset}/{table}/comparison.json",
        table=report(
            "results/{dataset}/{table}/comparison.md",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"dataset": "{dataset}", "models": "{table}", "file": "table"},
        ),
        report=report(
            "results/{dataset}/{table}/report.html",
            caption="../report/page.rst",
            category="Comparison",
            labels={"dataset": "{dataset}", "models": "{table}", "file": "page"},
        ),
        significance="results/{dataset}/{table}/significance.json",
        slices="results/{dataset}/{table}/slices.json",
    log:
        "logs/compare/{dataset}/{table}.log",
    benchmark:
        "logs/benchmarks/compare/{dataset}/{table}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "python -m pipeline.compare {wildcards.dataset} data/processed/{wildcards.dataset}"
        " {input.images} results/{wildcards.dataset}"
        " --features data/features/{wildcards.dataset} --table {wildcards.table} 2> {log}"
