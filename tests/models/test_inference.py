"""The path of predictions against the one that a loss is differentiated through."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import make_model, structure_zoo

from hydracalc.graphs.collate import collate
from hydracalc.kernels import messages as loops
from hydracalc.kernels import threads
from hydracalc.models import inference, painn_pullback
from hydracalc.structure import from_atoms

ZOO = structure_zoo()
RELATIVE = {torch.float64: 1e-10, torch.float32: 1e-5}


def graph_of(model, *atoms):
    graph = collate([from_atoms(a) for a in atoms], model.config.cutoff)
    return replace(graph, branch_index=torch.ones_like(graph.branch_index))


def assert_equal(got, want, dtype, names=("interaction_energy", "energies", "forces", "stress")):
    """Equal relative to the largest number of its kind."""
    for name in names:
        a, b = getattr(got, name).detach().double(), getattr(want, name).detach().double()
        assert torch.equal(a.isnan(), b.isnan())
        a, b = a.nan_to_num(), b.nan_to_num()
        assert (a - b).abs().max() <= RELATIVE[dtype] * b.abs().max().clamp(min=1), name


def differentiable(model, graph, **options):
    model.train()
    prediction = model(graph, **options)
    model.eval()
    return prediction


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", ZOO)
def test_predictions_equal_those_that_are_trained(encoder, kind, dtype):
    """In float32 too they are held against float64: the plain path's repulsion is less exact."""
    exact = make_model(encoder)
    graph = graph_of(exact, ZOO[kind])
    want = differentiable(exact, graph, stress=True, reference="interaction")
    model = make_model(encoder, dtype=dtype)
    assert_equal(model(graph, stress=True, reference="interaction"), want, dtype)


def test_batches_equal_those_that_are_trained_whichever_branches_they_are_of(encoder):
    model = make_model(encoder)
    graph = graph_of(model, *(ZOO[k] for k in ("molecule", "slab", "molecule in a box", "wire")))
    graph = replace(graph, branch_index=torch.tensor([0, 1, 0, 1]))
    want = differentiable(model, graph, stress=True)
    assert_equal(model(graph, stress=True), want, torch.float64)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_loops_on_several_threads_and_in_blocks_change_nothing(num_threads, monkeypatch):
    model = make_model("painn")
    graph = graph_of(model, ZOO["outside the cell"])
    want = differentiable(model, graph, stress=True)
    monkeypatch.setattr(threads, "_WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: num_threads)
    monkeypatch.setattr(loops, "_BLOCK", 37)
    for kept in (0, 1 << 21):
        monkeypatch.setattr(painn_pullback, "_KEPT_FILTERS", kept)
        assert_equal(model(graph, stress=True), want, torch.float64)


def test_one_composition_serves_while_atoms_move(encoder):
    model = make_model(encoder)
    atoms = ZOO["triclinic"].copy()
    composition = inference.compose(model, graph_of(model, atoms), None)
    for seed in range(3):
        atoms.positions += np.random.default_rng(seed).normal(0, 0.05, atoms.positions.shape)
        graph = graph_of(model, atoms)
        got = inference.infer(
            model, graph, composition, forces="conservative", stress=True, reference="total"
        )
        assert_equal(got, model(graph, stress=True), torch.float64)


def test_nothing_is_kept_for_a_derivative_of_the_results(encoder):
    model = make_model(encoder)
    prediction = model(graph_of(model, ZOO["molecule"]), stress=True)
    assert not any(t.requires_grad for t in vars(prediction).values() if torch.is_tensor(t))


def test_weights_are_for_predictions():
    model = make_model("painn").train()
    graph = graph_of(model, ZOO["molecule"])
    with pytest.raises(ValueError, match="weights are for predictions"):
        model(graph, weights=torch.ones(1, 2) / 2)
