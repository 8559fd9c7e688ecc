"""Three ways to give ranks equal work: who waits how long, and what the model learns.

    python benchmarks/balance.py measure shards/*        # coefficients of the cost model
    python benchmarks/balance.py idle shards/*           # idle fractions by the cost model
    python benchmarks/balance.py train shards/* --method sorted --seed 1

The folders are made by `hydracalc data prepare`. docs/balance.md has the results.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.parallel.mesh import Group, MeshConfig, lay_out
from hydracalc.recipe import Recipe, load_recipe
from hydracalc.store.store import open_store
from hydracalc.training.balance import METHODS, BalanceConfig, Balancer, CostModel, fit_cost
from hydracalc.training.config import TrainerConfig, TrainingConfig
from hydracalc.training.loop import Trainer
from hydracalc.training.loss import objective, residuals
from hydracalc.training.metrics import evaluate
from hydracalc.training.sampler import BranchSampler, BranchShare, SamplerConfig, TrainingSet
from hydracalc.training.schedule import ScheduleConfig

# cut, divide, bins
CHOICES = {
    "random": ("random", "random", 16),
    "random, dealt sorted": ("random", "sorted", 16),
    "random, dealt greedily": ("random", "greedy", 16),
    "sorted": ("sorted", "sorted", 16),
    "sorted, 512 bins": ("sorted", "sorted", 512),
    "greedy": ("greedy", "greedy", 16),
}
console = Console(width=140)


class Mix:
    """Branches of some folders of shards, with the shares of the shipped recipe.

    Attributes:
        recipe: the shipped one, whose sampler and model are taken.
        specs: of the branches.
        data: training structures.
        validation: structures for it.
        sampler: of the training structures.
    """

    def __init__(self, folders: Sequence[Path], *, cutoff: float, sampler_seed: int = 0) -> None:
        self.recipe: Recipe = load_recipe("mtl-all")
        self.specs, found = [], {"train": [], "val": []}
        for folder in folders:
            stores = {split: open_store(folder, split) for split in found}
            fetched = {s: store.fetch(np.arange(len(store))) for s, store in stores.items()}
            for split, structures in fetched.items():
                found[split] += structures
            store = stores["train"]
            self.specs.append(
                BranchSpec(
                    name=store.branch,
                    card=store.card,
                    references=store.references,
                    num_structures=len(store),
                    charges=tuple(sorted({s.total_charge for s in fetched["train"]})),
                    spin_multiplicities=tuple(
                        sorted({s.spin_multiplicity for s in fetched["train"]})
                    ),
                )
            )
        names = tuple(spec.name for spec in self.specs)
        self.data, self.validation = (
            TrainingSet(found[split], branch_names=names, cutoff=cutoff) for split in found
        )
        shares = {branch.name: branch.share for branch in self.recipe.branches}
        self.shares = [shares.get(name, 1.0) for name in names]
        base = self.recipe.trainer.sampler
        self.config = SamplerConfig(
            alpha=base.alpha,
            max_atoms=base.max_atoms,
            max_edges=base.max_edges,
            seed=sampler_seed,
        )
        self.sampler = BranchSampler(self.data, branch_weights=self.shares, config=self.config)

    def base(self, ranks: int) -> tuple[Group, ...]:
        """One group that has all branches."""
        return (Group(branches=tuple(range(len(self.specs))), ranks=tuple(range(ranks))),)

    def draws(self, least: int) -> np.ndarray:
        """Draws of as many epochs as give that many."""
        epochs = -(-least // len(self.data))
        return np.concatenate([self.sampler.draws(epoch) for epoch in range(epochs)])

    def steps(self, balancer: Balancer, draws: np.ndarray, epoch: int = 0) -> list[np.ndarray]:
        """Global batches with the recipe's budget a rank."""
        return balancer.cut(
            draws,
            max_atoms=self.config.max_atoms,
            max_edges=self.config.max_edges,
            seed=self.config.seed,
            epoch=epoch,
        )


