"""From pictures and texts to vectors and tokens of items: features, feature_sheet, tokens.

`snakemake --set-scatter features=8` encodes the pictures of a dataset in eight jobs, on up to
eight machines, and joins their vectors.
"""


scattergather:
    features=1,


rule features:
    input:
        code=code("pipeline/features.py", "pipeline/extractors"),
        settings="data/settings/features/{dataset}/{modality}.json",
        item_table=rules.kcore.output.item_table,
        images=rules.images.output,
        downloaded=downloaded_features,
        shards=feature_shards,
    output:
        "data/features/{dataset}/{modality}.parquet",
    log:
        "logs/features/{dataset}/{modality}.log",
    benchmark:
        "logs/benchmarks/features/{dataset}/{modality}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    params:
        shards=put_together,
    shell:
        "python -m pipeline.features {wildcards.dataset} {wildcards.modality}"
        " data/processed/{wildcards.dataset} {input.images} {output}"
        "{params.shards} 2> {log}"


rule features_shard:
    input:
        code=code("pipeline/features.py", "pipeline/extractors"),
        settings="data/settings/features/{dataset}/{modality}.json",
        item_table=rules.kcore.output.item_table,
        images=rules.images.output,
    output:
        temp("data/shards/{dataset}/{modality}/{scatteritem}.parquet"),
    log:
        "logs/features/{dataset}/{modality}/{scatteritem}.log",
    benchmark:
        "logs/benchmarks/features/{dataset}/{modality}/{scatteritem}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    shell:
        "python -m pipeline.features {wildcards.dataset} {wildcards.modality}"
        " data/processed/{wildcards.dataset} {input.images} {output}"
        " --shard {wildcards.scatteritem} 2> {log}"


# What several items share: words, and clusters of a feature.
rule tokens:
    input:
        code=code("pipeline/tokens.py", "pipeline/extractors"),
        settings="data/settings/tokens/{dataset}.json",
        item_table=rules.kcore.output.item_table,
        features=features_of_tokens,
    output:
        "data/tokens/{dataset}.parquet",
    log:
        "logs/tokens/{dataset}.log",
    benchmark:
        "logs/benchmarks/tokens/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "python -m pipeline.tokens {wildcards.dataset} data/processed/{wildcards.dataset}"
        " data/features/{wildcards.dataset} {output} 2> {log}"


# A page to judge features by eye; the target is `sheets`. Only Snakemake has it: no other stage
# reads it, so it is not part of `evaluate`.
rule feature_sheet:
    input:
        code=code(
            "pipeline/explore/feature_sheet.py",
            "pipeline/explore/item_map.py",
            "pipeline/explore/neighbours.py",
            "pipeline/explore/sheet_charts.py",
            "pipeline/explore/sheet_page.py",
            "pipeline/pages",
        ),
        settings="data/settings/features/{dataset}/{modality}.json",  # has the seed
        item_table=rules.kcore.output.item_table,
        images=rules.images.output,
        features=rules.features.output,
    output:
        "results/{dataset}/features/{modality}.html",
    log:
        "logs/feature_sheet/{dataset}/{modality}.log",
    benchmark:
        "logs/benchmarks/feature_sheet/{dataset}/{modality}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "python -m pipeline.explore.feature_sheet {wildcards.dataset} {wildcards.modality}"
        " data/processed/{wildcards.dataset} {input.images} {input.features} {output} 2> {log}"
