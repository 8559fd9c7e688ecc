"""What an ensemble costs, and what its spread is worth.

    python benchmarks/ensemble.py cost --threads 1
    python benchmarks/ensemble.py ways
    python benchmarks/ensemble.py coverage best shards/ani1x shards/mptrj
    python benchmarks/ensemble.py unseen best shards/ani1x shards/mptrj --branch ani1x

`cost` needs no trained ensemble: members are copies of one model with weights shaken, which compute
as much as any. Everything that is compared takes turns within one run. Times of the processor are
those of all threads together: on a machine that others use they are steadier than those of the
clock, and say what one core would take.
"""

import copy
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from hydracalc import HydraCalculator, HydraEnsemble, load_model
from hydracalc.benchmark import clock
from hydracalc.benchmark.steps import Motion
from hydracalc.benchmark.systems import supercell
from hydracalc.checkpoint import save_checkpoint
from hydracalc.ensemble.calibration import LEVELS, calibrate, halves
from hydracalc.ensemble.coverage import measure, rank_correlation
from hydracalc.ensemble.members import Members, load_members
from hydracalc.ensemble.predictor import EnsemblePredictor
from hydracalc.ensemble.scores import Scores, collect
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.predictor import InferenceConfig, Predictor
from hydracalc.structure import from_atoms
from hydracalc.validation.labelled_data import open_labelled

NUM_ATOMS = 64
SHAKE = 0.02  # of the mean weight


