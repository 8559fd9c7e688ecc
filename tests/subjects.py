"""ASE calculators for the exam: a sound one, and others that each break one law of physics.

Tests name them "subjects:Class".
"""

from dataclasses import dataclass

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii
from ase.stress import full_3x3_to_voigt_6_stress

from hydracalc.graphs.neighbors import neighbor_list

CUTOFF = 6.0  # Angstrom
DEPTH = 0.1  # eV


@dataclass
class Edges:
    """Both directions of every pair: receiver i, sender j, vector from i to j, length."""

    i: np.ndarray
    j: np.ndarray
    vectors: np.ndarray
    lengths: np.ndarray


class Sound(Calculator):
    """A pair potential that rises steeply and ends smoothly; half a pair's energy is each atom's.

    Whoever breaks it overrides one of the small functions.
    """

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        edges = self.edges()
        energies, slopes = self.pair(edges)
        energy = energies.sum() / 2
        pulls = slopes[:, None] * edges.vectors / edges.lengths[:, None]  # (E, 3), of half pairs
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, edges.i, pulls / 2)
        np.add.at(forces, edges.j, -pulls / 2)
        self.results = self.finish(edges, energy, forces, edges.vectors.T @ pulls / 2)

    def edges(self):
        atoms = self.atoms
        found = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF)
        vectors = found.vectors(atoms.positions, atoms.cell.array)
        lengths = np.linalg.norm(vectors, axis=1)
        return Edges(found.receivers, found.senders, vectors, lengths)

    def bonds(self, edges):
        radii = covalent_radii[self.atoms.numbers]
        return radii[edges.i] + radii[edges.j]

    def pair(self, edges):
        """Energy of each pair and its slope over the distance."""
        well, slope = self.well(edges)
        end, fall = self.end(edges.lengths)
        return well * end, slope * end + well * fall

    def well(self, edges):
        """Lennard-Jones with its minimum at the bond length."""
        sixth = (self.bonds(edges) / edges.lengths) ** 6
        return DEPTH * (sixth**2 - 2 * sixth), -12 * DEPTH * (sixth**2 - sixth) / edges.lengths

    def end(self, lengths):
        x = lengths / CUTOFF
        return (1 - x**2) ** 3, -6 * x * (1 - x**2) ** 2 / CUTOFF

    def finish(self, edges, energy, forces, virial):
        results = {"energy": float(energy), "forces": forces}
        if self.atoms.pbc.all():
            stress = virial / self.atoms.get_volume()
            results["stress"] = full_3x3_to_voigt_6_stress(stress)
        return results


class Curl(Sound):
    """Forces between pairs that depend on how many neighbors both have, and belong to no energy."""

    def finish(self, edges, energy, forces, virial):
        end, _ = self.end(edges.lengths)
        crowd = np.bincount(edges.i, end, minlength=len(forces))
        pulls = (0.02 * end * (crowd[edges.i] + crowd[edges.j]))[:, None] * edges.vectors
        forces = forces + np.array([pulls[edges.i == a].sum(axis=0) for a in range(len(forces))])
        return super().finish(edges, energy, forces, virial)


class Scaled(Sound):
    """Forces of another energy: two percent too large."""

    def finish(self, edges, energy, forces, virial):
        return super().finish(edges, energy, 1.02 * forces, virial)


class Truncated(Sound):
    """The pair energy is cut where it has not ended."""

    def end(self, lengths):
        return np.ones_like(lengths), np.zeros_like(lengths)


class FewNeighbors(Sound):
    """Each atom sees the ten nearest, however far the eleventh is."""

    def edges(self):
        edges = super().edges()
        order = np.lexsort((edges.lengths, edges.i))
        first = np.searchsorted(edges.i[order], edges.i[order])
        kept = order[np.arange(len(order)) - first < 10]
        return Edges(edges.i[kept], edges.j[kept], edges.vectors[kept], edges.lengths[kept])


class Pooled(Sound):
    """The mean over atoms where the sum belongs."""

    def finish(self, edges, energy, forces, virial):
        number = len(forces)
        return super().finish(edges, energy / number, forces / number, virial / number)


class Composed(Sound):
    """Scaled by the share of the first element, as weights by composition are."""

    def finish(self, edges, energy, forces, virial):
        scale = 1 + 0.1 * np.mean(self.atoms.numbers == self.atoms.numbers.min())
        return super().finish(edges, scale * energy, scale * forces, scale * virial)


