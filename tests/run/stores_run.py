"""One small pretraining with each kind of store, started by a launcher; prints what came of it.

python stores_run.py RECIPE OUT LAYOUTS KINDS
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from hydracalc.parallel.ending import joined
from hydracalc.parallel.mesh import MeshConfig
from hydracalc.recipe import load_recipe
from hydracalc.run.pretrain import plan, pretrain
from hydracalc.store.choice import StoreConfig


def store_of(kind, out):
    """A kind; "fails" is 'rma' in a run of which one rank fails, "shards" 'mapped' without a file.

    No neighbor list is kept but for "local".
    """
    if kind == "local":
        return StoreConfig(kind=kind)
    if kind == "shards":
        return StoreConfig(kind="mapped", folder="/dev/shm", neighbors_GB=0)
    return StoreConfig(kind="rma" if kind == "fails" else kind, neighbors_GB=0, folder=str(out))


def main(recipe, out, layouts, kinds):
    with joined("gloo", timeout_s=300) as launch:
        for layout in layouts.split(","):
            for kind in kinds.split(","):
                train(load_recipe(recipe), Path(out), layout, kind, launch)


def train(recipe, out, layout, kind, launch):
    mesh = MeshConfig(layout=layout, num_groups=2 if layout == "hybrid" else 0)
    recipe = replace(recipe, mesh=mesh, store=store_of(kind, out))
    asked = iter(range(10**6))

    def is_ending():
        if kind == "fails" and launch.rank == 1 and next(asked) == 2:
            raise ValueError("the third step is too much")
        return False

    if kind in ("auto", "rma") and launch.kind == "torchrun":
        try:
            say(launch, layout, kind, plan(recipe).store.kind)
        except ValueError as error:
            say(launch, layout, kind, error)
        return
    folder = out / f"{layout}-{kind}"
    pretrain(recipe, folder, is_ending=is_ending)
    if launch.is_root:
        one, other = (load_file(out / f"{layout}-{k}/state.safetensors") for k in ("local", kind))
        equal = one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
        say(launch, layout, kind, "equal" if equal else "different")


def say(launch, *words):
    if launch.is_root:
        sys.stdout.write(" ".join(map(str, words)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