class CutSampler(BranchSampler):
    """Draws as ever, batches as a balancer cuts them."""

    def __init__(self, mix: Mix, balancer: Balancer) -> None:
        super().__init__(mix.data, branch_weights=mix.shares, config=mix.config)
        self._mix, self._balancer = mix, balancer

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Indices of the structures of every batch of an epoch."""
        return self._mix.steps(self._balancer, self.draws(epoch), epoch)


class Step:
    """A training step on one process: loss, gradient; the optimizer costs every rank the same."""

    def __init__(self, mix: Mix, shape: HydraConfig) -> None:
        torch.manual_seed(0)
        self.model = HydraModel(shape, mix.specs).train()
        self.data = mix.data
        self.loss = mix.recipe.trainer.loss
        self.weights = torch.ones(len(mix.specs), dtype=torch.float64)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]

    def seconds(self, batches: Sequence[np.ndarray], repeats: int) -> np.ndarray:
        """Least of some times of each batch, in rounds over all of them.

        Time of this process on one core, so that what else the machine does counts little.
        """
        taken = np.zeros((repeats, len(batches)))
        for times in taken:
            for k, batch in enumerate(batches):
                graph = self.data.graph(batch)
                start = time.process_time()
                self._step(graph)
                times[k] = time.process_time() - start
        return taken.min(axis=0)

    def _step(self, graph: AtomicGraph) -> None:
        self.model.zero_grad(set_to_none=True)
        predicted = self.model(graph, stress=True)
        residual = residuals(predicted, graph, num_branches=len(self.weights), config=self.loss)
        objective(residual, self.weights, self.loss).backward(inputs=self.parameters)


def idle_fraction(work: np.ndarray) -> float:
    """Part of the ranks' time that they wait, of the work of each rank in each step, (steps, R)."""
    return 1 - work.sum() / (work.shape[1] * work.max(axis=1).sum())


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows, and once more as JSON for whoever reads by machine."""
    shown = Table(*rows[0], title=title)
    for row in rows:
        shown.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(shown)
    click.echo(json.dumps({"title": title, "rows": rows}))


folders_argument = click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)


@click.group()
def main() -> None:
    """Balance of ranks."""
    torch.set_num_threads(1)


@main.command()
@folders_argument
@click.option("--batches", default=80, show_default=True, help="Half fit, half test.")
@click.option("--repeats", default=3, show_default=True, help="Times of each; the least counts.")
@click.option("--ranks", default=8, show_default=True, help="Whose idle time is measured.")
@click.option("--steps", default=6, show_default=True, help="That are measured for it.")
def measure(folders: tuple[Path, ...], batches: int, repeats: int, ranks: int, steps: int) -> None:
    """Time real batches; fit the cost model; hold it against other batches and idle times."""
    mix = Mix(folders, cutoff=load_recipe("mtl-all").model.cutoff)
    step = Step(mix, mix.recipe.model)
    rng = np.random.default_rng(0)
    chosen = _varied_batches(mix, batches, rng)
    step.seconds(chosen[:3], 1)  # warm
    seconds = step.seconds(chosen, repeats)
    work = np.array(
        [[mix.data.num_atoms[b].sum(), mix.data.num_edges[b].sum(), len(b)] for b in chosen]
    )
    fitted = fit_cost(work[::2], seconds[::2])
    for title, model in {
        "fitted": fitted,
        "edges alone": fit_cost(work[::2] * [0, 1, 0], seconds[::2]),
        "atoms alone": fit_cost(work[::2] * [1, 0, 0], seconds[::2]),
    }.items():
        costs = model.cost(mix.data.num_atoms, mix.data.num_edges)
        predicted = np.array([costs[batch].sum() for batch in chosen[1::2]]) + model.per_step
        error = np.abs(predicted / seconds[1::2] - 1)
        click.echo(
            f"{title}: error on {len(error)} other batches: median {np.median(error):.1%}, "
            f"95th percentile {np.percentile(error, 95):.1%}"
        )
    click.echo(f"step times {1e3 * seconds.min():.0f} to {1e3 * seconds.max():.0f} ms")
    click.echo(f"fitted, s: {json.dumps(asdict(fitted))}")
    unit = fitted.per_edge
    click.echo(f"in edges: {json.dumps({k: v / unit for k, v in asdict(fitted).items()})}")
    rows = []
    for name in METHODS:
        balancer = _balancer(mix, mix.base(ranks), name, cost=fitted)
        cut = mix.steps(balancer, mix.draws(len(mix.data)))
        parts = [balancer.divide(cut[k]) for k in rng.permutation(len(cut))[:steps]]
        rows.append({"method": name} | _held_against(step, parts, balancer, repeats))
    alike = [[each[0]] * ranks for each in parts]
    rows.append({"method": "equal parts"} | _held_against(step, alike, balancer, repeats))
    table(f"{ranks} ranks, {steps} steps", rows)


def _held_against(
    step: Step, parts: list[list[np.ndarray]], balancer: Balancer, repeats: int
) -> dict[str, float]:
    """Measured and modelled idle fractions of the parts of some steps."""
    flat = [part for each in parts for part in each]
    timed = step.seconds(flat, repeats).reshape(len(parts), -1)
    costs = np.array([[balancer.cost[part].sum() for part in each] for each in parts])
    costs += balancer.config.cost.per_step
    return {
        "idle, measured times": idle_fraction(timed),
        "idle, cost model": idle_fraction(costs),
        "median error of a rank's time": float(np.median(np.abs(costs / timed - 1))),
    }


def _varied_batches(mix: Mix, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of all sizes and mixtures that one rank may meet."""
    chosen = []
    for k in range(count):
        draws = rng.permutation(len(mix.data))
        if k % 4 == 3:  # of one branch
            branch = rng.integers(len(mix.specs))
            draws = draws[mix.data.branch_index[draws] == branch]
        if k % 4 == 2:  # of like size
            draws = draws[np.argsort(mix.data.num_edges[draws], kind="stable")]
            draws = np.roll(draws, rng.integers(len(draws)))
        atoms = rng.integers(48, 400)
        length = np.searchsorted(np.cumsum(mix.data.num_atoms[draws]), atoms)
        chosen.append(draws[: max(1, length)])
    return chosen


