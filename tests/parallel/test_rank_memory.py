"""What a rank keeps of a model of the paper's size, counted on tensors that are there.

Encoder Ps and branches Ph of arXiv:2506.21788: weights, gradients and the optimizer's two moments
are four numbers for each of Ps + Ph where a rank has one branch, of Ps + Nh Ph where it has all.
"""

import pytest

NUM_BRANCHES = 2

SCRIPT = """
import os
from dataclasses import replace
import numpy as np
import torch
from planning.test_sizes import PAPER
from hydracalc.benchmark.training import clusters
from hydracalc.parallel import launch
from hydracalc.parallel.mesh import BranchMesh, MeshConfig, lay_out
from hydracalc.planning.sizes import build_model, measure_size
from hydracalc.training.config import TrainerConfig
from hydracalc.training.loop import Surroundings, Trainer
from hydracalc.training.sampler import BranchShare, TrainingSet

started = launch.start()
mesh = BranchMesh(lay_out([1.0, 1.0], 2, MeshConfig(layout="{layout}")))
branches = mesh.group.branches
model = build_model(PAPER, {count}).with_branches(branches)
name = model.branch_names[0]
structures = [replace(s, branch=name) for s in clusters(1, 3, seed=mesh.rank)]
data = TrainingSet(structures, branch_names=model.branch_names, cutoff=PAPER.cutoff)
trainer = Trainer(
    model, data, validation=None, branches=[BranchShare()] * {count}, config=TrainerConfig(),
    surroundings=Surroundings(mesh=mesh),
)
trainer.step(data.graph(np.arange(1)))
tensors = [*model.parameters(), *(p.grad for p in model.parameters() if p.grad is not None)]
tensors += [moment for state in trainer.optimizer.state.values() for moment in state.values()]
# gradients share the memory of their buckets
kept = {{t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}}
formula = 4 * 4 * measure_size(PAPER).parameters(len(branches))
os.write(1, f"{{sum(kept.values()) / formula}} ".encode())
launch.stop(started)
"""


@pytest.mark.mpi
@pytest.mark.parametrize("layout", ["base", "multitask"])
def test_a_rank_keeps_four_numbers_for_each_of_its_weights(ranks, layout):
    result = ranks(SCRIPT.format(layout=layout, count=NUM_BRANCHES), 2)
    assert result.returncode == 0, result.stderr
    ratios = [float(word) for word in result.stdout.split()]
    assert len(ratios) == 2
    assert ratios == pytest.approx([1.0, 1.0], rel=0.02)
