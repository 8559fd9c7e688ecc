"""Pretraining, from shards to a model file: the order of everything else follows from this file."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from hydracalc.checkpoint import save_checkpoint
from hydracalc.models import precision
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraModel
from hydracalc.parallel.mesh import BranchMesh, lay_out
from hydracalc.recipe import BranchRecipe, Recipe, load_recipe, refuse_changes, to_toml
from hydracalc.shards.alignment import Alignment, align, collect_energies
from hydracalc.shards.manifest import Manifest
from hydracalc.shards.reader import Shards, open_shards
from hydracalc.store.store import StructureStore, open_store
from hydracalc.structure import AtomicStructure
from hydracalc.training.loop import BranchShare, Surroundings, Trainer
from hydracalc.training.metrics import evaluate
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
        mesh: this rank among the others.
        structures: by split; of the branches of this rank's group, test ones of all on the root.
        manifests: of the shards of each branch.
    """

    recipe: Recipe
    specs: tuple[BranchSpec, ...]
    model: HydraModel
    mesh: BranchMesh
    structures: dict[str, list[AtomicStructure]]
    manifests: tuple[Manifest, ...]

    def summary(self) -> list[dict[str, object]]:
        """One row a branch: structures in each split, elements, level of theory."""
        return [
            {
                "branch": spec.name,
                **{split: manifest.num_structures.get(split, 0) for split in SPLITS},
                "elements": int(spec.references.supported.sum()),
                "theory": spec.card.theory,
            }
            for spec, manifest in zip(self.specs, self.manifests, strict=True)
        ]

    @property
    def num_parameters(self) -> int:
        """Weights that are trained."""
        return sum(p.numel() for p in self.model.parameters())


def plan(recipe: Recipe) -> PretrainPlan:
    """Open the shards and build the model; nothing is trained or written.

    Collective over the world.

    Raises:
        ValueError: shards are missing or of another branch, or there are too few ranks.
        DataError: shards are damaged.
    """
    opened = [_opened(recipe, branch) for branch in recipe.branches]
    sizes = [_work(s, b, recipe) for s, b in zip(opened, recipe.branches, strict=True)]
    size = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    mesh = BranchMesh(lay_out(sizes, size, recipe.mesh))
    structures: dict[str, list[AtomicStructure]] = {split: [] for split in SPLITS}
    own = {}
    for index, shards in enumerate(opened):
        is_own = index in mesh.group.branches
        for split in SPLITS:
            if is_own or (split == "test" and mesh.is_root):
                store = open_store(shards, split)
                fetched = store.fetch(np.arange(len(store)))
                structures[split] += fetched
                if split == "train":
                    own[index] = branch_spec(store, fetched)
    told = {index: spec for part in mesh.all_gather(own) for index, spec in part.items()}
    specs = [told[index] for index in range(len(opened))]
    if recipe.references == "aligned":
        aligned = mesh.share(align(list(map(collect_energies, opened))) if mesh.is_root else None)
        specs = _aligned(specs, aligned)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = HydraModel(recipe.model, specs)
    return PretrainPlan(
        recipe=recipe,
        specs=tuple(specs),
        model=model,
        mesh=mesh,
        structures=structures,
        manifests=tuple(shards.manifest for shards in opened),
    )


def _work(shards: Shards, branch: BranchRecipe, recipe: Recipe) -> float:
    """Atoms of a branch that an epoch draws, in a unit common to all branches."""
    num_atoms = shards.num_atoms[shards.splits == 0]
    share = branch.share * len(num_atoms) ** recipe.trainer.sampler.alpha
    return float(share * num_atoms.mean())


def _opened(recipe: Recipe, branch: BranchRecipe) -> Shards:
    """Shards of a branch.

    Raises:
        ValueError: they are of another branch, or have nothing to train.
    """
    path = recipe.shards_of(branch)
    shards = open_shards(path)
    if shards.branch != branch.name:
        raise ValueError(f"branch {branch.name!r}: {path} holds {shards.branch!r}")
    if not (shards.splits == 0).any():
        raise ValueError(f"branch {branch.name!r} has no training structures")
    return shards


def branch_spec(store: StructureStore, structures: Sequence[AtomicStructure]) -> BranchSpec:
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


def pretrain(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    is_ending: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train all branches of a recipe, on this process or with the others that were started.

    Collective over the world.

    Args:
        recipe: what to train.
        folder: of the run: recipe.toml, metrics.jsonl, state.safetensors, model.safetensors.
        resume: go on from the folder's state, whatever number of ranks wrote it.
        is_ending: asked between steps; true in any rank lets all save and end.

    Returns:
        Path of the model file, its card holding the errors on each branch's own test split; None
        if the run was asked to end before it was done.

    Raises:
        ValueError: the folder has a run already and `resume` is False, or has none and it is True,
            or the run there has another recipe.
        DataError: shards or state are damaged, or a loss is not finite.
    """
    planned = plan(recipe)
    mesh = planned.mesh
    surroundings = Surroundings(folder=folder, mesh=mesh, is_ending=is_ending)
    trainer = _trainer(planned, surroundings)
    if mesh.is_root:
        _begin(recipe, folder, trainer, resume=resume)
    mesh.share(None)  # the others wait for it
    if resume:
        trainer.resume()
    trainer.run()
    if trainer.was_ended:
        logger.info("state saved in %s; resume it to go on", folder)
        return None
    model = trainer.whole_average(planned.model)
    path = folder / "model.safetensors"
    if model is not None:
        # errors in the card are those of the file, which is read in the type of its weights
        model.precision = precision.of_weights(model.dtype)
        model = with_test_metrics(model, planned.structures["test"])
        save_checkpoint(path, model, provenance=_provenance(planned, trainer))
        logger.info("model written to %s", path)
    mesh.share(None)  # all wait until it is there
    return path


def _begin(recipe: Recipe, folder: Path, trainer: Trainer, *, resume: bool) -> None:
    """Make the folder of a run, or make sure that the run in it is this one.

    Raises:
        ValueError: it is another run.
    """
    written = folder / "recipe.toml"
    if resume and written.is_file():
        refuse_changes(load_recipe(written), recipe)
    elif not resume and trainer.state_path.exists():
        raise ValueError(f"{folder} holds a run already; resume it or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        written.write_text(to_toml(recipe))


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


def _trainer(planned: PretrainPlan, surroundings: Surroundings) -> Trainer:
    recipe, mesh = planned.recipe, planned.mesh
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    model = planned.model
    if len(mesh.groups) > 1:
        model = model.with_branches(mesh.group.branches)
    validation = planned.structures["val"][mesh.rank - mesh.group.ranks[0] :: len(mesh.group.ranks)]
    sets = {
        split: TrainingSet(structures, branch_names=model.branch_names, cutoff=model.config.cutoff)
        for split, structures in (("train", planned.structures["train"]), ("val", validation))
        if structures
    }
    return Trainer(
        model,
        sets["train"],
        validation=sets.get("val"),
        branches=[BranchShare(weight=b.weight, share=b.share) for b in recipe.branches],
        config=recipe.trainer,
        surroundings=surroundings,
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
