# `make demo` and `make test` do all the set-up: they need nothing but Python 3.11 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TRACES ?= ../shared/traces/dev
SECONDS ?= 60
PATTERN ?= floodmark.verdicts.rules.*

.DEFAULT_GOAL := help
.PHONY: help demo test check lint bounds fuzz faults mutants evaluate bench golden docs format clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "floodmark needs Python 3.11 or later; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed  ## classify the demonstration capture, and check a claim about another
	$(BIN)/floodmark classify traces/demo.pcap
	$(BIN)/floodmark audit traces/incident.pcap --claim traces/incident.claim.toml --assets traces/incident.assets.toml

test: $(VENV)/installed-dev  ## run all tests
	$(BIN)/floodmark warm
	$(BIN)/python -m pytest -m 'not campaign' --numprocesses auto --cov=floodmark --cov-report=term:skip-covered --no-cov-on-fail

check: lint  ## lint, types, layers and the tests that take no time
	$(BIN)/python -m pytest -m 'not slow and not campaign'

lint: $(VENV)/installed-dev  ## lint, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bounds: $(VENV)/installed-dev  ## the tests of the core, with every array access checked
	NUMBA_BOUNDSCHECK=1 FLOODMARK_CACHE_DIR=$(VENV)/bounds-cache $(BIN)/python -m pytest tests/property

fuzz: $(VENV)/installed-dev  ## change captures at random for SECONDS, every array access checked
	NUMBA_BOUNDSCHECK=1 FLOODMARK_CACHE_DIR=$(VENV)/bounds-cache $(BIN)/python tests/fuzz.py --seconds $(SECONDS) --traces $(TRACES)

faults: $(VENV)/installed-dev  ## kill the program at random moments, fill disks, write at once, and look at what is left: ten minutes
	$(BIN)/floodmark warm
	$(BIN)/python -m pytest tests/faults --numprocesses auto

mutants: $(VENV)/installed-dev  ## change the rules at random and count what the tests notice; PATTERN=floodmark.verdicts.rules.volumetric.* for some
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	$(BIN)/mutmut run '$(PATTERN)'
	$(BIN)/mutmut export-cicd-stats
	cat mutants/mutmut-cicd-stats.json

evaluate: $(VENV)/installed-dev  ## how often the answers are right: generated, degraded, spliced and real captures, other methods beside
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[evaluate]'
	$(BIN)/python benchmarks/evaluate.py --list --grid --strengths --baselines --traces $(TRACES) --page benchmarks/record/evaluation.html

bench: $(VENV)/installed  ## speed beside the peers that are installed: ten minutes, 5 GB of disk
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python benchmarks/bench.py --record

golden: $(VENV)/installed-dev  ## rewrite the expected answers and show what changed
	PYTHONPATH=benchmarks/traffic $(BIN)/python tests/test_golden.py
	git --no-pager diff --stat -- tests/golden

docs: $(VENV)/installed-dev  ## write the pages of docs that come from the program, and the site in docs/_site
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/python docs/build.py
	$(BIN)/sphinx-build -q -n -W --keep-going -b html docs docs/_site

format: $(VENV)/installed-dev  ## format the sources
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

clean:  ## remove what the other targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache mutants
