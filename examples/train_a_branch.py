"""From a published file to a model of one's own, in a minute: prepare, pretrain, evaluate.

Takes the folder of a raw dataset, for example datasets/rmd17/sample of the repository.
"""

import sys
from pathlib import Path

from ase.build import molecule

from hydracalc import HydraCalculator
from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.prepare import prepare
from hydracalc.recipe import parse_recipe
from hydracalc.run.pretrain import pretrain

raw = Path(sys.argv[1])
report = prepare(load_adapter("rmd17"), raw, "shards/rmd17")
print("structures:", report.num_structures, "left out:", report.dropped)

recipe = parse_recipe(
    {
        "name": "mine",
        "data_dir": "shards",
        "branches": [{"name": "rmd17", "shards": "rmd17"}],
        "model": {"num_channels": 16, "num_layers": 2, "num_radial": 8},
        "trainer": {"training": {"epochs": 5}, "sampler": {"max_atoms": 64}},
    }
)
model = pretrain(recipe, Path("runs/mine"))

atoms = molecule("C6H6")
atoms.calc = HydraCalculator(model)
print("benzene:", atoms.get_potential_energy(), "eV")
