"""What a folder of shards holds in numbers: elements, sizes, energies, forces, references."""

from collections import Counter
from typing import Any

import numpy as np

from hydracalc import elements
from hydracalc.references import References
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import OFFSETS, SPLITS, StructureTable
from hydracalc.survey.coverage import CompositionMatrix
from hydracalc.survey.distributions import Distribution, Histogram

# quantities and whether their histogram has bins of equal ratios
_IS_LOGARITHMIC = {
    "num_atoms": False,
    "normalized_energy_eV_per_atom": False,
    "force_eV_per_A": True,
    "largest_force_eV_per_A": True,
    "largest_stress_eV_per_A3": True,
}


def collect_stats(shards: Shards) -> dict[str, Any]:
    """Numbers about every structure, one shard in memory at a time; units are in the keys.

    Energies are normalized: per atom, with the reference energies taken off. Every shard is read
    twice, the second time for the histograms.
    """
    atoms, structures = np.zeros((2, elements.NUM_ELEMENTS), dtype=np.int64)
    values: dict[str, Counter[int]] = {"charges": Counter(), "spin_multiplicities": Counter()}
    distributions = {name: Distribution() for name in _IS_LOGARITHMIC}
    squares, components, matrix = 0.0, 0, CompositionMatrix()
    for table in shards.tables():
        arrays = table.arrays
        atoms += elements.composition(arrays["atomic_numbers"])
        structures += _structures_with_element(table)
        for name, numbers in _quantities(table, shards.references).items():
            distributions[name].add(numbers)
        forces = arrays["forces"][np.isfinite(arrays["forces"])]
        squares, components = squares + float(forces @ forces), components + forces.size
        values["charges"].update(arrays["total_charge"].tolist())
        values["spin_multiplicities"].update(arrays["spin_multiplicity"].tolist())
        matrix.add(table)
    coverage = matrix.coverage()
    return {
        "branch": shards.branch,
        "num_structures": {name: int((shards.splits == i).sum()) for i, name in enumerate(SPLITS)},
        "elements": {
            elements.symbol(int(z)): {"atoms": int(atoms[z]), "structures": int(structures[z])}
            for z in np.nonzero(atoms)[0]
        },
        **{name: distribution.to_json() for name, distribution in distributions.items()},
        "force_rms_eV_per_A": float(np.sqrt(squares / components)) if components else None,
        **{name: dict(sorted(counts.items())) for name, counts in values.items()},
        "references_eV": shards.references.to_json(),
        "coverage": None if coverage is None else coverage.to_json(),
        "histograms": _histograms(shards, distributions),
    }


def _histograms(shards: Shards, distributions: dict[str, Distribution]) -> dict[str, Any]:
    """Counts in bins that suit each quantity, by its name; none where it has no value."""
    histograms: dict[str, Histogram] = {}
    for name, distribution in distributions.items():
        is_logarithmic = _IS_LOGARITHMIC[name]
        made = distribution.log_histogram if is_logarithmic else distribution.even_histogram
        histogram = made()
        if histogram is not None:
            histograms[name] = histogram
    for table in shards.tables():
        quantities = _quantities(table, shards.references)
        for name, histogram in histograms.items():
            histogram.add(quantities[name])
    return {name: histogram.to_json() for name, histogram in histograms.items()}


def _quantities(table: StructureTable, references: References) -> dict[str, np.ndarray]:
    """Numbers of each structure, or atom, by name; NaN where there is no label."""
    norms = np.linalg.norm(table.arrays["forces"], axis=1)
    return {
        "num_atoms": table.num_atoms,
        "normalized_energy_eV_per_atom": normalized_energies(table, references),
        "force_eV_per_A": norms,
        "largest_force_eV_per_A": np.maximum.reduceat(norms, table.arrays[OFFSETS][:-1]),
        "largest_stress_eV_per_A3": np.abs(table.arrays["stress"]).max(axis=(1, 2)),
    }


def _structures_with_element(table: StructureTable) -> np.ndarray:
    """In how many structures each element occurs, (119,)."""
    owner = np.repeat(np.arange(len(table)), table.num_atoms)
    pairs = np.unique(owner * elements.NUM_ELEMENTS + table.arrays["atomic_numbers"])
    return elements.composition(pairs % elements.NUM_ELEMENTS)


def normalized_energies(table: StructureTable, references: References) -> np.ndarray:
    """(E - sum of references) / N of each structure, eV/atom, (S,); NaN without an energy."""
    per_atom = references.energies[table.arrays["atomic_numbers"]]
    baseline = np.add.reduceat(per_atom, table.arrays[OFFSETS][:-1])
    return (table.arrays["energy"] - baseline) / table.num_atoms
