"""The model as one traced and compiled function, of use for structures of any size.

Tracing follows encoder, heads and their derivative once, on tensors that only have shapes. What
depends on the values of a tensor is done around it: the composition, which elements are known, the
embedding of each atom, and which nuclei repel.
"""

import copy
import shutil
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch._inductor import config as inductor
from torch._inductor import standalone_compile
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    GuardOnDataDependentSymNode,
    ShapeEnv,
    StatelessSymbolicContext,
    free_unbacked_symbols,
)

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models import derivatives, inference, traced_ops
from hydracalc.models.hydra import HydraModel
from hydracalc.models.inference import Composition
from hydracalc.models.prediction import Prediction

Function = Callable[..., tuple[Tensor, ...]]

# sizes of the example that is traced: unlike each other and all that is fixed, so that nothing is
# taken for equal by chance
_NUM_ATOMS, _NUM_EDGES, _NUM_PAIRS = 1009, 10007, 5003

# what torch raises where a function asks for a value, or for a size that depends on values
_NEEDS_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    GuardOnDataDependentSymNode,
)


class _Inputs(NamedTuple):
    """What the function is given beside the model's parameters; b branches are evaluated."""

    edge_vectors: Tensor  # (E, 3), Angstrom
    senders: Tensor  # (E,)
    receivers: Tensor  # (E,)
    cell_shifts: Tensor  # (E, 3), float64
    pairs: Tensor  # (P,)
    repelled: Tensor  # (N,), repulsion, eV, float64
    slopes: Tensor  # (E,), of the repulsion along the edges, eV/Angstrom, float64
    atomic_numbers: Tensor  # (N,)
    start: Tensor  # (N, C), before the first layer
    weights: Tensor  # (b, N), float64
    scales: Tensor  # (b, 1), eV, float64
    alone: Tensor  # (b, N), what the heads say of each atom without neighbors


# the size that each dimension of the inputs has in the example; numbers are fixed
_SIZES = {
    "edge_vectors": ("E", 3),
    "senders": ("E",),
    "receivers": ("E",),
    "cell_shifts": ("E", 3),
    "pairs": ("P",),
    "repelled": ("N",),
    "slopes": ("E",),
    "atomic_numbers": ("N",),
    "start": ("N", "C"),
    "weights": ("b", "N"),
    "scales": ("b", 1),
    "alone": ("b", "N"),
}


class TracedModel:
    """Predictions as `inference.infer` makes them, the bulk of them by one compiled function.

    It is traced and compiled at the first call, and anew only for another number of evaluated
    branches; torch keeps compiled code on disk. What is not energy and its derivatives, structures
    of one atom or fewer than four edges, and atoms nearer than any bond are left to
    `inference.infer`.

    Args:
        model: whose weights stay as they are.
        compiler: makes a function of a traced graph.
    """

    def __init__(
        self, model: HydraModel, *, compiler: Callable[[GraphModule], Function] | None = None
    ) -> None:
        self.model = model
        self._compiler = compiler or compile_traced
        self._functions: dict[int, Function] = {}
        self._known: tuple[Composition, list[Tensor], Tensor] | None = None

    def __call__(
        self,
        graph: AtomicGraph,
        composition: Composition,
        *,
        forces: Literal["conservative", "direct"] | None,
        stress: bool,
        reference: Literal["total", "interaction"],
    ) -> Prediction:
        """Energy and its derivatives, with the arguments of `inference.infer`.

        Raises:
            RuntimeError: the encoder cannot be traced, or torch cannot compile on this machine.
        """
        vectors = graph.displacements() if graph.edge_vectors is None else graph.edge_vectors
        graph = graph.with_edge_vectors(vectors.to(self.model.dtype))
        assert graph.edge_vectors is not None
        if forces != "conservative" or not self._is_plain(graph):
            return inference.infer(
                self.model, graph, composition, forces=forces, stress=stress, reference=reference
            )
        constants, start = self._constants(graph, composition)
        given = self._inputs(graph, composition, start)
        function = self._function(len(composition.weights))
        with torch.no_grad():
            energies, by_branch, gradient, found = function(*constants, *given)
            pressed = derivatives.stress(gradient, graph.edge_vectors, graph) if stress else None
        return inference.predicted(
            graph, composition, energies, by_branch, reference, forces=found, stress=pressed
        )

    def _is_plain(self, graph: AtomicGraph) -> bool:
        """Whether the function was made for such structures."""
        contact = self.model.contact
        is_large = graph.num_atoms > 1 and graph.num_edges > 3
        return is_large and (contact is None or not len(contact.short(graph)))

    def _function(self, num_branches: int) -> Function:
        if num_branches not in self._functions:
            traced = trace(self.model, num_branches=num_branches)
            self._functions[num_branches] = self._compiler(traced)
        return self._functions[num_branches]

    def _constants(
        self, graph: AtomicGraph, composition: Composition
    ) -> tuple[list[Tensor], Tensor]:
        """The model's tensors and what the embedding says, the same while atoms only move."""
        if self._known is None or self._known[0] is not composition:
            with torch.no_grad():
                start = self.model.encoder.embedding(graph)  # type: ignore[operator]
            self._known = composition, parameters(self.model, composition.branches), start
        return self._known[1:]

    def _inputs(self, graph: AtomicGraph, composition: Composition, start: Tensor) -> _Inputs:
        if self.model.repulsion is None:
            repelled = graph.positions.new_zeros(graph.num_atoms)
            slopes = graph.positions.new_zeros(graph.num_edges)
        else:
            repelled, slopes = self.model.repulsion.with_slopes(graph)
        assert graph.edge_vectors is not None
        return _Inputs(
            edge_vectors=graph.edge_vectors,
            senders=graph.senders,
            receivers=graph.receivers,
            cell_shifts=graph.cell_shifts,
            pairs=graph.pairs(),
            repelled=repelled.to(torch.float64),
            slopes=slopes.to(torch.float64),
            atomic_numbers=graph.atomic_numbers,
            start=start,
            weights=composition.weights,
            scales=composition.scales,
            alone=composition.alone,
        )


