"""A model for production: trained on all interactions. Only Snakemake has it; see docs/deploy.md."""


# `deploy` is the name of the target.
rule deploy_model:
    input:
        code=code(
            "pipeline/explore/deploy.py",
            "pipeline/explore/export.py",
            "pipeline/recommend.py",
            "pipeline/train.py",
            "pipeline/learning",
        ),
        settings="data/settings/deploy/{dataset}/{model}.json",
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        test=rules.split.output.test,
        candidates=rules.split.output.candidates,
        features=features_read,
        checkpoint=rules.train.output.checkpoint,
    output:
        expand("results/{{dataset}}/{{model}}/deploy/{name}", name=DEPLOYED),
    log:
        "logs/deploy/{dataset}/{model}.log",
    benchmark:
        "logs/benchmarks/deploy/{dataset}/{model}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    shell:
        "python -m pipeline.explore.deploy {wildcards.dataset} {wildcards.model}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/{wildcards.model}"
        " results/{wildcards.dataset}/{wildcards.model}/deploy 2> {log}"
