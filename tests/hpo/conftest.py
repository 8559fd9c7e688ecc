"""Shards of two branches, a search that trains on them for seconds, and trials made up."""

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from builders import TOY_MODEL, labelled, make_card

from hydracalc.hpo.config import SearchConfig, load_search
from hydracalc.hpo.journal import Trial
from hydracalc.hpo.space import Range
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.readers.parts import Part

RECIPE = (
    """
name = "toy"
threads = 1
branches = [{name = "copper", shards = "copper"}]

"""
    + TOY_MODEL.replace("[model]", '[model]\nencoder = "schnet"')
    + """
[trainer.schedule]
warmup_steps = 5

[trainer.sampler]
max_atoms = 32
"""
)

SEARCH = """
name = "toy"
recipe = "toy-recipe.toml"
trials = 4
workers = 2

[space]
"trainer.schedule.learning_rate" = { low = 1e-4, high = 3e-2, log = true }
"model.encoder" = { choices = ["schnet", "nonesuch"] }

[fidelity]
epochs = 4

[discarding]
rule = "halving"
factor = 2.0
"""


class Clusters(Adapter):
    """Clusters labelled by ASE's effective medium theory."""

    def parts(self, raw):
        return [Part(path=raw)]

    def structures(self, part):
        rng = np.random.default_rng(0)
        for k in range(40):
            atoms = Atoms(("Cu3", "Cu4", "Cu5")[k % 3])
            corners = rng.permutation(np.mgrid[:2, :2, :2].reshape(3, -1).T)[: len(atoms)]
            atoms.positions = corners * 2.2 + rng.normal(0, 0.1, (len(atoms), 3))
            yield labelled(atoms, EMT(), branch="copper", group=str(k), source=f"cluster-{k}")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder with shards, a recipe and a search."""
    folder = tmp_path_factory.mktemp("hpo")
    config = PrepareConfig(split=SplitConfig(val=0.2, test=0.2))
    adapter = Clusters(make_card("copper", ("Cu",)))
    prepare(adapter, folder, folder / "copper", config=config)
    (folder / "toy-recipe.toml").write_text(f'data_dir = "{folder}"\n' + RECIPE)
    (folder / "toy.toml").write_text(SEARCH)
    return folder


@pytest.fixture(scope="session")
def toy(workplace):
    """Function (settings) -> the toy search with some of its settings changed."""

    def make(**settings):
        return dataclasses.replace(load_search(workplace / "toy.toml"), **settings)

    return make


@pytest.fixture
def only_rates():
    """A space in which no trial fails."""
    return {"trainer.schedule.learning_rate": Range(low=1e-3, high=1e-2, log=True)}


@pytest.fixture
def config():
    """A search that is not run."""
    return SearchConfig(name="x", recipe="mtl-all", space={"seed": Range(low=0, high=9)})


@pytest.fixture
def made_up():
    """Function (number, final, status, ...) -> a trial of four epochs, errors falling to 1/e."""

    def make(number, final=1.0, *, status="done", epochs=4, **more):
        shape = np.exp(1 - np.arange(1, epochs + 1) / 4)
        curve = [(e / 4, e, float(final * shape[e - 1])) for e in range(1, epochs + 1)]
        about = {
            "values": {"seed": number},
            "encoder": "painn",
            "worker": number % 2,
            "begun": 100.0 * number,
            "ended": 100.0 * number + 90.0,
            "objective": None if status == "failed" else curve[-1][2],
            "metrics": {"val_force_mae": curve[-1][2]},
            "energy_joule": 10.0 * epochs,
            "energy_source": "estimate: CPU time x 10 W a core",
        }
        known = {"number": number, "status": status, "curve": curve, "epochs": epochs}
        return Trial(**(known | {"progress": epochs / 4} | about | more))

    return make
