"""Gradients summed during the backward pass are those summed after it, whoever touched what."""

import pytest
import torch

from hydracalc.parallel import buckets
from hydracalc.parallel.buckets import Bucket, GradientBuckets
from hydracalc.parallel.mesh import alone

# EGNN's last layer moves atoms whose places nothing reads: some parameters never have a gradient.
SCRIPT = """
import os
import numpy as np
import torch
from training.conftest import clusters, metals, spec_of
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.parallel import buckets, launch
from hydracalc.parallel.mesh import BranchMesh, MeshConfig, lay_out
from hydracalc.training.exchange import Exchange
from hydracalc.training.loss import LossConfig, residuals
from hydracalc.training.sampler import TrainingSet

buckets.BUCKET_BYTES = 600

class Logged(BranchMesh):
    log = []
    def begin_sum_over_world(self, tensor):
        self.log.append(("world", tensor.numel(), without_gradient()))
        return super().begin_sum_over_world(tensor)
    def begin_sum_over_group(self, tensor):
        self.log.append(("group", tensor.numel(), without_gradient()))
        return super().begin_sum_over_group(tensor)

def without_gradient():
    return sum(p.grad is None for p in model.parameters())

started = launch.start()
sets = metals(6), clusters(6)
torch.manual_seed(0)
whole = HydraModel(
    HydraConfig(encoder="egnn", num_channels=8, num_layers=2, head_widths=(8,)),
    [spec_of(s) for s in sets],
)
whole.precision = "float64"
mesh = Logged(lay_out([3.0, 1.0], {ranks}, MeshConfig(layout="{layout}")))
own = mesh.group.branches
model = whole.with_branches(own).train()
names = [name for name, _ in model.named_parameters()]
structures = [s for branch in own for s in sets[branch]]
data = TrainingSet(structures, branch_names=model.branch_names, cutoff=4.0)

def objective(exchange, step):
    # in the second step the second rank has nothing
    empty = step == 1 and mesh.rank == 1
    residual = None
    if not empty:
        graph = data.graph(np.array([(mesh.rank + step) % 6]))
        residual = residuals(model(graph), graph, num_branches=len(own), config=LossConfig())
    return exchange.objective(residual, LossConfig())

def steps(overlap):
    mesh.overlap = overlap
    exchange = Exchange(mesh, model, torch.ones(len(own), dtype=torch.float64))
    gradients, told = [], []
    for step in range(3):
        model.zero_grad(set_to_none=True)
        mesh.log = []
        value = objective(exchange, step)
        assert len(mesh.log) == 1, "only labels are summed before the backward pass"
        exchange.backward(value)
        report = exchange.gradients(value, clip=1e9, seconds=0.0, is_ending=False)
        gradients.append([None if p.grad is None else p.grad.clone() for p in model.parameters()])
        told.append([report.objective, report.gradient_norm])
        logs = mesh.all_gather((own, mesh.log))
        for where in ("world", "group"):
            orders = {{
                (where == "group") * branches: [n for w, n, _ in log if w == where]
                for branches, log in logs
            }}
            for branches, log in logs:  # in the world all are alike, else those of the group
                order = [n for w, n, _ in log if w == where]
                assert order == orders[(where == "group") * branches], logs
        if not (step == 1 and mesh.rank == 1):
            check(mesh.log[1:-1], overlap, step)
    assert all(g is None for g, n in zip(gradients[0], names) if "layers.1.pull" in n)
    assert sum(g is None for g in gradients[0]) == 3
    return gradients, told

def check(log, overlap, step):
    # 3 parameters never have a gradient; nor has any before the backward pass
    begun_before_the_end = sum(without > 3 for _, _, without in log)
    assert len(log) > 10
    if not overlap:
        assert begun_before_the_end == 0, log
    elif step == 0:
        assert 0 < begun_before_the_end < len(log) / 2, log
    elif step == 2:  # what is never complete no longer keeps others
        assert begun_before_the_end > 0.7 * len(log), log

after, told_after = steps(False)
during, told_during = steps(True)
assert np.allclose(told_after, told_during, rtol=1e-12, atol=0)
for one, other in zip(after, during):
    scale = max(float(g.abs().max()) for g in one if g is not None)
    assert scale > 1e-3
    for name, a, b in zip(names, one, other):
        assert (a is None) == (b is None), name
        assert a is None or float((a - b).abs().max()) < 1e-12 * scale, name

# a backward pass of one rank by itself sends nothing
if mesh.rank == 0:
    mesh.log = []
    model.zero_grad(set_to_none=True)
    graph = data.graph(np.array([0]))
    model(graph).energy.sum().backward()
    assert mesh.log == []
mesh.share(None)
os.write(1, b"equal ")
launch.stop(started)
"""


@pytest.mark.mpi
@pytest.mark.parametrize(("layout", "count"), [("base", 2), ("multitask", 4)])
def test_during_is_as_after(ranks, layout, count):
    """Values, who has a gradient, and the order of sums on all ranks; a rank without structures."""
    result = ranks(SCRIPT.format(layout=layout, ranks=count), count)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "equal " * count


def parameters(*sizes):
    return [torch.nn.Parameter(torch.full((n,), float(n))) for n in sizes]


def test_a_bucket_holds_gradients_side_by_side_and_zeros_for_those_that_are_missing():
    one, two, three = parameters(2, 3, 1)
    sent = []
    bucket = Bucket([one, two, three], lambda flat: sent.append(flat.clone()))
    for value in (5.0, 7.0):  # the second time nothing is left of the first
        one.grad, two.grad, three.grad = torch.full((2,), value), None, None
        bucket.take([one])
        assert bucket.missing == {two, three}
        bucket.send()
        assert sent[-1].tolist() == [value, value, 0, 0, 0, 0]
        assert [p.grad.tolist() for p in (one, two, three)] == [[value] * 2, [0] * 3, [0]]
        two.grad = torch.ones(3)
        bucket.take([two])
        bucket.send()
        assert sent[-1].tolist() == [0, 0, 1, 1, 1, 0]


def test_buckets_are_filled_with_one_type_each(monkeypatch):
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 16)
    given = [*parameters(2, 2, 1), *(p.to(torch.float64).detach() for p in parameters(1, 1))]
    found = buckets._buckets([torch.nn.Parameter(p) for p in given], lambda _: None)
    assert [[p.numel() for p in bucket.parameters] for bucket in found] == [[2, 2], [1], [1, 1]]


def test_one_process_leaves_gradients_as_they_are():
    one, two = parameters(2, 3)
    sums = GradientBuckets(alone(1), [one, two], [])
    assert sums.backward((one * one).sum()) == {one}
    sums.finish()
    assert one.grad.tolist() == [4, 4]
    assert two.grad is None
    assert sums.backward(torch.zeros(())) == {one}  # it has no graph; what was there stays
