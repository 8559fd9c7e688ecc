# `make run` and `make test` need Python 3.11 or newer and a network, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --progress-bar off --constraint constraints.txt
MD := $(BIN)/hydracalc md

.PHONY: run test clean

## molecular dynamics of a molecule and of a crystal
run: .venv/runtime
	mkdir -p runs/demo
	$(MD) examples/structures/ethanol.xyz --model mtl-all --ensemble nvt --temperature 300 \
		--timestep 0.5 --steps 2000 --log-every 200 --seed 0 --traj runs/demo/ethanol.traj
	$(MD) examples/structures/silicon.xyz --model mtl-all --ensemble nvt --temperature 300 \
		--timestep 1.0 --steps 1000 --log-every 100 --seed 0 --traj runs/demo/silicon.traj

## lint, types and the whole suite
test: .venv/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("hydracalc needs Python 3.11")'
	$(PYTHON) -m venv .venv

.venv/runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing hydracalc into .venv (about a minute)"
	$(INSTALL) --editable .
	touch $@

.venv/test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing hydracalc and its test tools into .venv (about two minutes)"
	$(INSTALL) --editable '.[test]'
	touch $@ .venv/runtime
