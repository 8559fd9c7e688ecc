"""Training the weights of "auto" for a model that has its branches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hydracalc.checkpoint import read_header, save_checkpoint
from hydracalc.errors import unknown
from hydracalc.registry import load_model, resolve
from hydracalc.store.store import open_store
from hydracalc.structure import AtomicStructure
from hydracalc.weighting.evidence import coverage
from hydracalc.weighting.fit import WeightingFitConfig, WeightingReport, fit_weighting


def fit(
    model: str | Path, shards: Sequence[Path], output: Path, *, split: str = "val", seed: int = 0
) -> WeightingReport:
    """Fit the weighting on labels of shards and write the model with it.

    Args:
        model: name or file; its branches are not changed.
        shards: folders of datasets that the model has branches for.
        output: file to write.
        split: split whose labels are used; the branches should not have been trained on it.
        seed: chooses the compositions that are held out for the report.

    Returns:
        errors on the held-out compositions; also kept in the file's provenance.

    Raises:
        ValueError: a dataset is no branch of the model, or there are too few compositions.
    """
    path = resolve(model)
    trained = load_model(path)
    config = WeightingFitConfig(seed=seed)
    structures: list[AtomicStructure] = []
    prior = {spec.name: float(spec.num_structures) for spec in trained.branch_specs}
    for folder in shards:
        store = open_store(folder, split)
        if store.branch not in trained.branch_names:
            raise ValueError(f"{folder}: {unknown('branch', store.branch, trained.branch_names)}")
        structures += store.fetch(np.arange(len(store)))
        learned = open_store(folder, "train")
        known = coverage(learned.fetch(np.arange(len(learned))), config.rest_force)
        prior[store.branch] = max(known, 1.0)
    weighting, report = fit_weighting(trained, structures, prior=prior, config=config)
    trained.weighting = weighting
    provenance = dict(read_header(path)["provenance"]) | {
        "weighting": {
            "split": split,
            "seed": seed,
            "prior": prior,
            "held_out_force_mae_eV_per_A": report.force_mae_eV_per_A,
            "held_out_energy_mae_eV_per_atom": report.energy_mae_eV_per_atom,
            "auto_on_the_same_force_mae_eV_per_A": report.auto_force_mae_eV_per_A,
            "auto_on_the_same_energy_mae_eV_per_atom": report.auto_energy_mae_eV_per_atom,
            "held_out_structures": report.described,
        }
    }
    save_checkpoint(output, trained, provenance=provenance)
    return report
