"""What a folder of shards holds in numbers: elements, sizes, energies, forces."""

from collections import Counter
from typing import Any

import numpy as np

from hydracalc import elements
from hydracalc.references import References
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import SPLITS, StructureTable


def collect_stats(shards: Shards) -> dict[str, Any]:
    """Numbers about every structure, one shard in memory at a time; units are in the keys.

    Energies are normalized: per atom, with the reference energies taken off.
    """
    atoms, structures = np.zeros((2, elements.NUM_ELEMENTS), dtype=np.int64)
    collected: dict[str, list[np.ndarray]] = {"energy": [], "largest_force": [], "stress": []}
    values: dict[str, Counter[int]] = {"charges": Counter(), "spin_multiplicities": Counter()}
    squares, components = 0.0, 0
    for table in shards.tables():
        arrays = table.arrays
        atoms += elements.composition(arrays["atomic_numbers"])
        structures += _structures_with_element(table)
        collected["energy"].append(_normalized(table, shards.references))
        forces = arrays["forces"][np.isfinite(arrays["forces"])]
        squares, components = squares + float(forces @ forces), components + forces.size
        collected["largest_force"].append(_largest_force(table))
        collected["stress"].append(np.abs(arrays["stress"]).max(axis=(1, 2)))
        values["charges"].update(arrays["total_charge"].tolist())
        values["spin_multiplicities"].update(arrays["spin_multiplicity"].tolist())
    return {
        "branch": shards.branch,
        "num_structures": {name: int((shards.splits == i).sum()) for i, name in enumerate(SPLITS)},
        "num_atoms": _distribution(shards.num_atoms.astype(float)),
        "elements": {
            elements.symbol(int(z)): {"atoms": int(atoms[z]), "structures": int(structures[z])}
            for z in np.nonzero(atoms)[0]
        },
        "normalized_energy_eV_per_atom": _distribution(np.concatenate(collected["energy"])),
        "force_rms_eV_per_A": float(np.sqrt(squares / components)) if components else None,
        "largest_force_eV_per_A": _distribution(np.concatenate(collected["largest_force"])),
        "largest_stress_eV_per_A3": _distribution(np.concatenate(collected["stress"])),
        **{name: dict(sorted(counts.items())) for name, counts in values.items()},
        "references_eV": shards.references.to_json(),
    }


def _structures_with_element(table: StructureTable) -> np.ndarray:
    """In how many structures each element occurs, (119,)."""
    owner = np.repeat(np.arange(len(table)), table.num_atoms)
    pairs = np.unique(owner * elements.NUM_ELEMENTS + table.arrays["atomic_numbers"])
    return elements.composition(pairs % elements.NUM_ELEMENTS)


def _normalized(table: StructureTable, references: References) -> np.ndarray:
    """(E - sum of references) / N of each structure, eV/atom, (S,); NaN without an energy."""
    per_atom = references.energies[table.arrays["atomic_numbers"]]
    baseline = np.add.reduceat(per_atom, table.arrays["offsets"][:-1])
    return (table.arrays["energy"] - baseline) / table.num_atoms


def _largest_force(table: StructureTable) -> np.ndarray:
    """Largest norm of the forces on the atoms of each structure, eV/A, (S,)."""
    norms = np.linalg.norm(table.arrays["forces"], axis=1)
    return np.maximum.reduceat(norms, table.arrays["offsets"][:-1])


def _distribution(values: np.ndarray) -> dict[str, float] | None:
    """Count, mean, deviation and quantiles of the values that are not NaN; None if all are."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, middle, high = np.quantile(values, [0.01, 0.5, 0.99])
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "p01": float(low),
        "median": float(middle),
        "p99": float(high),
        "max": float(values.max()),
    }
