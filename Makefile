# From a clean checkout: `make run` makes the tables, `make test` runs the checks.
.PHONY: run compare-extractors explore test test-slow check format bench dag after-dvc after-snakemake experiments sweep sweep-experiments

SHELL := /bin/bash
DATASET := sample
CORES := $(shell nproc)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
INSTALLED := .venv/.installed
# Used by `make sweep-experiments`.
DATASET ?= sample
MODEL ?= mcln

run: $(INSTALLED)
	snakemake --cores $(CORES) evaluate
	@cat results/sample/comparison.md
	@echo "Report: $(CURDIR)/results/sample/report.html"

compare-extractors: $(INSTALLED)
	snakemake --cores $(CORES) compare_extractors
	@cat results/*/extractors/comparison.md

# Serve pages about DATASET on http://127.0.0.1:8000; needs its results.
explore: $(INSTALLED)
	python -m pipeline.explore.explorer $(DATASET) data/processed/$(DATASET) data/features/$(DATASET) \
		data/images/$(DATASET).parquet results/$(DATASET)

test: check
	python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

test-slow: $(INSTALLED)
	python -m pytest -m slow --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint
	dvc dag > /dev/null

format: $(INSTALLED)
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

bench: $(INSTALLED)
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; PYTHONPATH=. python $$file; done

dag: $(INSTALLED)
	@dvc dag --mermaid

# After one engine built the tree: update the other's records, or name what is stale.
after-dvc after-snakemake: $(INSTALLED)
	@python -m workflow.sync $@

experiments: $(INSTALLED)
	@dvc exp show --no-pager --only-changed --drop '(data|pipeline|results)/|(model|params.yaml)$$'

sweep: $(INSTALLED)
	snakemake --cores $(CORES) sweep
	@cat results/*/*/sweep.md

# Sorted by validation, without the columns of test.
sweep-experiments: $(INSTALLED)
	@dvc exp show --no-pager --only-changed \
	    --drop '(data|pipeline|results)/|(model|params.yaml)$$|.*[.](sampled|full)[.]' \
	    --sort-by 'plots/scores/$(DATASET).json:$(MODEL).validation.ndcg@10' --sort-order desc

$(INSTALLED): pyproject.toml constraints.txt
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install -c constraints.txt -e '.[test]'
	@touch $@
