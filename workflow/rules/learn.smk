"""From features to the tables: train, evaluate, recommend, compare."""

LEARNING = TABLES + code("pipeline/learning.py", "pipeline/feature_table.py", "model")


# Not test.parquet: only evaluate opens it.
rule train:
    input:
        code=code("pipeline/train.py"),
        helpers=LEARNING,
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
    threads: ALL_CORES
    shell:
        "python -m pipeline.train {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model} 2> {log}"


# Stage `evaluate` for one model; the name itself is the target that users ask for.
rule evaluate_model:
    input:
        code=code("pipeline/evaluate.py"),
        helpers=LEARNING,
        settings="data/settings/evaluate/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        candidates=rules.split.output.candidates,
        features=features_read,
        checkpoint=rules.train.output.checkpoint,
    output:
        metrics="results/{dataset}/{model}/metrics.json",
        ranks="results/{dataset}/{model}/ranks.parquet",
    log:
        "logs/evaluate/{dataset}/{model}.log",
    threads: ALL_CORES
    shell:
        "python -m pipeline.evaluate {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model} 2> {log}"


rule recommend:
    input:
        code=code("pipeline/recommend.py"),
        helpers=LEARNING,
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
    threads: ALL_CORES
    shell:
        "python -m pipeline.recommend {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model} 2> {log}"


rule compare:
    input:
        code=code("pipeline/compare.py", "pipeline/report.py", "pipeline/pictures.py"),
        template="pipeline/report.html.j2",
        helpers=TABLES,
        settings="data/settings/compare/{dataset}.json",
        statistics=rules.kcore.output.statistics,
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        images=rules.images.output,
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
        table="results/{dataset}/comparison.md",
        report="results/{dataset}/report.html",
    log:
        "logs/compare/{dataset}.log",
    shell:
        "python -m pipeline.compare {wildcards.dataset} data/processed/{wildcards.dataset}"
        " {input.images} results/{wildcards.dataset} 2> {log}"
