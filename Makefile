# Everything a contributor or the CI runs. Needs Python >= 3.11 with venv, and make.
#
# Environments live in .venv (newest dependencies), .venv-lowest (the oldest that
# pyproject.toml admits) and .venv-aio (aiobotocore, with the botocore that it admits);
# .stamps remembers what is installed, so a second run is quick.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
WORKERS ?= 2
# More words for pytest: make test PYTEST_ARGS="-k breaker -x"
PYTEST_ARGS ?=

BIN := .venv/bin
LOWEST := .venv-lowest/bin
AIO := .venv-aio/bin
PIP_QUIET := --quiet --disable-pip-version-check --no-input

# What runs on the lowest dependencies: the rooms that touch them. The core and the
# drivers import nothing but Python, and the servers of `real` tests do not change.
LOWEST_TESTS := $(wildcard tests/policy tests/botocore tests/grpc tests/telemetry tests/spec \
	tests/lab/simulate tests/cli/test_simulate.py)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test lint unit lowest aio conformance coverage bench servers clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1|\2/' \
		| while IFS='|' read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

demo: .stamps/newest ## show what the library does, against real clients, in a minute
	$(BIN)/python -m examples.demo

test: servers lint unit lowest aio ## everything that CI runs
	@echo "make test: all passed"

lint: .stamps/newest ## format, lint, layers, types by mypy --strict and pyright
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: .stamps/newest servers ## all tests, examples and documentation blocks
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

lowest: .stamps/lowest servers ## the rooms that touch dependencies, on the oldest ones
	$(LOWEST)/python -m pytest -n $(WORKERS) -m "not real" $(LOWEST_TESTS) $(PYTEST_ARGS)

aio: .stamps/aio servers ## the tests of AWS with aiobotocore, on the botocore it admits
	RESILIENCE_TEST_AIOBOTOCORE=1 $(AIO)/python -m pytest -n $(WORKERS) \
		-m "not real" tests/botocore $(PYTEST_ARGS)

conformance: .stamps/conformance ## the first law; other projects' own tests with us
	$(BIN)/python tests/conformance/first_law.py
	$(LOWEST)/python tests/conformance/first_law.py --short --calls 100
	$(BIN)/python tests/conformance/aws_suites.py --workers $(WORKERS)
	$(AIO)/python tests/conformance/aws_suites.py --workers $(WORKERS)
	$(BIN)/python tests/conformance/aws_owner.py
	$(AIO)/python tests/conformance/aws_owner.py
	$(BIN)/python tests/conformance/aws_versions.py
	$(BIN)/python tests/conformance/aws_rounds.py
	$(AIO)/python tests/conformance/aws_rounds.py
	$(AIO)/python tests/conformance/aws_rounds.py --asyncio
	$(BIN)/python tests/conformance/aws_bodies.py
	$(AIO)/python tests/conformance/aws_bodies.py
	$(AIO)/python tests/conformance/aws_bodies.py --asyncio
	$(BIN)/python tests/conformance/aws_failover.py
	$(AIO)/python tests/conformance/aws_failover.py
	$(BIN)/python tests/conformance/aws_envoy.py
	$(BIN)/python tests/conformance/grpc_suite.py --workers $(WORKERS)
	$(LOWEST)/python tests/conformance/grpc_suite.py --workers $(WORKERS)
	$(BIN)/python tests/conformance/grpc_replays.py
	$(BIN)/python tests/conformance/grpc_leaks.py
	$(BIN)/python tests/conformance/host_kills.py
	$(BIN)/python tests/conformance/host_scopes.py
	$(BIN)/python tests/conformance/host_eight.py
	$(BIN)/python tests/conformance/agreement.py

coverage: .stamps/newest servers ## branch coverage of all tests
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: .stamps/newest .stamps/aio servers ## what a call costs, and what it is worth
	$(BIN)/python -m benchmarks
	$(AIO)/python -m benchmarks.aws_overrun_aio

servers:
	@tools/install_servers.sh

clean: ## remove environments, caches and results
	rm -rf .venv .venv-lowest .venv-aio .stamps .conformance .coverage .coverage.* \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is raised first: older ones know no dependency groups.
.stamps/newest: pyproject.toml Makefile | .stamps/python
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_QUIET) --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install $(PIP_QUIET) --upgrade --editable '.[all]' --group dev
	@touch $@

# Cleared: pip does not take away what is not asked for any more.
.stamps/lowest: pyproject.toml tests/lowest.txt Makefile | .stamps/python
	$(PYTHON) -m venv --clear .venv-lowest
	$(LOWEST)/python -m pip install $(PIP_QUIET) --upgrade 'pip>=25.1'
	$(LOWEST)/python -m pip install $(PIP_QUIET) --constraint tests/lowest.txt \
		--editable '.[all]' --group test
	@touch $@

.stamps/aio: pyproject.toml tests/aio.txt Makefile | .stamps/python
	$(PYTHON) -m venv --clear .venv-aio
	$(AIO)/python -m pip install $(PIP_QUIET) --upgrade 'pip>=25.1'
	$(AIO)/python -m pip install $(PIP_QUIET) --constraint tests/aio.txt \
		--editable '.[all]' --group test --group aio
	@touch $@

# The part about AWS needs nothing more; this is for grpcio's tests.
.stamps/conformance: .stamps/newest .stamps/lowest .stamps/aio
	$(BIN)/python -m pip install $(PIP_QUIET) --group conformance
	$(LOWEST)/python -m pip install $(PIP_QUIET) --constraint tests/lowest.txt \
		--group conformance
	@touch $@

.stamps/python:
	@mkdir -p .stamps
	@test -n "$(PYTHON)" || { \
		echo "No Python >= 3.11 with the venv module was found on PATH." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@touch $@
