"""What moves a score, on generated datasets: `snakemake study` asks for it too.

Snakemake alone has it: a DVC matrix cannot leave the other datasets out.
"""


rule factors:
    input:
        code=code(
            "pipeline/experiments/chart_style.py",
            "pipeline/experiments/factors",
            "pipeline/extractors",
            "pipeline/features.py",
            "pipeline/learning",
            "pipeline/pages",
            "pipeline/published",
            "pipeline/sources",
        ),
        settings="data/settings/factors/{dataset}.json",
        manifest=rules.download.output,
        users=rules.kcore.output.users,
        item_table=rules.kcore.output.item_table,
        train=rules.split.output.train,
        validation=rules.split.output.validation,
        images=rules.images.output,
        features=features_measured,
        checkpoints=checkpoints_measured,
    output:
        numbers="results/{dataset}/factors.json",
        table=report(
            "results/{dataset}/factors.md",
            caption="../report/factors.rst",
            category="Factors",
            labels={"dataset": "{dataset}", "file": "table"},
        ),
        picture=report(
            "results/{dataset}/factors.svg",
            caption="../report/factors.rst",
            category="Factors",
            labels={"dataset": "{dataset}", "file": "picture"},
        ),
    log:
        "logs/factors/{dataset}.log",
    benchmark:
        "logs/benchmarks/factors/{dataset}.tsv"
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=720,
        gpu=1,
    shell:
        "python -m pipeline.experiments.factors.measure {wildcards.dataset} data/raw/{wildcards.dataset}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " {input.images} results/{wildcards.dataset} 2> {log}"
