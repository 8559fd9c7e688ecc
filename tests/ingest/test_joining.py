"""Groups with nearly equal structures go together; others do not."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from published import Handed, make_structure
from scipy.spatial.transform import Rotation

from hydracalc.ingest.joining import join_groups
from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.shards.reader import open_shards
from hydracalc.structure import from_atoms


def rattled(atoms, amplitude, seed=0):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, amplitude, atoms.positions.shape)
    return atoms


def turned(atoms):
    atoms = rattled(atoms, 0.005, seed=3)
    order = np.random.default_rng(1).permutation(len(atoms))
    atoms.positions = Rotation.random(rng=2).apply(atoms.positions) + 7.0
    return atoms[order]


def joined(*atoms, rattle=0.02):
    """Which of the groups 10, 11, ... go together with which."""
    structures = ((from_atoms(a), 10 + n) for n, a in enumerate(atoms))
    return join_groups(structures, rattle=rattle, seed=0)


def test_a_turned_renumbered_copy_is_near():
    ethanol = molecule("CH3CH2OH")
    assert joined(ethanol, turned(ethanol)) == {11: 10}


def test_a_supercell_is_near():
    salt = bulk("NaCl", "rocksalt", a=5.64)
    assert joined(salt, rattled(salt * (2, 1, 2), 0.004)) == {11: 10}


def test_an_isomer_a_far_conformation_and_another_composition_are_not():
    ethanol, ether = molecule("CH3CH2OH"), molecule("CH3OCH3")
    assert joined(ethanol, ether, rattled(ethanol, 0.3), molecule("C2H6")) == {}


def test_a_crystal_is_no_molecule():
    atoms = bulk("Si")
    free = atoms.copy()
    free.pbc = False
    assert joined(atoms, free) == {}


def test_groups_are_joined_through_others():
    """Each step is small, the ends are not near each other."""
    ethanol = molecule("CH3CH2OH")
    steps = [ethanol]
    for _ in range(4):
        atoms = steps[-1].copy()
        atoms.positions[-1] += [0.03, 0, 0]
        steps.append(atoms)
    assert joined(steps[0], steps[-1]) == {}
    assert joined(*steps) == {11: 10, 12: 10, 13: 10, 14: 10}


def test_a_rattle_must_be_a_length():
    with pytest.raises(ValueError, match="rattle is 0"):
        join_groups([], rattle=0, seed=0)
    with pytest.raises(ValueError, match="join_near is -1"):
        SplitConfig(join_near=-1)


def test_near_copies_under_other_names_are_on_one_side(tmp_path):
    """Fifty molecules, each twice under names of its own: names alone tear some of them apart."""
    structures = []
    for seed in range(50):
        first = make_structure(seed, (8, 6, 1, 1)[: 3 + seed % 2], group=f"first {seed}")
        moved = first.positions + np.random.default_rng(seed).normal(
            0, 0.002, first.positions.shape
        )
        second = replace(first, positions=moved, group=f"second {seed}", source=f"copy {seed}")
        structures += [first, second]

    def torn(name, **options):
        config = PrepareConfig(split=SplitConfig(val=0.2, test=0.3, **options))
        prepare(Handed(structures), tmp_path, tmp_path / name, config=config)
        with open_shards(tmp_path / name) as shards:
            sides = {s.source: s.split for s in shards.read(range(len(shards)))}
        return sum(sides[f"structure {n}"] != sides[f"copy {n}"] for n in range(50))

    assert torn("names") > 5
    assert torn("near", join_near=0.01) == 0
