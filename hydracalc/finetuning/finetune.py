"""Fine-tuning, from a pretrained model and labelled structures to a model with one more branch."""

import copy
import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hydracalc.checkpoint import save_checkpoint
from hydracalc.finetuning.best_weights import BestWeights
from hydracalc.finetuning.config import FinetuneConfig, trainer_config
from hydracalc.finetuning.data import TuningData, gather
from hydracalc.finetuning.forgetting import (
    NOTHING_OLD,
    OldData,
    drift,
    errors_by_branch,
    errors_of,
    read_old,
)
from hydracalc.finetuning.new_branch import (
    best_of,
    blank,
    candidates,
    chosen_references,
    grown,
    measured_not_trusted,
)
from hydracalc.models.hydra import HydraModel
from hydracalc.models.low_rank import add_low_rank, merge_low_rank
from hydracalc.registry import full_name, load_model
from hydracalc.training.loop import Surroundings, Trainer
from hydracalc.training.sampler import BranchShare, TrainingSet
from hydracalc.validation.evaluation import evaluate

logger = logging.getLogger("hydracalc.finetuning")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a fine-tuning reads.

    Attributes:
        data: file or shards to train on.
        val: others to choose the weights by; None takes them from the data.
        test: others to measure errors on; None takes the data's own test part, if it has one.
        replay: shards of old branches that are trained along.
        watch: shards of old branches on which forgetting is measured; the replayed ones are, too.
    """

    data: Path | str
    val: Path | str | None = None
    test: Path | str | None = None
    replay: tuple[Path, ...] = ()
    watch: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FinetuneReport:
    """What came of it; errors are mean absolute ones, keys with units.

    Attributes:
        from_branch: the branch that the new one began as.
        candidates: every branch on the training data before, as a choice for that.
        structures: how many are for what.
        left_out: structures that were not used, by reason.
        trained: number of weights that were trained.
        references: element to its reference energy before and after the choice, eV.
        errors: "before" (the old branch), "step 0" (the new one) and "after", each by "val" and
            "test".
        steps, seconds: of the training.
        best: validation that the weights are of, and how many there were.
        forgotten: old branch to its errors before and after on held-out structures.
        drift: old branch to the mean change of its forces on the new data, eV/Angstrom.
        history: errors of every validation.
    """

    from_branch: str
    candidates: list[dict[str, Any]]
    structures: dict[str, int]
    left_out: dict[str, int]
    trained: int
    references: dict[str, tuple[float | None, float]]
    errors: dict[str, dict[str, dict[str, float]]]
    steps: int
    seconds: float
    best: tuple[int, int]
    forgotten: dict[str, dict[str, dict[str, float]]]
    drift: dict[str, float]
    history: list[dict[str, float]]


def finetune(
    model: str | Path | HydraModel, sources: Sources, folder: Path, config: FinetuneConfig
) -> FinetuneReport:
    """Grow a branch for new data, and write model.safetensors and report.json into a folder.

    The new branch begins as a copy of an old one: its predictions differ by reference energies
    only. Old branches keep their heads unless they are replayed. The new branch is the model's
    default. By method "scratch" it is the only one and begins with random weights.

    Args:
        model: name, path, or the model itself, which is not changed.
        sources: what to read.
        folder: made if need be; a model in it is replaced.
        config: how.

    Raises:
        ValueError: a file, branch, element or setting is not there or not allowed.
        DataError: data are damaged, leave nothing to train on, or a loss is not finite.
    """
    if config.method == "scratch" and (sources.replay or sources.watch):
        raise ValueError("method scratch keeps no old branch, so there is none to replay or watch")
    named = "" if isinstance(model, HydraModel) else full_name(str(model))
    old = model if isinstance(model, HydraModel) else load_model(str(model), dtype="float32")
    data = gather(
        sources.data,
        val=sources.val,
        test=sources.test,
        branch=config.new_branch,
        val_fraction=config.val_fraction,
        seed=config.seed,
    )
    replay = read_old(sources.replay, old, seed=config.seed)
    watched = read_old([*sources.replay, *sources.watch], old, seed=config.seed).held_out
    tuned, report = grow(old, data, config, replay=replay)
    if watched:
        before, after = errors_by_branch(old, watched), errors_by_branch(tuned, watched)
        forgotten = {name: {"before": before[name], "after": after[name]} for name in before}
        report = replace(report, forgotten=forgotten)
    _write(folder, tuned, report, config, origin=named)
    return report


def grow(
    old: HydraModel, data: TuningData, config: FinetuneConfig, *, replay: OldData = NOTHING_OLD
) -> tuple[HydraModel, FinetuneReport]:
    """The model with a branch for data, and what came of it; nothing is read or written.

    Args:
        old: is not changed.
        data: structures of the new branch.
        config: how.
        replay: structures of old branches that are trained along.

    Raises:
        ValueError: a branch, element or setting is not there or not allowed.
        DataError: a loss is not finite.
    """
    with measured_not_trusted():
        found = candidates(old, data.train)
        origin = best_of(found, config.from_branch)
        new = _beginning(old, origin, data, config)
        before = _errors(old, origin, data)
    errors = {"before": before, "step 0": _errors(new, config.new_branch, data)}
    best, trainer = _train(new, data, replay, config)
    tuned = best_model(trainer, best)
    errors["after"] = _errors(tuned, config.new_branch, data)
    with measured_not_trusted():
        moved = drift(old, tuned, data.val)
    report = FinetuneReport(
        from_branch=origin,
        candidates=[asdict(candidate) for candidate in found],
        structures={split: len(getattr(data, split)) for split in ("train", "val", "test")}
        | {"replayed": len(replay.train)},
        left_out=data.left_out,
        trained=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        references=_moved(old, origin, tuned, config.new_branch),
        errors=errors,
        steps=trainer.position.step,
        seconds=trainer.position.seconds,
        best=(best.best + 1, len(best.history)),
        forgotten={},
        drift=moved,
        history=best.history,
    )
    return tuned, report


def _beginning(
    old: HydraModel, origin: str, data: TuningData, config: FinetuneConfig
) -> HydraModel:
    """The model at step 0: with the new branch last, and alone where it is trained from scratch."""
    from_scratch = config.method == "scratch"
    start = blank(old, origin, seed=config.seed) if from_scratch else old
    table = chosen_references(
        start, origin, data.train, choice=config.references, isolated=data.isolated
    )
    new = grown(start, origin, config.new_branch, table, data.train)
    if not from_scratch:
        return new
    spec = new.branch_specs[-1]
    card = spec.card.model_copy(
        update={"title": "trained from scratch", "notes": "weights begin at random"}
    )
    return new.with_branches([len(new.branch_names) - 1], [replace(spec, card=card)]).eval()


def _errors(model: HydraModel, branch: str, data: TuningData) -> dict[str, dict[str, float]]:
    """Errors of one branch on the validation and test part, where there are structures."""
    parts = {"val": data.val, "test": data.test}
    return {
        split: errors_of(evaluate(model, structures, branch=branch).branches[branch].to_json())
        for split, structures in parts.items()
        if structures
    }


def freeze(model: HydraModel, config: FinetuneConfig) -> None:
    """Let only those weights be trained that the method says."""
    if config.method == "heads":
        model.encoder.requires_grad_(False)
    if config.method == "lora":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            add_low_rank(
                model.encoder, rank=config.rank, alpha=config.alpha, targets=config.targets
            )


def _train(
    model: HydraModel, data: TuningData, replay: OldData, config: FinetuneConfig
) -> tuple[BestWeights, Trainer]:
    """Train a copy of a model."""
    model = copy.deepcopy(model)
    freeze(model, config)
    best = BestWeights(config.new_branch, config.loss, config.patience)
    sets = {
        split: TrainingSet(structures, branch_names=model.branch_names, cutoff=model.config.cutoff)
        for split, structures in (("train", data.train + replay.train), ("val", data.val))
    }
    last = len(model.branch_names) - 1
    new = sets["train"].branch_index == last
    shares = _shares(sets["train"].branch_index, last, config.replay_share)
    trainer = Trainer(
        model,
        sets["train"],
        validation=sets["val"],
        branches=[BranchShare(share=share) for share in shares],
        config=trainer_config(
            config,
            num_atoms=sets["train"].num_atoms[new],
            num_edges=sets["train"].num_edges[new],
            num_replayed=len(replay.train),
        ),
        surroundings=Surroundings(on_validation=best.look),
    )
    trainer.run()
    return best, trainer


def _shares(branch_index: np.ndarray, new: int, replay_share: float) -> list[float]:
    """Factors on how often structures of each branch are drawn, the new one's last, (B + 1,)."""
    count = int((branch_index == new).sum())
    replayed = len(branch_index) - count
    other = replay_share * count / replayed if replayed else 1.0
    return [max(other, 1e-9)] * new + [1.0]