@torch.inference_mode(mode=False)  # tensors made in it cannot be differentiated
def trace(model: HydraModel, *, num_branches: int) -> GraphModule:
    """Encoder, heads and derivative as a graph of torch's operations.

    It is called with the tensors of `parameters` and those of `_Inputs`, and gives the energies of
    the atoms beyond the references, (N,), the same in each branch, (b, N), dE/d(edge vector),
    (E, 3), and forces, (N, 3). N and the number of pairs may be any from two.

    Args:
        model: on its device.
        num_branches: b.

    Raises:
        RuntimeError: what the encoder computes depends on the values of a tensor.
    """
    computation = _Computation(model)
    names = [name for name, _ in _tensors(computation)]

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        own = dict(zip(names, tensors, strict=False))
        given = _Inputs(*tensors[len(names) :])
        with torch.enable_grad():
            return torch.func.functional_call(computation, own, (given,))

    fakes = FakeTensorMode(shape_env=ShapeEnv())
    fixed = parameters(model, slice(0, num_branches))
    given: list[Tensor] = [fakes.from_tensor(each, static_shapes=True) for each in fixed]
    given += _example(model, num_branches, fakes)
    try:
        with torch.no_grad():
            traced = make_fx(function, tracing_mode="symbolic")(*given)
            sized = all(not free_unbacked_symbols(each) for each in _values(traced))
    except _NEEDS_VALUES:
        sized = False
    if not sized:
        raise RuntimeError(
            f"encoder {model.config.encoder!r} cannot be compiled, what it computes depends on the "
            "values of a tensor; use compile=False"
        )
    traced_ops.keep_sums_whole(traced)
    return traced


def parameters(model: HydraModel, branches: slice) -> list[Tensor]:
    """Parameters and buffers that a traced graph is called with, of some branches' heads."""
    return [
        tensor.detach()[branches] if name.startswith("energy.") else tensor.detach()
        for name, tensor in _tensors(_Computation(model))
    ]


def compile_traced(traced: GraphModule) -> Function:
    """The function compiled, or read from torch's cache on disk.

    Raises:
        RuntimeError: there is no C++ compiler, or it fails.
    """
    given = [node.meta["val"] for node in traced.graph.find_nodes(op="placeholder")]
    # calls between operations in C++ too: on a small molecule they are a tenth of the time
    patches = {"cpp_wrapper": given[0].device.type == "cpu"}
    try:
        return standalone_compile(
            traced, given, dynamic_shapes="from_graph", options={"config_patches": patches}
        )
    except Exception as error:  # of many kinds, from compilers that torch starts
        reason = str(error).strip().split("\n")[0] if find_compiler() else "no C++ compiler found"
        raise RuntimeError(
            f"torch cannot compile on this machine ({reason}), use compile=False"
        ) from error


