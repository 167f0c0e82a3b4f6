# Each target works on a bare machine with Python >= 3.11, make and a package registry.
.DEFAULT_GOAL := help
.PHONY: help run build test clients check bench chaos mutants up down setup clean

PYTHON := .venv/bin/python
# What .venv holds: what runs, or that and the tools and witnesses of the tests.
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUNTIME) ## the whole chain in this terminal, with a simulated model if no Ollama answers
	@$(PYTHON) -m deploy.local

build: $(DEVELOPMENT) ## the token path, compiled to C into .compiled, which `make run` then takes: a minute, and a C compiler
	@$(PYTHON) -m deploy.compiling

# What `make test` leaves to .ci/run: the markers of pyproject.toml.
CI_ONLY := root or network or container or edge or chaos or monitoring

# asyncio's debug mode, for what runs inside the tests: the servers that they start turn it off (lifecycle.py)
test: export PYTHONASYNCIODEBUG = 1
test: $(DEVELOPMENT) ## the suite, but for what is left to the CI; and that every pure module is covered to its last branch
	@$(PYTHON) -m tests.suite "$(CI_ONLY)"

clients: $(DEVELOPMENT) ## clients made for other servers, unmodified, at the gateway: first installs them, 3 GB
	@$(PYTHON) -m tests.client_environment
	@$(PYTHON) -m pytest -n 2 --dist loadfile -m "not ($(CI_ONLY))" tests/clients

check: $(DEVELOPMENT) ## format, lint, types, layers and documents: under 30 s
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@$(PYTHON) -m pytest -q tests/architecture tests/documents

# FULL=1: the whole report. BENCH: more arguments, as `python -m tests.bench --help` lists them.
bench: $(DEVELOPMENT) ## what a token and a request cost, beside two chained nginx: a table and .bench/report.json
	@$(PYTHON) -m tests.bench $(if $(FULL),--full) $(BENCH)

# SEED and RUNS for random runs alone, SOAK=30m for a soak: tests/faults/__main__.py
chaos: $(DEVELOPMENT) ## faults against real processes: the measured cases, and 200 random runs; SEED=7 RUNS=1 replays one, SOAK=30m soaks
	@$(PYTHON) -m tests.faults

mutants: $(DEVELOPMENT) ## whether the suite can see a bug: thirty are planted in a copy of the tree, one at a time
	@$(PYTHON) -m tests.mutants

up: ## docker compose with what this machine has; SIMULATOR=1: without a model, SCALE=1: two of each, POSTGRES=1: with a database
	@sh deploy/compose.sh up

down: ## away with those containers and networks; models, metrics and passwords stay
	@sh deploy/compose.sh down

setup: $(DEVELOPMENT) ## the virtual environment for development, from its lock file

clean: ## away with what was built, the virtual environment included
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .libraries .libraries.part .compiled .compiled.part .bench .soak.json .soak.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): requirements.lock deploy/setup.sh
	@sh deploy/setup.sh $<
	@touch $@

$(DEVELOPMENT): requirements-dev.lock deploy/setup.sh
	@sh deploy/setup.sh $<
	@touch $@ $(RUNTIME)