class Upright(Sound):
    """Distances along z count for more than those along x and y."""

    METRIC = np.array([1, 1, 1.01])

    def edges(self):
        edges = super().edges()
        stretched = edges.vectors * self.METRIC
        return Edges(edges.i, edges.j, stretched, np.linalg.norm(stretched, axis=1))

    def end(self, lengths):
        # in the stretched length the same pairs are within reach, less than the cutoff
        return tuple(np.where(lengths < CUTOFF, part, 0) for part in super().end(lengths))

    def finish(self, edges, energy, forces, virial):
        return super().finish(edges, energy, forces * self.METRIC, virial)


class Field(Sound):
    """A field that knows where the origin is."""

    def finish(self, edges, energy, forces, virial):
        energy = energy + 0.01 * np.cos(self.atoms.positions[:, 0]).sum()
        pull = np.zeros_like(forces)
        pull[:, 0] = 0.01 * np.sin(self.atoms.positions[:, 0])
        return super().finish(edges, energy, forces + pull, virial)


class FirstAtom(Sound):
    """The first atom counts for more."""

    def pair(self, edges):
        scale = 1 + 0.01 * ((edges.i == 0) | (edges.j == 0))
        return tuple(scale * values for values in super().pair(edges))


class WrongStress(Sound):
    """Compression positive."""

    def finish(self, edges, energy, forces, virial):
        return super().finish(edges, energy, forces, -virial)


class HalfStress(Sound):
    """Every pair's virial counted half."""

    def finish(self, edges, energy, forces, virial):
        return super().finish(edges, energy, forces, virial / 2)


class Remembering(Sound):
    """The energy depends on how many atoms were asked for before."""

    before = None

    def finish(self, edges, energy, forces, virial):
        now = len(forces)
        energy += 1e-3 * (0 if self.before is None else self.before - now)
        self.before = now
        return super().finish(edges, energy, forces, virial)


class LongRange(Sound):
    """In open structures every pair of atoms attracts, however far apart."""

    def finish(self, edges, energy, forces, virial):
        if not self.atoms.pbc.any() and len(forces) > 1:
            vectors = self.atoms.positions[None] - self.atoms.positions[:, None]
            squares = np.square(vectors).sum(axis=-1) + 1  # softened
            energy += 0.05 * np.triu(np.log(squares), 1).sum()
            forces = forces + 0.1 * (vectors / squares[:, :, None]).sum(axis=1)
        return super().finish(edges, energy, forces, virial)


class Sticky(Sound):
    """Atoms that come very near fall into a well."""

    def well(self, edges):
        well, slope = super().well(edges)
        x = edges.lengths / (0.45 * self.bonds(edges))
        inside = np.clip(1 - x**2, 0, None)
        fall = -6 * x * inside**2 / (0.45 * self.bonds(edges))
        return well - 1e9 * inside**3, slope - 1e9 * fall


class Noisy(Sound):
    """Energies scatter more than any precision explains."""

    def finish(self, edges, energy, forces, virial):
        digits = np.frombuffer(self.atoms.positions.tobytes(), dtype=np.uint32)
        return super().finish(
            edges, energy + 1e-3 * (int(digits.sum()) % 1000) / 1000, forces, virial
        )


class Single(Sound):
    """Sound, but in float32: positions, energies and forces."""

    def edges(self):
        edges = super().edges()
        vectors = edges.vectors.astype(np.float32)
        return Edges(edges.i, edges.j, vectors, np.linalg.norm(vectors, axis=1))

    def bonds(self, edges):
        return super().bonds(edges).astype(np.float32)

    def finish(self, edges, energy, forces, virial):
        return super().finish(edges, np.float32(energy), forces.astype(np.float32), virial)


class Molecular(Sound):
    """Refuses whatever is periodic, and has no stress."""

    implemented_properties = ["energy", "forces"]

    def finish(self, edges, energy, forces, virial):
        if self.atoms.pbc.any():
            raise NotImplementedError("molecules only")
        return super().finish(edges, energy, forces, virial)


class NoForces(Sound):
    """Energy alone."""

    implemented_properties = ["energy"]

    def finish(self, edges, energy, forces, virial):
        return {"energy": float(energy)}
