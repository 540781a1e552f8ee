"""From the raw dump to the split: download, ingest, kcore, split, validate, images."""


rule download:
    input:
        code=code(
            "pipeline/download.py",
            "pipeline/published",
            "pipeline/sources/sample",
            "pipeline/transfer",
        ),
        settings="data/settings/download/{dataset}.json",
        pictures="data/fingerprints/pictures/{dataset}.json",
    output:
        "data/raw/{dataset}/manifest.json",
    log:
        "logs/download/{dataset}.log",
    benchmark:
        "logs/benchmarks/download/{dataset}.tsv"
    retries: 2
    threads: 1
    resources:
        mem_mb=4000,
        runtime=1440,
    shell:
        "python -m pipeline.download {wildcards.dataset} data/raw/{wildcards.dataset} 2> {log}"


rule ingest:
    input:
        code=code("pipeline/ingest.py", "pipeline/published", "pipeline/sources"),
        settings="data/settings/ingest/{dataset}.json",
        manifest=rules.download.output,
    output:
        reviews="data/interim/{dataset}/reviews.parquet",
        item_table="data/interim/{dataset}/items.parquet",
    log:
        "logs/ingest/{dataset}.log",
    benchmark:
        "logs/benchmarks/ingest/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=120,
    shell:
        "python -m pipeline.ingest {wildcards.dataset} data/raw/{wildcards.dataset}"
        " data/interim/{wildcards.dataset} 2> {log}"


rule kcore:
    input:
        code=code("pipeline/kcore.py", "pipeline/interactions"),
        settings="data/settings/kcore/{dataset}.json",
        reviews=rules.ingest.output.reviews,
        item_table=rules.ingest.output.item_table,
    output:
        interactions="data/processed/{dataset}/interactions.parquet",
        users="data/processed/{dataset}/users.parquet",
        item_table="data/processed/{dataset}/items.parquet",
        statistics=report(
            "data/processed/{dataset}/statistics.json",
            caption="../report/statistics.rst",
            category="Datasets",
            labels={"dataset": "{dataset}"},
        ),
    log:
        "logs/kcore/{dataset}.log",
    benchmark:
        "logs/benchmarks/kcore/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=60,
    shell:
        "python -m pipeline.kcore {wildcards.dataset} data/interim/{wildcards.dataset}"
        " data/processed/{wildcards.dataset} 2> {log}"


rule split:
    input:
        code=code("pipeline/split.py", "pipeline/interactions"),
        settings="data/settings/split/{dataset}.json",
        reviews=rules.ingest.output.reviews,
        interactions=rules.kcore.output.interactions,
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
    output:
        train="data/processed/{dataset}/train.parquet",
        validation="data/processed/{dataset}/validation.parquet",
        test="data/processed/{dataset}/test.parquet",
        candidates="data/processed/{dataset}/candidates.parquet",
    log:
        "logs/split/{dataset}.log",
    benchmark:
        "logs/benchmarks/split/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=60,
    shell:
        "python -m pipeline.split {wildcards.dataset} data/interim/{wildcards.dataset}"
        " data/processed/{wildcards.dataset} 2> {log}"


rule validate:
    input:
        code=code(
            "pipeline/validate.py",
            "pipeline/interactions",
            "pipeline/pages/file_names.py",
            "pipeline/pages/markdown_table.py",
        ),
        settings="data/settings/validate/{dataset}.json",
        manifest=rules.download.output,
        reviews=rules.ingest.output.reviews,
        raw_items=rules.ingest.output.item_table,
        interactions=rules.kcore.output.interactions,
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        candidates=rules.split.output.candidates,
        statistics=rules.kcore.output.statistics,
    output:
        numbers="results/{dataset}/validation.json",
        page=report(
            "results/{dataset}/validation.md",
            caption="../report/validation.rst",
            category="Datasets",
            labels={"dataset": "{dataset}"},
        ),
    log:
        "logs/validate/{dataset}.log",
    benchmark:
        "logs/benchmarks/validate/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=60,
    shell:
        "python -m pipeline.validate {wildcards.dataset} data/raw/{wildcards.dataset}"
        " data/interim/{wildcards.dataset} data/processed/{wildcards.dataset}"
        " results/{wildcards.dataset} 2> {log}"


rule images:
    input:
        code=code("pipeline/images.py", "pipeline/pictures", "pipeline/transfer"),
        settings="data/settings/images/{dataset}.json",
        manifest=rules.download.output,
        item_table=rules.kcore.output.item_table,
    output:
        "data/images/{dataset}.parquet",
    log:
        "logs/images/{dataset}.log",
    benchmark:
        "logs/benchmarks/images/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=1440,
    shell:
        "python -m pipeline.images {wildcards.dataset} data/raw/{wildcards.dataset}"
        " data/processed/{wildcards.dataset} {output} 2> {log}"