def _balancer(
    mix: Mix, groups: Sequence[Group], name: str, *, cost: CostModel | None = None
) -> Balancer:
    cut, dealt, bins = CHOICES[name]
    config = BalanceConfig(cut=cut, divide=dealt, bins=bins, cost=cost or CostModel())
    return Balancer(mix.data, groups=groups, config=config)


@main.command()
@folders_argument
@click.option("--ranks", default="2,4,8,64,512", show_default=True)
@click.option("--steps", default=64, show_default=True, help="At least so many are simulated.")
def idle(folders: tuple[Path, ...], ranks: str, steps: int) -> None:
    """Idle fractions by the cost model, for every method, number of ranks and layout."""
    mix = Mix(folders, cutoff=load_recipe("mtl-all").model.cutoff)
    for count in [int(each) for each in ranks.split(",")]:
        structures_a_rank = mix.config.max_atoms / mix.data.num_atoms[mix.sampler.draws(0)].mean()
        draws = mix.draws(int(steps * count * structures_a_rank))
        layouts = {"base": mix.base(count)}
        if count >= len(mix.specs):
            layouts |= _multitask(mix, draws, count)
        rows = [
            {"layout": layout, "method": name} | _simulated(mix, draws, groups, name)
            for layout, groups in layouts.items()
            for name in CHOICES
        ]
        table(f"{count} ranks, {len(draws)} draws", rows)


def _multitask(mix: Mix, draws: np.ndarray, ranks: int) -> dict[str, tuple[Group, ...]]:
    """One branch a group, ranks by the number of structures or by their cost."""
    cost = CostModel().cost(mix.data.num_atoms, mix.data.num_edges)[draws]
    branch, config = mix.data.branch_index[draws], MeshConfig(layout="multitask")
    return {
        f"multitask, ranks by {name}": lay_out(np.bincount(branch, weights).tolist(), ranks, config)
        for name, weights in {"structures": np.ones(len(draws)), "cost": cost}.items()
    }


