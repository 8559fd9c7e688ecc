"""Training the weights of "auto" for a model that has its branches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hydracalc.checkpoint import MEASURED, read_header, save_checkpoint
from hydracalc.errors import unknown
from hydracalc.registry import load_model, resolve
from hydracalc.store.store import open_store
from hydracalc.structure import AtomicStructure
from hydracalc.weighting.fit import WeightingFitConfig, fit_weighting
from hydracalc.weighting.held_out import WeightingReport
from hydracalc.weighting.trained_on import TrainedOn


def fit(
    model: str | Path,
    shards: Sequence[Path],
    output: Path,
    *,
    split: str = "val",
    config: WeightingFitConfig | None = None,
) -> WeightingReport:
    """Fit the weighting on labels of shards and write the model with it.

    What was measured of the model before is left out: its "auto" is another one now.

    Args:
        model: name or file; its branches are not changed.
        shards: folders of datasets that the model has branches for.
        output: file to write.
        split: split whose labels are used; the branches should not have been trained on it.
        config: how the weights are trained.

    Returns:
        errors on held-out compositions; also kept in the file's provenance.

    Raises:
        ValueError: a dataset is no branch of the model, or there are too few compositions.
    """
    path = resolve(model)
    trained = load_model(path)
    config = config or WeightingFitConfig()
    structures: list[AtomicStructure] = []
    trained_on = TrainedOn(trained.branch_names, config.rest_force)
    for folder in shards:
        store = open_store(folder, split)
        if store.branch not in trained.branch_names:
            raise ValueError(f"{folder}: {unknown('branch', store.branch, trained.branch_names)}")
        structures += store.fetch(np.arange(len(store)))
        learned = open_store(folder, "train")
        trained_on.add(store.branch, learned.fetch(np.arange(len(learned))))
    weighting, report = fit_weighting(trained, structures, trained_on=trained_on, config=config)
    trained.weighting = weighting
    provenance = dict(read_header(path)["provenance"])
    provenance.pop(MEASURED, None)
    provenance["weighting"] = {
        "split": split,
        "seed": config.seed,
        "trust": dict(config.trust),
        "folds": report.num_folds,
        "compositions": report.num_compositions,
        "trained_on": trained_on.summary(),
        "held_out_force_mae_eV_per_A": report.force_mae_eV_per_A,
        "held_out_energy_mae_eV_per_atom": report.energy_mae_eV_per_atom,
        "auto_on_the_same_force_mae_eV_per_A": report.auto_force_mae_eV_per_A,
        "auto_on_the_same_energy_mae_eV_per_atom": report.auto_energy_mae_eV_per_atom,
        "held_out_structures": report.described,
        "by_dataset_force_mae_eV_per_A": report.by_dataset_force_mae_eV_per_A,
        "new_force_mae_eV_per_A": report.new_force_mae_eV_per_A,
        "new_compositions": report.num_new_compositions,
    }
    save_checkpoint(output, trained, provenance=provenance)
    return report
