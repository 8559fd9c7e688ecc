"""Pretraining, from shards to a model file: the order of everything else follows from this file."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist

from hydracalc.checkpoint import load_checkpoint, read_header, save_checkpoint
from hydracalc.graphs.neighbor_cache import NeighborCache
from hydracalc.models import precision
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraModel
from hydracalc.parallel.mesh import BranchMesh, lay_out
from hydracalc.recipe import Recipe, load_recipe, refuse_changes, to_toml
from hydracalc.run.branch_shards import BranchShards, own_rows, stores_of
from hydracalc.shards.alignment import Alignment, align, collect_energies
from hydracalc.shards.manifest import Manifest
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import SPLITS
from hydracalc.store.choice import StoreConfig, resolve
from hydracalc.store.contents import Contents, contents_of
from hydracalc.store.places import Place
from hydracalc.store.standing import place_among
from hydracalc.store.store import StructureStore
from hydracalc.training.loop import Surroundings, Trainer
from hydracalc.training.metrics import evaluate
from hydracalc.training.sampler import BranchShare
from hydracalc.training.structure_set import StructureSet

logger = logging.getLogger("hydracalc.run")

# held by the ranks while they train; test structures are opened when they are needed
TRAINED_WITH = ("train", "val")


@dataclass(frozen=True, kw_only=True, eq=False)
class PretrainPlan:
    """What a recipe comes to once its shards are opened.

    Attributes:
        recipe: as resolved.
        specs: the branches.
        model: with its first, random weights.
        mesh: this rank among the others.
        shards: of all branches.
        place: this process among the ranks of its group.
        store: where the group's structures are kept while it trains.
        has_stress: whether structures of the group's branches are labelled with it, by split.
    """

    recipe: Recipe
    specs: tuple[BranchSpec, ...]
    model: HydraModel
    mesh: BranchMesh
    shards: BranchShards
    place: Place
    store: StoreConfig
    has_stress: dict[str, bool]

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Of the shards of each branch."""
        return self.shards.manifests

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
    limit = recipe.store.timeout_s
    is_started = dist.is_available() and dist.is_initialized()
    size = dist.get_world_size() if is_started else 1
    world = place_among([range(size)], timeout_s=limit)
    shards = BranchShards(recipe, world)
    mesh = BranchMesh(lay_out(shards.work(), size, recipe.mesh))
    place = world
    if len(mesh.groups) > 1:
        place = place_among([group.ranks for group in mesh.groups], timeout_s=limit)
    own = shards.each(mesh.group.branches)
    contents = [contents_of(each, place) for each in own]
    found = {
        index: branch_spec(each, some["train"])
        for index, each, some in zip(mesh.group.branches, own, contents, strict=True)
    }
    told = mesh.all_gather(found if mesh.is_first else {})
    specs = [spec for _, spec in sorted((n, s) for part in told for n, s in part.items())]
    if recipe.references == "aligned":
        energies = map(collect_energies, shards.each(range(len(specs)))) if mesh.is_root else ()
        specs = _aligned(specs, mesh.share(align(list(energies)) if mesh.is_root else None))
    start = started_from(recipe, specs) if recipe.start_from else None
    if start is not None:
        specs = [
            replace(spec, references=old.references, scale=old.scale)
            for spec, old in zip(specs, start.branch_specs, strict=True)
        ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = HydraModel(recipe.model, specs)
    if start is not None:
        model.load_state_dict(start.state_dict(), strict=True)
    return PretrainPlan(
        recipe=recipe,
        specs=tuple(specs),
        model=model,
        mesh=mesh,
        shards=shards,
        place=place,
        store=resolve(recipe.store, own, place, splits=TRAINED_WITH, world=world),
        has_stress={s: any(each[s].has_stress for each in contents) for s in TRAINED_WITH},
    )


def started_from(recipe: Recipe, specs: Sequence[BranchSpec]) -> HydraModel:
    """The model that a recipe begins with.

    Raises:
        ValueError: there is no such file, or its branches or shape are not those of the recipe.
        DataError: the file is damaged.
    """
    start = load_checkpoint(recipe.start_from)
    wanted, found = [spec.name for spec in specs], list(start.branch_names)
    if found != wanted:
        raise ValueError(f"start_from {recipe.start_from} has branches {found}, expected {wanted}")
    if start.config != recipe.model:
        raise ValueError(
            f"start_from {recipe.start_from} is a {start.config}, the recipe's is {recipe.model}"
        )
    start.weighting = None  # of the branches as they were
    return start


def branch_spec(shards: Shards, contents: Contents) -> BranchSpec:
    """A branch of a dataset: references as its shards state them, charges and spins it has."""
    return BranchSpec(
        name=shards.branch,
        card=shards.card,
        references=shards.references,
        num_structures=shards.manifest.num_structures["train"],
        charges=contents.charges,
        spin_multiplicities=contents.spin_multiplicities,
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
    device: str = "cpu",
) -> Path | None:
    """Train all branches of a recipe, on this process or with the others that were started.

    Collective over the world.

    Args:
        recipe: what to train.
        folder: of the run: recipe.toml, metrics.jsonl, state.safetensors, model.safetensors.
        resume: go on from the folder's state, whatever number of ranks wrote it.
        is_ending: asked between steps; true in any rank lets all save and end.
        device: that this process computes on.

    Returns:
        Path of the model file, its card holding the errors on each branch's own test split; None
        if the run was asked to end before it was done.

    Raises:
        ValueError: the folder has a run already and `resume` is False, or has none and it is True,
            or the run there has another recipe.
        DataError: shards or state are damaged, or a loss is not finite.
    """
    planned = plan(recipe)
    mesh, shards = planned.mesh, planned.shards
    surroundings = Surroundings(folder=folder, mesh=mesh, is_ending=is_ending)
    own = shards.each(mesh.group.branches)
    with stores_of(own, TRAINED_WITH, planned.store, planned.place) as stores:
        shards.close()
        trainer = _trainer(planned, stores, surroundings, device)
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
        model = model.to(device)
        model = with_test_metrics(model, shards.each(range(len(planned.specs))), recipe.store)
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


def with_test_metrics(
    model: HydraModel, datasets: Sequence[Shards], config: StoreConfig
) -> HydraModel:
    """The model with the errors on test structures in the cards of their branches.

    Args:
        model: with a branch for each dataset.
        datasets: open.
        config: how much memory there is; this process alone holds the structures.
    """
    alone, splits = Place(), ("test",)
    config = resolve(replace(config, kind="auto", width=0), datasets, alone, splits=splits)
    with stores_of(datasets, splits, config, alone) as stores:
        counts = {store.branch: len(store) for store in stores["test"]}
        if not any(counts.values()):
            return model
        data = StructureSet(
            stores["test"],
            branch_names=model.branch_names,
            neighbors=NeighborCache(model.config.cutoff, 0),  # each is used once
            has_stress=any(contents_of(each)["test"].has_stress for each in datasets),
        )
        metrics = evaluate(model, data)
    model.branch_specs = tuple(
        replace(
            spec,
            metrics={f"test_{k}": v for k, v in metrics[spec.name].items()}
            | {"test_structures": counts.get(spec.name, 0)},
        )
        for spec in model.branch_specs
    )
    return model


def _trainer(
    planned: PretrainPlan,
    stores: Mapping[str, Sequence[StructureStore]],
    surroundings: Surroundings,
    device: str,
) -> Trainer:
    recipe, mesh, place = planned.recipe, planned.mesh, planned.place
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    model = planned.model
    if len(mesh.groups) > 1:
        model = model.with_branches(mesh.group.branches)
    sets = {
        split: StructureSet(
            stores[split],
            branch_names=model.branch_names,
            neighbors=NeighborCache(model.config.cutoff, recipe.store.neighbors_GB * 1e9),
            has_stress=planned.has_stress[split],
            rows=rows,
            place=place if rows is None else None,
        )
        # every rank trains on any structure of its group, and validates on a share of them
        for split, rows in (("train", None), ("val", own_rows(stores["val"], place)))
        if rows is None or len(rows)
    }
    return Trainer(
        model.to(device),
        sets["train"],
        validation=sets.get("val"),
        branches=[
            BranchShare(weight=b.weight, share=b.share, parts=planned.shards.parts(index))
            for index, b in enumerate(recipe.branches)
        ],
        config=recipe.trainer,
        surroundings=surroundings,
    )


def _provenance(planned: PretrainPlan, trainer: Trainer) -> dict[str, object]:
    start = planned.recipe.start_from
    before = {"started_from": read_header(start)["provenance"]} if start else {}
    return {
        **before,
        "recipe": to_toml(planned.recipe),
        "steps": trainer.position.step,
        "epochs": trainer.position.epoch,
        "training_minutes": round(trainer.position.seconds / 60, 1),
        "data": [
            row | {"shards_sha256": manifest.sha256, "left_out": manifest.dropped}
            for row, manifest in zip(planned.summary(), planned.manifests, strict=True)
        ],
    }
