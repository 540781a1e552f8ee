# From a clean checkout: `make run` makes the tables, `make test` runs the checks.
.PHONY: run plan compare-extractors explore test test-slow check format bench dag after-dvc after-snakemake experiments sweep sweep-experiments tune

SHELL := /bin/bash
CORES := $(shell nproc)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# What a run needs, and what the tests need besides.
RUN := .venv/.run
TEST := .venv/.test
# Used by `make explore` and `make sweep-experiments`; by default the first of `datasets`.
DATASET ?= $(shell .venv/bin/python -c "from pipeline import params; print(params.load().datasets[0])")
MODEL ?= mcln

run: $(RUN)
	@snakemake --cores $(CORES) evaluate
	@python -m workflow.results evaluate

# What `make run` and `dvc repro` would do, and why.
plan: $(RUN)
	@python -m workflow.plan

compare-extractors: $(TEST)
	@snakemake --cores $(CORES) compare_extractors
	@python -m workflow.results compare_extractors

# Serve pages about DATASET on http://127.0.0.1:8000; needs its results.
explore: $(TEST)
	@python -m pipeline.explore.explorer $(DATASET) data/processed/$(DATASET) \
		data/features/$(DATASET) data/images/$(DATASET).parquet results/$(DATASET)

test: check
	python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

test-slow: $(TEST)
	python -m pytest -m slow --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(TEST)
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint
	dvc dag > /dev/null

format: $(TEST)
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

bench: $(TEST)
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; PYTHONPATH=. python $$file; done

dag: $(RUN)
	@dvc dag --mermaid

# After one engine built the tree: update the other's records, or name what is stale.
after-dvc after-snakemake: $(RUN)
	@python -m workflow.sync $@

experiments: $(RUN)
	@dvc exp show --no-pager --only-changed --drop '(data|pipeline|results)/|(model|params.yaml)$$'

sweep: $(RUN)
	@snakemake --cores $(CORES) sweep
	@python -m workflow.results sweep

# lr and l2 for the datasets; pipeline/experiments/sweep/keep.py writes them to params.yaml.
tune: $(RUN)
	@snakemake --cores $(CORES) tune
	@python -m workflow.results tune

# Sorted by validation, without the columns of test.
sweep-experiments: $(RUN)
	@dvc exp show --no-pager --only-changed \
	    --drop '(data|pipeline|results)/|(model|params.yaml)$$|.*[.](sampled|full)[.]' \
	    --sort-by 'plots/scores/$(DATASET).json:$(MODEL).validation.ndcg@10' --sort-order desc

$(RUN): pyproject.toml constraints.txt
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install -c constraints.txt -e .
	@touch $@

$(TEST): pyproject.toml constraints.txt
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install -c constraints.txt -e '.[test]'
	@touch $(RUN) $@
