# `make train` and `make test` set everything up by themselves; they need make and a Python
# 3.11, 3.12 or 3.13 with venv.  PYTHON=python3.12 picks one;  ARGS="mask=random" goes to the program.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	2>/dev/null && echo $$p && break; done)
ARGS ?=
BIN := .venv/bin

.PHONY: train app bench test test-slow test-launchers lint docs wheel clean

train: .venv/installed
	$(BIN)/python -m ctxenc.train $(ARGS)

app: .venv/installed-app
	$(BIN)/python -m ctxenc.app $(ARGS)

bench: .venv/installed .venv-bench/installed
	$(BIN)/python benchmarks/bench.py --torch .venv-bench/bin/python $(ARGS)

# PyTorch apart: where it is installed TensorBoard's writer imports it, which slows runs.
.venv-bench/installed: pyproject.toml constraints.txt
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	@touch $@

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-slow: .venv/installed-test
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(BIN)/python -m pytest -n auto -m slow $(ARGS)

test-launchers: .venv/installed-launchers
	$(BIN)/python -m pytest -rs tests/sweeps/test_launchers.py tests/tracking $(ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

docs: .venv/installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

wheel: .venv/installed-test
	$(BIN)/python -m hatchling build -t wheel

# What each installs beside ctxenc, and which others are then installed too.
.venv/installed-app: EXTRAS := [app]
.venv/installed-app: OTHERS := .venv/installed
.venv/installed-test: EXTRAS := [test,docs]
.venv/installed-test: OTHERS := .venv/installed .venv/installed-app
.venv/installed-launchers: EXTRAS := [test,docs,joblib,submitit,optuna,mlflow,wandb]
.venv/installed-launchers: OTHERS := .venv/installed .venv/installed-app .venv/installed-test

.venv/installed .venv/installed-app .venv/installed-test .venv/installed-launchers: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 with venv; set PYTHON=…"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$(EXTRAS)"
	@touch $@ $(OTHERS)

clean:
	rm -rf .venv .venv-bench build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
