"""From pictures and texts to one vector per item: features."""


rule features:
    input:
        code=code("pipeline/features.py", "pipeline/extractors"),
        helpers=TABLES + code("pipeline/feature_table.py", "pipeline/pictures.py"),
        settings="data/settings/features/{dataset}/{modality}.json",
        item_table=rules.kcore.output.item_table,
        images=rules.images.output,
    output:
        "data/features/{dataset}/{modality}.parquet",
    log:
        "logs/features/{dataset}/{modality}.log",
    threads: ALL_CORES
    shell:
        "python -m pipeline.features {wildcards.dataset} {wildcards.modality}"
        " data/processed/{wildcards.dataset} {input.images} {output} 2> {log}"