def best_model(trainer: Trainer, best: BestWeights) -> HydraModel:
    """The averaged weights of the best validation in a plain model, the new branch its default.

    Heads of branches that were not trained are as before: their gradients are zero, and nothing
    decays.
    """
    tuned = copy.deepcopy(trainer.average.model)
    best.give_back(tuned)
    merge_low_rank(tuned)
    tuned.default_branch = best.branch
    return tuned.eval().requires_grad_(False)


def _moved(
    old: HydraModel, origin: str, new: HydraModel, name: str
) -> dict[str, tuple[float | None, float]]:
    """Reference energies of the new branch's elements before and after."""
    spec = new.branch_specs[new.branch_names.index(name)]
    before = old.branch_specs[old.branch_names.index(origin)].references.to_json()
    after = spec.references.to_json()
    return {symbol: (before.get(symbol), after[symbol]) for symbol in spec.card.elements}


def _write(
    folder: Path, model: HydraModel, report: FinetuneReport, config: FinetuneConfig, *, origin: str
) -> None:
    spec = model.branch_specs[-1]
    measured = report.errors["after"].get("test") or report.errors["after"]["val"]
    split = "test" if "test" in report.errors["after"] else "val"
    metrics = {f"{split}_{key}": value for key, value in measured.items()}
    model.branch_specs = (*model.branch_specs[:-1], replace(spec, metrics=metrics))
    provenance = {
        "fine_tuned_from": origin,
        "from_branch": report.from_branch,
        "config": asdict(config),
        "steps": report.steps,
        "training_minutes": round(report.seconds / 60, 1),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / "model.safetensors", model, provenance=provenance)
    (folder / "report.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
