# Two commands are all a newcomer needs: `make rehearse` and `make test`. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help setup rehearse test check bench clean

help: ## list the commands
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.runtime ## make .venv, the environment that Pulumi.yaml names too

rehearse: .venv/.runtime ## add a shard to a real Valkey cluster under load, on this machine; ARGS="--shards 2:3"
	@$(BIN)/python -m rehearsal $(ARGS)

test: .venv/.dev ## run the tests, without those that only .ci/run adds; some: ARGS="tests/contract -k schedule"
	@$(BIN)/python -m $(if $(ARGS),pytest,tests) $(ARGS)

check: .venv/.dev ## lint and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

bench: .venv/.dev ## benchmarks against peers; JSON into benchmarks/results
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the environment and build products (run folders stay)
	rm -rf .venv build .pytest_cache .ruff_cache .hypothesis

# uv installs in seconds what takes pip a minute (pulumi-aws alone is 271 MB of Python); pip serves where uv has no wheel.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; %s is %s. Name another: make PYTHON=python3.12 ..." % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv

.venv/.runtime: requirements.txt constraints.txt | .venv/bin/python
	@echo "Installing what a rehearsal needs into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	@echo "Installing what the tests need into .venv ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
