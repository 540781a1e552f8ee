"""Models beside published numbers. Their trainings are the rule study_cell's."""


# Reads Snakemake's benchmarks of the trainings too, which a rule cannot name as inputs.
rule benchmark_table:
    input:
        code=code(
            "pipeline/comparison",
            "pipeline/experiments/benchmark",
            "pipeline/experiments/study/times.py",
            "pipeline/pages",
        ),
        settings="data/settings/benchmark/{dataset}.json",
        statistics=rules.kcore.output.statistics,
        features=features_of_benchmark,
        cells=benchmark_metrics,
    output:
        numbers="results/{dataset}/benchmark.json",
        table=report(
            "results/{dataset}/benchmark.md",
            caption="../report/benchmark.rst",
            category="Benchmark",
            labels={"dataset": "{dataset}", "file": "table"},
        ),
    log:
        "logs/benchmark_table/{dataset}.log",
    benchmark:
        "logs/benchmarks/benchmark_table/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "python -m pipeline.experiments.benchmark.table {wildcards.dataset}"
        " data/processed/{wildcards.dataset} data/features/{wildcards.dataset}"
        " logs/benchmarks/study_cell/{wildcards.dataset} results/{wildcards.dataset} 2> {log}"
