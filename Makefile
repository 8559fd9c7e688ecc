# `make run` and `make test` need Python 3.11 or newer and a network, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --progress-bar off --constraint constraints.txt
MD := $(BIN)/hydracalc md
DATA := $(BIN)/hydracalc data
SLICES := alexandria ani1x gfn2xtb mattersim mlearn mptrj rmd17 transition1x
SHARDS := $(addprefix runs/shards/,$(SLICES))
RANKS := 2

.PHONY: run test docs model clean

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

## the documentation as a site; any warning is an error
docs: .venv/docs
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "open docs/_build/html/index.html"

## the model that comes with hydracalc, from the slices in datasets/: about an hour and a half
model: .venv/mpi $(SHARDS)
	$(BIN)/mpiexec -n $(RANKS) $(BIN)/hydracalc pretrain mtl-all data_dir=runs/shards -o runs/mtl-all --continue
	$(BIN)/mpiexec -n $(RANKS) $(BIN)/hydracalc pretrain mtl-all data_dir=runs/shards -o runs/mtl-all-close --continue \
		start_from=runs/mtl-all/model.safetensors seed=1 \
		trainer.training.max_minutes=9 trainer.schedule.learning_rate=1e-3
	$(BIN)/hydracalc weight runs/mtl-all-close/model.safetensors $(SHARDS) --trust gfn2xtb=0.01 \
		-o runs/mtl-all/weighted.safetensors
	$(BIN)/hydracalc models measure runs/mtl-all/weighted.safetensors $(SHARDS) \
		-o runs/mtl-all/mtl-all.safetensors --results runs/mtl-all/measured.json

# published labels first: errors are measured on them, computed frames add to the training
runs/shards/ani1x runs/shards/mptrj: runs/shards/%: | runs/shards/%_published runs/shards/%_computed
	$(DATA) unite $@_published $@_computed -o $@

runs/shards/%_computed: | .venv/mpi
	$(DATA) prepare $* datasets/$*/computed -o $@ --val 0 --test 0

runs/shards/%_published: | .venv/mpi
	$(DATA) prepare $* datasets/$*/slice -o $@

runs/shards/%: | .venv/mpi
	$(DATA) prepare $* datasets/$*/slice -o $@

clean:
	rm -rf .venv build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

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
	touch $@ .venv/runtime .venv/docs .venv/mpi

.venv/mpi: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[mpi]'
	touch $@

.venv/docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing hydracalc and Sphinx into .venv (about a minute)"
	$(INSTALL) --editable '.[docs]'
	touch $@
