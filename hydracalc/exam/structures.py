"""What an exam is taken on: a molecule, a crystal and a slab of elements that are known."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.data import chemical_symbols, covalent_radii, reference_states

from hydracalc.exam.subject import Refused, Subject

_MOLECULES = ("CH3CH2OH", "H2O", "CH4", "NH3", "N2", "H2")
_CRYSTALS: dict[str, Callable[[], Atoms]] = {
    "NaCl": lambda: bulk("NaCl", "rocksalt", a=5.64, cubic=True),
    "Si": lambda: bulk("Si", cubic=True),
    "Cu": lambda: bulk("Cu", cubic=True),
    "Al": lambda: bulk("Al", cubic=True),
}
_SLABS = ("Al", "Cu", "Pt", "Ni", "Pd", "Ag", "Au")
_ADSORBATES = ("O", "H")
_CUBIC = ("fcc", "bcc", "diamond")  # that ASE builds from the symbol alone

_RATTLE = 0.05  # Angstrom: no site is left with a symmetry that hides an error
_CRYSTAL_ATOMS = 8  # at least


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One structure.

    Attributes:
        name: for tables.
        atoms: without calculator and constraints.
    """

    name: str
    atoms: Atoms

    @property
    def formula(self) -> str:
        """Composition."""
        return str(self.atoms.get_chemical_formula())


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseSet:
    """Structures that the calculator answers for.

    Attributes:
        cases: at least one.
        left_out: those it does not, and why.
    """

    cases: tuple[Case, ...]
    left_out: dict[str, str]


def own_cases(structures: Sequence[Atoms], subject: Subject) -> CaseSet:
    """Structures of the user.

    Raises:
        ValueError: there are none, or the calculator refuses all.
    """
    cases, left_out = [], {}
    for index, given in enumerate(structures):
        atoms = given.copy()
        atoms.calc = None
        atoms.set_constraint()
        name = f"{index}: {atoms.get_chemical_formula()}"
        refusal = "it has no atoms" if not len(atoms) else _refusal(subject, atoms)
        if refusal is None:
            cases.append(Case(name=name, atoms=atoms))
        else:
            left_out[name] = refusal
    return _checked(cases, left_out)


def built_in_cases(subject: Subject) -> CaseSet:
    """A molecule, a crystal and a slab, each the first that the calculator answers for.

    Raises:
        ValueError: it answers for none.
    """
    cases, left_out = [], {}
    kinds = {"molecule": _molecules(), "crystal": _crystals(), "slab": _slabs()}
    for seed, (kind, candidates) in enumerate(kinds.items()):
        refusals: list[str] = []
        for atoms in candidates:
            rattled = _rattled(atoms, seed)
            refusal = _refusal(subject, rattled)
            if refusal is None:
                cases.append(Case(name=kind, atoms=rattled))
                break
            refusals.append(f"{atoms.get_chemical_formula()}: {refusal}")
        else:
            more = f", and {len(refusals) - 1} others likewise" if len(refusals) > 1 else ""
            left_out[kind] = refusals[0] + more
    return _checked(cases, left_out)


def symbols_of(cases: Iterable[Case]) -> list[str]:
    """Elements of all structures, in ascending order."""
    numbers = sorted({int(z) for case in cases for z in case.atoms.numbers})
    return [chemical_symbols[z] for z in numbers]


def _checked(cases: list[Case], left_out: dict[str, str]) -> CaseSet:
    if not cases:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
        raise ValueError(f"the calculator answers for no structure of the exam: {reasons or '-'}")
    return CaseSet(cases=tuple(cases), left_out=left_out)


def _refusal(subject: Subject, atoms: Atoms) -> str | None:
    """Why the calculator has no answer for a structure; None if it has."""
    try:
        answer = subject.answer(atoms)
    except Refused as refused:
        return str(refused)
    numbers = [answer.energy] if answer.forces is None else [answer.energy, *answer.forces.flat]
    return None if np.isfinite(numbers).all() else "energy or forces are not finite"


def _rattled(atoms: Atoms, seed: int) -> Atoms:
    moved = atoms.copy()
    rng = np.random.default_rng(seed)
    moved.positions += rng.normal(0, _RATTLE, moved.positions.shape)
    return moved


def _molecules() -> Iterable[Atoms]:
    """Molecules, then tetrahedra of four atoms of each element."""
    yield from map(molecule, _MOLECULES)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(8)
    for symbol in _elemental_crystals():
        bond = 2 * covalent_radii[chemical_symbols.index(symbol)]
        yield Atoms(f"{symbol}4", corners * bond)


def _crystals() -> Iterable[Atoms]:
    built = [make() for make in _CRYSTALS.values()]
    for crystal in (*built, *(bulk(symbol, cubic=True) for symbol in _elemental_crystals())):
        atoms = crystal
        while len(atoms) < _CRYSTAL_ATOMS:
            copies = [1, 1, 1]
            copies[int(np.argmin(atoms.cell.lengths()))] = 2
            atoms = atoms.repeat(copies)
        yield atoms


def _slabs() -> Iterable[Atoms]:
    """Open along the normal; with an atom on it, and bare."""
    for adsorbate in (*_ADSORBATES, None):
        for symbol in _SLABS:
            slab = fcc111(symbol, (2, 2, 2), vacuum=6.0)
            if adsorbate is not None:
                add_adsorbate(slab, adsorbate, 1.5, "fcc")
            slab.pbc = (True, True, False)
            yield slab


def _elemental_crystals() -> Iterable[str]:
    for symbol, state in zip(chemical_symbols, reference_states, strict=False):
        if state is not None and state.get("symmetry") in _CUBIC:
            yield symbol
