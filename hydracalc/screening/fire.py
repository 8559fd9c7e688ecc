"""FIRE for many structures side by side, each with its own time step and inertia.

Fast inertial relaxation engine [Bitzek et al. 2006, doi 10.1103/PhysRevLett.97.170201], with the
constants and the order of operations of ASE's FIRE, so that a structure takes the same steps as
there. v is our `velocity`, F `forces`, alpha `mixing`, f_inc, f_dec and f_alpha as in the paper.
"""

from dataclasses import dataclass, field

import numpy as np

_START_STEP, _LARGEST_STEP = 0.1, 1.0  # of time, in ASE's units
_LONGEST_MOVE = 0.2  # Angstrom, norm over all coordinates of a structure
_PATIENCE = 5  # steps downhill before the time step grows
_GROWTH, _SHRINKAGE = 1.1, 0.5  # f_inc, f_dec
_START_MIXING, _MIXING_DECAY = 0.1, 0.99  # alpha_start, f_alpha


@dataclass(eq=False)
class Fire:
    """State of the structures that are relaxed at present.

    Attributes:
        sizes: rows of coordinates of each structure, int64, (S,).
        velocity: all of them end to end, (sum of sizes, 3).
        time_step, mixing, num_downhill, is_new: of each structure, (S,).
    """

    sizes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    velocity: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    time_step: np.ndarray = field(default_factory=lambda: np.empty(0))
    mixing: np.ndarray = field(default_factory=lambda: np.empty(0))
    num_downhill: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    is_new: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))

    def enter(self, size: int) -> None:
        """Add a structure behind the others.

        Args:
            size: rows of its coordinates, at least 1.
        """
        self.sizes = np.append(self.sizes, size)
        self.velocity = np.concatenate([self.velocity, np.zeros((size, 3))])
        self.time_step = np.append(self.time_step, _START_STEP)
        self.mixing = np.append(self.mixing, _START_MIXING)
        self.num_downhill = np.append(self.num_downhill, 0)
        self.is_new = np.append(self.is_new, True)

    def leave(self, stays: np.ndarray) -> None:
        """Remove structures.

        Args:
            stays: which of them remain, bool, (S,).
        """
        self.velocity = self.velocity[np.repeat(stays, self.sizes)]
        for name in ("sizes", "time_step", "mixing", "num_downhill", "is_new"):
            setattr(self, name, getattr(self, name)[stays])

    def move(self, forces: np.ndarray) -> np.ndarray:
        """How far the coordinates go in this step.

        Args:
            forces: on all coordinates, (sum of sizes, 3).

        Returns:
            Increments, (sum of sizes, 3).
        """
        power = self._dot(forces, self.velocity)
        downhill = (power > 0) & ~self.is_new
        uphill = ~downhill & ~self.is_new
        length = np.sqrt(self._dot(self.velocity, self.velocity))
        size = np.sqrt(self._dot(forces, forces))
        along = np.divide(self.mixing * length, size, out=np.zeros_like(size), where=size > 0)
        turned = self._each(1.0 - self.mixing) * self.velocity + self._each(along) * forces
        self.velocity = np.where(self._each(downhill), turned, self.velocity)
        self.velocity[np.repeat(uphill, self.sizes)] = 0.0
        patient = downhill & (self.num_downhill > _PATIENCE)
        grown = np.minimum(self.time_step * _GROWTH, _LARGEST_STEP)
        self.time_step = np.where(patient, grown, self.time_step)
        self.time_step = np.where(uphill, self.time_step * _SHRINKAGE, self.time_step)
        self.mixing = np.where(patient, self.mixing * _MIXING_DECAY, self.mixing)
        self.mixing = np.where(uphill, _START_MIXING, self.mixing)
        self.num_downhill = np.where(downhill, self.num_downhill + 1, 0)
        self.is_new[:] = False
        self.velocity += self._each(self.time_step) * forces
        move = self._each(self.time_step) * self.velocity
        length = np.sqrt(self._dot(move, move))
        shortened = np.minimum(1.0, _LONGEST_MOVE / np.maximum(length, _LONGEST_MOVE))
        return self._each(shortened) * move

    def _dot(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Product over the coordinates of each structure, (S,)."""
        starts = np.cumsum(self.sizes) - self.sizes
        return np.add.reduceat((one * other).sum(axis=1), starts)

    def _each(self, values: np.ndarray) -> np.ndarray:
        """Numbers of structures for their rows, (sum of sizes, 1)."""
        return np.repeat(values, self.sizes)[:, None]
