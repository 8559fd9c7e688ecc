"""One small training run in any layout, started by mpiexec or alone; prints what came out of it.

    python ranks_run.py OUT LAYOUT NUM_GROUPS STEPS

Writes gradients after the first step, weights and average at the end, on the root.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from safetensors.torch import save_file
from training.conftest import clusters, metals, spec_of

from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.parallel import buckets, launch
from hydracalc.parallel.mesh import BranchMesh, MeshConfig, lay_out
from hydracalc.training.config import TrainerConfig, TrainingConfig
from hydracalc.training.ema import EmaConfig
from hydracalc.training.loop import Surroundings, Trainer
from hydracalc.training.sampler import BranchShare, SamplerConfig, TrainingSet
from hydracalc.training.state import merge_tensors, state_tensors

CONFIG = HydraConfig(cutoff=4.5, num_channels=8, num_layers=2, num_radial=6, head_widths=(8,))


BATCH_ATOMS = 48
buckets.BUCKET_BYTES = 2000  # so small a model has several of them


def datasets():
    """Three branches of unequal size; the third has few structures, so many batches lack it."""
    third = [replace(s, branch="third", energy=s.energy - 3.0) for s in clusters(2, seed=7)]
    return metals(24), clusters(14), third


def trainer_of(layout, num_groups):
    sets = datasets()
    torch.manual_seed(0)
    model = HydraModel(CONFIG, [spec_of(s) for s in sets])
    config = MeshConfig(layout=layout, num_groups=num_groups)
    size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    mesh = BranchMesh(lay_out([len(s) for s in sets], size, config))
    own = model if len(mesh.groups) == 1 else model.with_branches(mesh.group.branches)
    structures = [s for branch in mesh.group.branches for s in sets[branch]]
    data = TrainingSet(structures, branch_names=own.branch_names, cutoff=CONFIG.cutoff)
    atoms = BATCH_ATOMS // mesh.size  # of each rank, so that the batch is the same for all sizes
    return Trainer(
        own,
        data,
        validation=None,
        branches=[BranchShare(weight=w) for w in (1.0, 0.5, 2.0)],
        config=TrainerConfig(
            training=TrainingConfig(epochs=100, precision="float64", gradient_clip=1.0),
            sampler=SamplerConfig(max_atoms=atoms, max_edges=10**6),
            ema=EmaConfig(decay=0.9),
        ),
        surroundings=Surroundings(mesh=mesh),
    )


def whole(trainer, tensors):
    """Tensors of all branches, on the root."""
    mesh = trainer.mesh
    parts = mesh.gather((mesh.group.branches, tensors) if mesh.is_first else None)
    return None if parts is None else merge_tensors([part for part in parts if part is not None])


def main(out, layout, num_groups, steps):
    started = launch.start()
    trainer = trainer_of(layout, int(num_groups))
    sampler = trainer.sampler
    batches = [
        batch
        for epoch in range(20)
        for batch in trainer.division.batches(sampler.draws(epoch), sampler.config, epoch)
    ][: int(steps)]
    objectives, first, empty = [], None, 0
    for number, batch in enumerate(batches):
        places = trainer.division.own(batch, number)
        empty += not len(places)
        report = trainer.step(trainer.data.graph(places))
        objectives.append(report.objective)
        trainer.position = replace(trainer.position, step=number + 1)
        if number == 0:
            named = trainer.model.named_parameters()
            first = {f"model.{n}": p.grad.clone() for n, p in named if p.grad is not None}
            first = whole(trainer, first)
    end = whole(trainer, state_tensors(trainer.model, trainer.average.model, trainer.optimizer))
    told = trainer.mesh.gather((empty, len(batches)))
    if trainer.mesh.is_root:
        tensors = {f"first.{n}": t for n, t in first.items()} | end
        tensors["objectives"] = torch.tensor(objectives, dtype=torch.float64)
        tensors["empty"] = torch.from_numpy(np.array(told))
        save_file({n: t.contiguous() for n, t in tensors.items()}, out)
    launch.stop(started)


if __name__ == "__main__":
    main(*sys.argv[1:])
