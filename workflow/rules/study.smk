"""The paper's study: a training per cell (study_cell), then its tables and its page.

Cells run on one core each, so that `snakemake --cores 8 study` trains eight at once.
"""


# One job for training and evaluation: a cell's checkpoint is of no use to other stages before.
rule study_cell:
    input:
        code=code(
            "pipeline/evaluate.py",
            "pipeline/search.py",
            "pipeline/study_cell.py",
            "pipeline/train.py",
        ),
        helpers=LEARNING,
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
    params:
        sweep=sweep_option,
    threads: 1
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=1,
    shell:
        "python -m pipeline.study_cell {wildcards.dataset} {wildcards.cell}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " results/{wildcards.dataset}/study/{wildcards.cell}{params.sweep}"
        " --threads {threads} 2> {log}"