def shaken(model: HydraModel, seed: int) -> HydraModel:
    """A copy with other weights."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(SHAKE * parameter.abs().mean() * noise)
    return other


def calculators(name: str, members: int) -> tuple[HydraCalculator, HydraEnsemble]:
    """One model, and an ensemble of its likes."""
    model = load_model(name)
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{seed}.safetensors" for seed in range(members)]
        for seed, path in enumerate(paths):
            save_checkpoint(path, shaken(model, seed), provenance={})
        return HydraCalculator(name, device="cpu"), HydraEnsemble(paths, device="cpu")


def interleaved(tasks: dict[str, Callable[[], object]], seconds: float) -> dict[str, np.ndarray]:
    """Times by the clock and by the processor of each task, ms, (2, rounds), taken in turns."""
    for task in tasks.values():
        for _ in range(3):
            task()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, task in tasks.items():
            start = time.perf_counter(), time.process_time()
            task()
            spent = time.perf_counter() - start[0], time.process_time() - start[1]
            times[name].append((1000 * spent[0], 1000 * spent[1]))
    return {name: np.array(each).T for name, each in times.items()}


@click.group()
def main() -> None:
    """Cost and worth of ensembles."""


@main.command()
@click.option("--model", default="mtl-all", show_default=True)
@click.option("--members", default=4, show_default=True)
@click.option("--threads", default=0, help="Of torch; 0 leaves it to torch.")
@click.option("--seconds", default=10.0, show_default=True)
def cost(model: str, members: int, threads: int, seconds: float) -> None:
    """Steps of molecular dynamics at 64 atoms, one model beside an ensemble."""
    if threads:
        torch.set_num_threads(threads)
    one, several = calculators(model, members)
    system = supercell("Si", NUM_ATOMS)
    tasks: dict[str, Callable[[], object]] = {
        "one model": Motion(system, one),
        f"{members} members": Motion(system, several),
    }
    _show(interleaved(tasks, seconds))


@main.command()
@click.option("--encoder", default="painn", show_default=True)
@click.option("--members", default=4, show_default=True)
@click.option("--seconds", default=10.0, show_default=True)
def ways(encoder: str, members: int, seconds: float) -> None:
    """Energy and forces of 64 atoms: members in turn, on two threads, and by torch.vmap."""
    base = load_model("mtl-all")
    config = replace(base.config, encoder=encoder)
    models = [_random(config, base, seed) for seed in range(members)]
    structure = from_atoms(supercell("Si", NUM_ATOMS).atoms)
    asked = InferenceConfig(branch="mptrj")
    one, several = Predictor(models[0], asked), EnsemblePredictor(models, asked)
    graph = several._graph([structure])
    alone = one.compose(graph, one.weights(graph))
    together = several.compose(graph, several.weights(graph))

    def on(threads: int) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        several.run(graph, together, stress=False)
        torch.set_num_threads(before)

    tasks: dict[str, Callable[[], object]] = {
        "one model": lambda: one.run(graph, alone, stress=False),
        "in turn": partial(on, 1),
        "two threads": partial(on, 2),
    }
    if encoder == "painn":
        click.echo("no vmap: PaiNN's messages are loops of their own, which vmap cannot enter")
    else:
        tasks["vmap"] = vmapped_gradient(models, graph)
    _show(interleaved(tasks, seconds))


def _random(config: HydraConfig, like: HydraModel, seed: int) -> HydraModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return HydraModel(config, like.branch_specs).eval().requires_grad_(False)


def vmapped_gradient(models: list[HydraModel], graph: AtomicGraph) -> Callable[[], Tensor]:
    """Gradients of the summed features of all members' encoders by torch.vmap, (M, E, 3).

    That is the bulk of a prediction, without heads, repulsion and sums: less than the others do.
    """
    encoder = models[0].encoder
    parameters, buffers = torch.func.stack_module_state([model.encoder for model in models])
    vectors = graph.displacements().to(models[0].dtype)

    def energy(parameters: Any, buffers: Any, vectors: Tensor) -> Tensor:  # noqa: ANN401
        seen = graph.with_edge_vectors(vectors)
        found = torch.func.functional_call(encoder, (parameters, buffers), (seen,))
        return found.scalars.sum()

    gradient = torch.vmap(torch.func.grad(energy, argnums=2), in_dims=(0, 0, None))
    return lambda: gradient(parameters, buffers, vectors)


def _show(times: dict[str, np.ndarray]) -> None:
    base = times["one model"]
    click.echo(f"{len(base[0])} rounds, torch on {torch.get_num_threads()} threads")
    for name, (wall, cpu) in times.items():
        click.echo(
            f"{name:12s}  clock {np.median(wall):7.2f} ms ({clock.ratio(wall, base[0]):.2f} x)   "
            f"processor {np.median(cpu):7.2f} ms ({clock.ratio(cpu, base[1]):.2f} x)"
        )


@main.command()
@click.argument("ensemble")
@click.argument("data", nargs=-1, required=True)
@click.option("--limit", default=400, show_default=True, help="Structures of each split.")
@click.option("--rounds", default=20, show_default=True, help="Ways to halve the structures.")
def coverage(ensemble: str, data: tuple[str, ...], limit: int, rounds: int) -> None:
    """Calibrate on one half of the held-out structures, check on the other; nothing is stored.

    Held out are validation and test splits together; shares are means over several ways to halve
    them, with the standard deviation of one.
    """
    loaded = load_members(ensemble, dtype="auto", device=torch.device("cpu"))
    for path in data:
        scores = _scores(loaded, path, ("val", "test"), limit)
        shares: dict[str, list[list[float]]] = {}
        for seed in range(rounds):
            fit, fresh = (scores.of(each) for each in halves(scores.num_structures, seed))
            for name, row in measure(calibrate(fit, seed=seed), fresh).shares.items():
                shares.setdefault(name, []).append([100 * share for share in row.values()])
        lengths = np.linalg.norm(scores.force_error, axis=1)
        click.echo(
            f"{path}: {scores.num_structures} structures, {len(lengths)} atoms, Spearman of spread "
            f"and force error {rank_correlation(scores.force_spread, lengths):.2f}, of energies "
            f"{rank_correlation(scores.energy_spread, np.abs(scores.energy_error)):.2f}"
        )
        for name, found in shares.items():
            told = zip(LEVELS, np.mean(found, axis=0), np.std(found, axis=0), strict=True)
            text = "  ".join(f"{100 * q:g} %: {mean:.1f} +- {std:.1f}" for q, mean, std in told)
            click.echo(f"  {name:10s} {text}")


@main.command()
@click.argument("ensemble")
@click.argument("data", nargs=-1, required=True)
@click.option("--branch", required=True, help="Who answers; the data of other branches are new.")
@click.option("--limit", default=200, show_default=True, help="Structures of each.")
def unseen(ensemble: str, data: tuple[str, ...], branch: str, limit: int) -> None:
    """Spread of forces on data of the branch's own test split, and on those of other branches.

    Of other branches those structures are taken whose elements the branch knows.
    """
    loaded = load_members(ensemble, dtype="auto", device=torch.device("cpu"))
    own = None
    for path in data:
        try:
            scores = _scores(loaded, path, ("test",), limit, branch=branch)
        except ValueError as error:
            click.echo(f"{path}: {error}")
            continue
        spread = float(np.median(scores.force_spread))
        own = spread if own is None else own
        click.echo(
            f"{path}: {scores.num_structures} structures, median spread {spread:.3f} "
            f"eV/Angstrom ({spread / own:.2f} x the first)"
        )


def _scores(
    loaded: Members, path: str, splits: tuple[str, ...], limit: int, *, branch: str | None = None
) -> Scores:
    structures = [
        each
        for split in splits
        for _, each in islice(open_labelled(path, split=split).structures, limit)
    ]
    chosen = branch or structures[0].branch
    left_out: Counter[str] = Counter()
    found = collect(loaded.predictor(InferenceConfig(branch=chosen)), structures, left_out=left_out)
    if left_out:
        click.echo(f"{path}: left out {dict(left_out)}", err=True)
    return found


if __name__ == "__main__":
    main()
