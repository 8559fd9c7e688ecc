"""Pretraining, from shards to a model file: the order of everything else follows from this file."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hydracalc.checkpoint import save_checkpoint
from hydracalc.models import precision
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraModel
from hydracalc.recipe import Recipe, to_toml
from hydracalc.shards.alignment import Alignment, align, collect_energies
from hydracalc.shards.manifest import Manifest
from hydracalc.shards.reader import open_shards
from hydracalc.store.store import LocalStore, open_store
from hydracalc.structure import AtomicStructure
from hydracalc.training.loop import BranchShare, Trainer, evaluate
from hydracalc.training.sampler import TrainingSet

logger = logging.getLogger("hydracalc.run")

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class PretrainPlan:
    """What a recipe comes to once its shards are opened.

    Attributes:
        recipe: as resolved.
        specs: the branches.
        model: with its first, random weights.
        structures: of all branches, by split.
        manifests: of the shards of each branch.
    """

    recipe: Recipe
    specs: tuple[BranchSpec, ...]
    model: HydraModel
    structures: dict[str, list[AtomicStructure]]
    manifests: tuple[Manifest, ...]

    def summary(self) -> list[dict[str, object]]:
        """One row a branch: structures in each split, elements, level of theory."""
        counts = {
            split: np.unique([s.branch for s in self.structures[split]], return_counts=True)
            for split in SPLITS
        }
        tables = {split: dict(zip(*pair, strict=True)) for split, pair in counts.items()}
        return [
            {
                "branch": spec.name,
                **{split: int(tables[split].get(spec.name, 0)) for split in SPLITS},
                "elements": int(spec.references.supported.sum()),
                "theory": spec.card.theory,
            }
            for spec in self.specs
        ]

    @property
    def num_parameters(self) -> int:
        """Weights that are trained."""
        return sum(p.numel() for p in self.model.parameters())


def plan(recipe: Recipe) -> PretrainPlan:
    """Open the shards and build the model; nothing is trained or written.

    Raises:
        ValueError: shards are missing or of another branch.
        DataError: shards are damaged.
    """
    structures: dict[str, list[AtomicStructure]] = {split: [] for split in SPLITS}
    specs, manifests, energies = [], [], []
    for branch in recipe.branches:
        shards = open_shards(recipe.shards_of(branch))
        manifests.append(shards.manifest)
        stores = {split: open_store(shards, split) for split in SPLITS}
        if stores["train"].branch != branch.name:
            raise ValueError(
                f"branch {branch.name!r}: {recipe.shards_of(branch)} holds "
                f"{stores['train'].branch!r}"
            )
        fetched = {split: store.fetch(np.arange(len(store))) for split, store in stores.items()}
        if not fetched["train"]:
            raise ValueError(f"branch {branch.name!r} has no training structures")
        for split in SPLITS:
            structures[split] += fetched[split]
        specs.append(branch_spec(stores["train"], fetched["train"]))
        if recipe.references == "aligned":
            energies.append(collect_energies(shards))
    if energies:
        specs = _aligned(specs, align(energies))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = HydraModel(recipe.model, specs)
    return PretrainPlan(
        recipe=recipe,
        specs=tuple(specs),
        model=model,
        structures=structures,
        manifests=tuple(manifests),
    )


def branch_spec(store: LocalStore, structures: Sequence[AtomicStructure]) -> BranchSpec:
    """A branch of a dataset: references as its shards state them, charges and spins it has."""
    return BranchSpec(
        name=store.branch,
        card=store.card,
        references=store.references,
        num_structures=len(structures),
        charges=tuple(sorted({s.total_charge for s in structures})),
        spin_multiplicities=tuple(sorted({s.spin_multiplicity for s in structures})),
    )


def _aligned(specs: Sequence[BranchSpec], alignment: Alignment) -> list[BranchSpec]:
    """Branches with their references on one footing, as far as the data tie them."""
    for group in alignment.tied():
        if len(group) == 1:
            logger.warning("references of branch %s: nothing ties it to another", *group)
    return [replace(spec, references=alignment.references[spec.name]) for spec in specs]


def pretrain(recipe: Recipe, folder: Path, *, resume: bool = False) -> Path:
    """Train all branches of a recipe on this process.

    Args:
        recipe: what to train.
        folder: of the run: recipe.toml, metrics.jsonl, state.safetensors, model.safetensors.
        resume: go on from the folder's state.

    Returns:
        Path of the model file, its card holding the errors on each branch's own test split.

    Raises:
        ValueError: the folder has a run already and `resume` is False, or has none and it is True.
        DataError: shards or state are damaged, or a loss is not finite.
    """
    planned = plan(recipe)
    trainer = _trainer(planned, folder)
    if resume:
        trainer.resume()
    elif trainer.state_path.exists():
        raise ValueError(f"{folder} holds a run already; resume it or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text(to_toml(recipe))
    model = trainer.run()
    # errors in the card are those of the file, which is read in the type of its weights
    model.precision = precision.of_weights(model.dtype)
    model = with_test_metrics(model, planned.structures["test"])
    path = folder / "model.safetensors"
    save_checkpoint(path, model, provenance=_provenance(planned, trainer))
    logger.info("model written to %s", path)
    return path


def with_test_metrics(model: HydraModel, structures: Sequence[AtomicStructure]) -> HydraModel:
    """The model with the errors on these structures in the cards of their branches."""
    if structures:
        data = TrainingSet(structures, branch_names=model.branch_names, cutoff=model.config.cutoff)
        metrics = evaluate(model, data)
        counts = {n: sum(s.branch == n for s in structures) for n in model.branch_names}
        model.branch_specs = tuple(
            replace(
                spec,
                metrics={f"test_{k}": v for k, v in metrics[spec.name].items()}
                | {"test_structures": counts[spec.name]},
            )
            for spec in model.branch_specs
        )
    return model


def _trainer(planned: PretrainPlan, folder: Path) -> Trainer:
    recipe, model = planned.recipe, planned.model
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    sets = {
        split: TrainingSet(
            planned.structures[split],
            branch_names=model.branch_names,
            cutoff=model.config.cutoff,
        )
        for split in ("train", "val")
        if planned.structures[split]
    }
    return Trainer(
        model,
        sets["train"],
        validation=sets.get("val"),
        branches=[BranchShare(weight=b.weight, share=b.share) for b in recipe.branches],
        config=recipe.trainer,
        folder=folder,
    )


def _provenance(planned: PretrainPlan, trainer: Trainer) -> dict[str, object]:
    return {
        "recipe": to_toml(planned.recipe),
        "steps": trainer.position.step,
        "epochs": trainer.position.epoch,
        "training_minutes": round(trainer.position.seconds / 60, 1),
        "data": [
            row | {"shards_sha256": manifest.sha256, "left_out": manifest.dropped}
            for row, manifest in zip(planned.summary(), planned.manifests, strict=True)
        ],
    }