def _simulated(
    mix: Mix, draws: np.ndarray, groups: Sequence[Group], name: str
) -> dict[str, float | int]:
    balancer = _balancer(mix, groups, name)
    start = time.perf_counter()
    cut = mix.steps(balancer, draws)
    cutting = time.perf_counter() - start
    parts = [balancer.divide(batch, turn=k) for k, batch in enumerate(cut)]
    dealing = time.perf_counter() - start - cutting
    cost, atoms, edges = (
        np.array([[sizes[part].sum() for part in each] for each in parts])
        for sizes in (balancer.cost, mix.data.num_atoms, mix.data.num_edges)
    )
    longest = cost.max(axis=1)
    return {
        "idle %": 100 * idle_fraction(cost),
        "least %": 100 * _least_idle(balancer, draws),
        "longest step / mean": float(longest.max() / longest.mean()),
        "spread of steps %": float(100 * longest.std() / longest.mean()),
        "most atoms": int(atoms.max()),
        "most edges": int(edges.max()),
        "empty parts %": float(100 * (atoms == 0).mean()),
        "steps": len(cut),
        "cut ms/step": 1e3 * cutting / len(cut),
        "divide ms/step": 1e3 * dealing / len(cut),
    }


def _least_idle(balancer: Balancer, draws: np.ndarray) -> float:
    """Idle fraction that the numbers of ranks of the groups leave at best."""
    cost = np.bincount(balancer.group_of[draws], balancer.cost[draws], len(balancer.groups))
    busy = cost / np.array([len(group.ranks) for group in balancer.groups])
    return float(1 - cost.sum() / (balancer.world_size * busy.max()))


@main.command()
@folders_argument
@click.option(
    "--method", "methods", multiple=True, default=METHODS, type=click.Choice(list(CHOICES))
)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0, 1), show_default=True)
@click.option("--ranks", default=4, show_default=True, help="Whose global batches are taken.")
@click.option("--epochs", default=8, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="JSON lines, one a run.")
def train(
    folders: tuple[Path, ...],
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    ranks: int,
    epochs: int,
    output: Path | None,
) -> None:
    """Train one small model with the global batches that each method makes."""
    rows = []
    for seed in seeds:
        mix = Mix(folders, cutoff=load_recipe("mtl-all").model.cutoff, sampler_seed=seed)
        for method in methods:
            row = _trained(mix, method, ranks=ranks, epochs=epochs)
            rows.append({"method": method, "seed": seed, "ranks": ranks} | row)
            if output is not None:
                with output.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    table(f"validation after {epochs} epochs, global batches of {ranks} ranks", rows)


def _trained(mix: Mix, method: str, *, ranks: int, epochs: int) -> dict[str, float]:
    """Errors of validation, mean over branches, and of each branch."""
    torch.manual_seed(mix.config.seed)
    shape = HydraConfig(
        encoder="painn", num_channels=32, num_layers=2, num_radial=12, head_widths=(32,)
    )
    base = mix.recipe.trainer
    config = TrainerConfig(
        training=TrainingConfig(epochs=epochs, validate_every=epochs),
        schedule=ScheduleConfig(learning_rate=3e-3, warmup_steps=100),
        loss=base.loss,
        sampler=mix.config,
    )
    trainer = Trainer(
        HydraModel(shape, mix.specs),
        mix.data,
        validation=None,
        branches=[BranchShare(share=share) for share in mix.shares],
        config=config,
    )
    trainer.sampler = CutSampler(mix, _balancer(mix, mix.base(ranks), method))
    start = time.perf_counter()
    errors = evaluate(trainer.run(), mix.validation)
    minutes = (time.perf_counter() - start) / 60
    keys = ("energy_mae_eV_per_atom", "force_mae_eV_per_A")
    result = {key: float(np.mean([errors[n][key] for n in errors])) for key in keys}
    result |= {f"{n} {key}": errors[n][key] for key in keys for n in errors}
    return result | {"steps": trainer.position.step, "minutes": minutes}


if __name__ == "__main__":
    main()
