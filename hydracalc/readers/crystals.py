"""Structures as pymatgen writes them into JSON, read without pymatgen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydracalc import elements


@dataclass(frozen=True, kw_only=True, eq=False)
class Crystal:
    """Atoms and cell of a pymatgen dictionary.

    Attributes:
        atomic_numbers: int64, (N,).
        positions: Angstrom, (N, 3).
        cell: lattice vectors as rows, Angstrom, (3, 3).
        pbc: bool, (3,).
        total_charge: e; 0 where the dictionary has none.
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    total_charge: int


def is_ordered(structure: Mapping[str, Any]) -> bool:
    """Whether every site holds exactly one atom."""
    return all(
        len(site["species"]) == 1 and site["species"][0].get("occu", 1) == 1
        for site in structure["sites"]
    )


def read_crystal(structure: Mapping[str, Any]) -> Crystal:
    """Atoms and cell of pymatgen's `Structure.as_dict()`.

    Positions are fractional coordinates times the lattice, as pymatgen itself takes them; `xyz`
    is read only where a site has no `abc`.

    Args:
        structure: {"lattice": {"matrix", "pbc"}, "sites": [{"species", "abc", "xyz"}], "charge"}.

    Raises:
        ValueError: a site is disordered or holds no element.
        KeyError: the dictionary lacks lattice or sites.
    """
    if not is_ordered(structure):
        raise ValueError("a site is shared by several species")
    lattice, sites = structure["lattice"], structure["sites"]
    cell = np.array(lattice["matrix"], dtype=np.float64)
    if all("abc" in site for site in sites):
        positions = np.array([site["abc"] for site in sites], dtype=np.float64) @ cell
    else:
        positions = np.array([site["xyz"] for site in sites], dtype=np.float64)
    return Crystal(
        atomic_numbers=np.array([elements.number(s["species"][0]["element"]) for s in sites]),
        positions=positions,
        cell=cell,
        pbc=np.array(lattice.get("pbc", (True, True, True)), dtype=bool),
        total_charge=round(structure.get("charge") or 0),
    )


def write_crystal(
    atomic_numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray
) -> dict[str, Any]:
    """The dictionary of a crystal, as pymatgen and `read_crystal` read it.

    Args:
        atomic_numbers: (N,).
        positions: Angstrom, (N, 3).
        cell: lattice vectors as rows, Angstrom, (3, 3).
    """
    symbols = [elements.symbol(int(z)) for z in atomic_numbers]
    fractions = np.linalg.solve(cell.T, positions.T).T
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {"matrix": cell.tolist(), "pbc": [True, True, True]},
        "sites": [
            {"species": [{"element": name, "occu": 1}], "abc": abc, "xyz": xyz, "label": name}
            for name, abc, xyz in zip(symbols, fractions.tolist(), positions.tolist(), strict=True)
        ],
    }
