"""Writes small files in the published layout of QCML, with labels that are not those of QCML.

    python make_sample.py FOLDER

No piece of the published files is at hand. Eight molecules, some charged, some with unpaired
electrons, are computed here with PBE0/6-31G(d) in PySCF, each displaced a little three times, and
written as tfds writes them: TFRecord files of tf.train.Example messages, lengths in Bohr, energies
in Hartree, all numbers rounded to 32 bits. One record is flagged as an outlier. Forces are exact
derivatives of the energies, so that the adapter can be checked; the numbers are of no other use.
"""

import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from pyscf import dft, gto

from hydracalc import units
from hydracalc.readers.tfrecord import masked_checksum

NH4 = Atoms("NH4", np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.59)
SPECIES = (  # name, atoms, charge, multiplicity
    ("water", molecule("H2O"), 0, 1),
    ("methane", molecule("CH4"), 0, 1),
    ("methyl", molecule("CH3"), 0, 2),
    ("methylene", molecule("CH2_s3B1d"), 0, 3),
    ("hydroxide", molecule("OH"), -1, 1),
    ("ammonium", NH4, 1, 1),
    ("amino", molecule("NH2"), 0, 2),
    ("lithium hydride", molecule("LiH"), 0, 1),
)
ATOMS = {1: 1, 3: 1, 6: 2, 7: 3, 8: 2}  # unpaired electrons of a free atom


def kohn_sham(atoms: Atoms, charge: int, unpaired: int) -> dft.rks.RKS | dft.uks.UKS:
    """A converged PBE0/6-31G(d) calculation."""
    geometry = list(zip(atoms.symbols, atoms.positions, strict=True))
    mol = gto.M(atom=geometry, basis="6-31g(d)", charge=charge, spin=unpaired, verbose=0)
    calculation = (dft.UKS if unpaired else dft.RKS)(mol, xc="pbe0")
    calculation.grids.level = 4
    calculation.conv_tol = 1e-10
    calculation.kernel()
    return calculation


def labelled(atoms: Atoms, charge: int, multiplicity: int, free: dict[int, float]) -> dict:
    """Features of a record, as numbers."""
    calculation = kohn_sham(atoms, charge, multiplicity - 1)
    gradient = calculation.nuc_grad_method()
    gradient.grid_response = True
    energy = float(calculation.e_tot)
    return {
        "atomic_numbers": atoms.numbers.tolist(),
        "charge": [charge],
        "is_outlier": [0],
        "multiplicity": [multiplicity],
        "pbe0_energy": np.array([energy]),
        "pbe0_forces": -gradient.kernel().reshape(-1),
        "pbe0_formation_energy": np.array([energy - sum(free[int(z)] for z in atoms.numbers)]),
        "positions": (atoms.positions / units.BOHR).reshape(-1),
    }


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def feature(values: bytes | np.ndarray | list[int]) -> bytes:
    """A tf.train.Feature: bytes, floats or integers, the numbers packed."""
    if isinstance(values, bytes):
        return message(1, message(1, values))
    if isinstance(values, np.ndarray):
        return message(2, message(1, values.astype("<f4").tobytes()))
    return message(3, message(1, b"".join(varint(value) for value in values)))


def record(features: dict) -> bytes:
    """A record of a TFRecord file."""
    entries = [
        message(1, message(1, name.encode()) + message(2, feature(values)))
        for name, values in sorted(features.items())
    ]
    example = message(1, b"".join(entries))
    length = struct.pack("<Q", len(example))
    checksums = [struct.pack("<I", masked_checksum(part)) for part in (length, example)]
    return length + checksums[0] + example + checksums[1]


def main(folder: str) -> None:
    rng = np.random.default_rng(0)
    free = {
        z: float(kohn_sham(Atoms(numbers=[z]), 0, unpaired).e_tot) for z, unpaired in ATOMS.items()
    }
    records = []
    for name, atoms, charge, multiplicity in SPECIES:
        direction = rng.normal(0, 0.03, (len(atoms), 3))
        for step in range(4):
            displaced = atoms.copy()
            displaced.positions += step * direction
            features = labelled(displaced, charge, multiplicity, free)
            features["key_hash"] = hashlib.sha256(f"{name} {step}".encode()).hexdigest().encode()
            records.append(features)
    outlier = {**records[0], "is_outlier": [1], "key_hash": b"0" * 64}
    records.insert(7, outlier)
    half = len(records) // 2
    for number, part in enumerate((records[:half], records[half:])):
        path = Path(folder) / f"qcml-full.tfrecord-{number:05d}-of-00002"
        path.write_bytes(b"".join(record(features) for features in part))


if __name__ == "__main__":
    main(*sys.argv[1:])
