"""One traced function gives what the model itself gives, for structures of any size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from builders import make_model, rattled, structure_zoo

from hydracalc.graphs.collate import collate
from hydracalc.models import tracing
from hydracalc.models.inference import compose, infer
from hydracalc.models.tracing import TracedModel
from hydracalc.structure import from_atoms

FIELDS = ("energy", "energies", "interaction_energy", "forces", "stress", "branch_energy")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# the smallest that still has a second layer's messages
SMALL = {"num_channels": 4, "num_radial": 4, "head_widths": (4,)}
needs_compiler = pytest.mark.skipif(
    tracing.find_compiler() is None, reason="needs a C++ compiler, torch compiles with it"
)


def uncompiled(graph_module):
    return graph_module


def structures():
    """Batches by name: sizes unlike the traced one, repelling nuclei, images of one atom."""
    zoo = structure_zoo()
    places = np.array([[0, 0, 0], [0.6, 0, 0], [0, 0.9, 0], [0, 0.9, 0.9]])
    touching, pressed = (rattled(Atoms("H2CO", scale * places), 8) for scale in (0.9, 1.2))
    return {
        "molecule": [zoo["molecule"]],
        "nuclei that repel": [pressed],
        "nearer than any bond": [touching],
        "crystal": [zoo["primitive cell"]],
        "batch": [zoo["molecule"], zoo["molecule in a box"], zoo["wire"], pressed],
        "one-atom cell": [zoo["one-atom cell"]],
        "no edges": [Atoms("HHO", [[0, 0, 0], [0, 0, 9], [0, 9, 9]])],
        "one atom": [Atoms("H")],
    }


def batch(atoms, *, mixed=False):
    """A graph and its weights: every structure by a mixture, or None and a branch of its own."""
    graph = collate([from_atoms(each) for each in atoms], 5.0)
    organic = graph.atomic_numbers.max() < 9
    share = torch.tensor([[0.3, 0.7] if organic else [0.0, 1.0]], dtype=torch.float64)
    index = torch.arange(len(atoms)) % 2 if organic else torch.ones(len(atoms), dtype=torch.int64)
    return replace(graph, branch_index=index), share.expand(len(atoms), 2) if mixed else None


def assert_equal(found, expected, tolerance):
    for name in FIELDS:
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None), name
        if b is not None:
            assert a.dtype == b.dtype, name
            scale = max(1.0, float(b.nan_to_num().abs().max()))
            torch.testing.assert_close(
                a, b, rtol=0, atol=tolerance * scale, equal_nan=True, msg=lambda m, n=name: n + m
            )


def check(traced, atoms, *, mixed, reference="total"):
    graph, weights = batch(atoms, mixed=mixed)
    composition = compose(traced.model, graph, weights)
    asked = {"forces": "conservative", "stress": True, "reference": reference}
    expected = infer(traced.model, graph, composition, **asked)
    found = traced(graph, composition, **asked)
    assert_equal(found, expected, TOLERANCE[traced.model.dtype])


@pytest.mark.parametrize(
    ("encoder", "mixed"),
    [("painn", False), ("egnn", True), ("schnet", True), ("pnaeq", True)],
)
def test_one_graph_gives_what_the_model_gives(encoder, mixed):
    traced = TracedModel(make_model(encoder, **SMALL), compiler=uncompiled)
    for atoms in structures().values():
        check(traced, atoms, mixed=mixed)
    assert max(traced._functions) == 2
    assert len(traced._functions) == 2 - mixed  # a batch of two branches evaluates both


def test_references_are_left_out_where_asked():
    traced = TracedModel(make_model("schnet", **SMALL), compiler=uncompiled)
    check(traced, structures()["molecule"], mixed=False, reference="interaction")


def test_derivatives_are_in_the_graph():
    """The graph itself holds the gradient: autograd is not needed to evaluate it."""
    traced = TracedModel(make_model(**SMALL), compiler=uncompiled)
    graph, _ = batch(structures()["molecule"])
    with torch.inference_mode():
        found = traced(
            graph,
            compose(traced.model, graph, None),
            forces="conservative",
            stress=False,
            reference="total",
        )
    assert found.forces.abs().max() > 0.1
    calls = {str(node.target) for node in traced._functions[1].graph.nodes}
    assert "hydracalc.first_derivatives.default" in calls
    assert not calls & {"aten.index_add.default", "aten.index_put.default"}


def test_weights_are_read_where_they_are():
    model = make_model("schnet", **SMALL)
    traced = TracedModel(model, compiler=uncompiled)
    check(traced, structures()["molecule"], mixed=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    check(traced, structures()["molecule"], mixed=False)


@pytest.mark.parametrize("forces", [None, "direct"])
def test_what_is_not_a_derivative_is_left_to_the_model(forces):
    model = make_model(direct_forces=True, **SMALL)
    traced = TracedModel(model, compiler=uncompiled)
    graph, _ = batch(structures()["molecule"])
    composition = compose(model, graph, None)
    asked = {"forces": forces, "stress": False, "reference": "total"}
    expected = infer(model, graph, composition, **asked)
    assert_equal(traced(graph, composition, **asked), expected, 0.0)
    assert traced._functions == {}


@pytest.mark.parametrize("encoder", ["dimenet", "mace"])
def test_an_encoder_that_asks_for_values_is_refused(encoder):
    if encoder == "mace":
        pytest.importorskip("e3nn")
    traced = TracedModel(make_model(encoder, **SMALL), compiler=uncompiled)
    with pytest.raises(RuntimeError, match=f"'{encoder}' cannot be compiled.*compile=False"):
        check(traced, structures()["molecule"], mixed=False)


def test_a_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    traced = TracedModel(make_model(**SMALL))
    with (
        tracing.inductor.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(RuntimeError, match=r"no C\+\+ compiler found\), use compile=False"),
    ):
        check(traced, structures()["molecule"], mixed=False)


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
def test_compiled_it_gives_the_same():
    """One compilation serves every size."""
    traced = TracedModel(make_model(dtype=torch.float32, **SMALL))
    for atoms in structures().values():
        check(traced, atoms, mixed=True)
    assert len(traced._functions) == 1