def find_compiler() -> str | None:
    """Path of the C++ compiler that torch would start; None where there is none."""
    names = (name for name in inductor.cpp.cxx if name is not None)
    return next((path for name in names if (path := shutil.which(name))), None)


class _Start(nn.Module):
    """Stands where the embedding is, whose features are given."""

    features: Tensor

    def forward(self, _graph: AtomicGraph) -> Tensor:
        return self.features


class _Computation(nn.Module):
    """From edge vectors to energies and their derivative, without a look at any value."""

    def __init__(self, model: HydraModel) -> None:
        super().__init__()
        self.start = _Start()
        self.encoder = copy.copy(model.encoder)
        # the copy has the encoder's own table of parts; it gets one of its own to differ in
        self.encoder._modules = dict(model.encoder._modules) | {"embedding": self.start}
        self.energy = model.branches.energy
        self.cutoff = model.config.cutoff
        self.matrix_products = model.matrix_products

    def forward(self, given: _Inputs) -> tuple[Tensor, ...]:
        self.start.features = given.start
        vectors = given.edge_vectors.detach().requires_grad_()
        graph = self._graph(given).with_edge_vectors(vectors)
        assert graph.edge_lengths is not None
        with self.matrix_products():
            scalars = self.encoder(graph).scalars.to(vectors.dtype)
        outputs = self.energy(scalars, slice(None))[..., 0]  # (b, N)
        by_branch = (outputs - given.alone).to(torch.float64) * given.scales
        energies = (given.weights * by_branch).sum(dim=0)
        gradient = derivatives.edge_gradient(energies, vectors, keep_graph=False)
        along = (given.slopes / graph.edge_lengths).detach().to(gradient.dtype)
        gradient = gradient + along[:, None] * vectors.detach()
        return (
            energies.detach() + given.repelled,
            by_branch.detach() + given.repelled,
            gradient,
            derivatives.forces(gradient, graph),
        )

    def _graph(self, given: _Inputs) -> AtomicGraph:
        # charge and spin have entered with the embedding, the cell with the edge vectors
        nothing = given.senders.new_zeros(1)
        cell = given.cell_shifts.new_zeros(1, 3, 3)
        return AtomicGraph(
            atomic_numbers=given.atomic_numbers,
            positions=given.repelled[:, None].expand(-1, 3),
            cell=cell,
            pbc=cell[:, 0].bool(),
            structure_index=torch.zeros_like(given.atomic_numbers),
            senders=given.senders,
            receivers=given.receivers,
            cell_shifts=given.cell_shifts,
            pair_index=given.pairs,
            cutoff=self.cutoff,
            total_charge=nothing,
            spin_multiplicity=nothing,
            branch_index=nothing,
        )


def _values(traced: GraphModule) -> Iterator[Tensor]:
    """Tensors with shapes alone that stand for the results of the operations."""
    for node in traced.graph.nodes:
        if isinstance(node.meta.get("val"), Tensor):
            yield node.meta["val"]


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _example(model: HydraModel, num_branches: int, fakes: FakeTensorMode) -> list[Tensor]:
    """The inputs as tensors that only have shapes, those of atoms and edges free."""
    first = next(model.encoder.parameters())
    channels: int = model.encoder.embedding.element.embedding_dim  # type: ignore[union-attr, assignment]
    sizes = {"N": _NUM_ATOMS, "E": _NUM_EDGES, "P": _NUM_PAIRS, "C": channels, "b": num_branches}
    kinds = dict.fromkeys(("senders", "receivers", "pairs", "atomic_numbers"), torch.int64)
    kinds |= dict.fromkeys(("edge_vectors", "start", "alone"), first.dtype)
    result: list[Tensor] = []
    for name, letters in _SIZES.items():
        shape = [sizes[letter] if isinstance(letter, str) else letter for letter in letters]
        free = [
            DimDynamic.DUCK if each in ("N", "E", "P") else DimDynamic.STATIC for each in letters
        ]
        tensor = torch.zeros(shape, dtype=kinds.get(name, torch.float64), device=first.device)
        context: StatelessSymbolicContext = StatelessSymbolicContext(dynamic_sizes=free)
        result.append(fakes.from_tensor(tensor, symbolic_context=context))
    return result
