"""What a split gives away: planted copies are found, groups hold back what chance lets through."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from published import CARD, make_structure

from hydracalc import elements, references
from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.splitting import SplitConfig, Splitter
from hydracalc.labelling.md_snapshots import as_atoms
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.structure import from_atoms
from hydracalc.survey.leakage import LeakageConfig, measure_leakage

DATASETS = Path(__file__).parents[2] / "datasets"


def write(path, structures, card=CARD, sides=None, split=None):
    """A folder of shards, its sides given or dealt by group."""
    splitter = Splitter(split or SplitConfig())
    sides = sides or [splitter.split_of(structure) for structure in structures]
    with ShardWriter(path, card=card, max_shard_bytes=2**20) as writer:
        for structure, side in zip(structures, sides, strict=True):
            writer.add(structure, split=side)
    return path


def measure(path, **config):
    with open_shards(path) as shards:
        return measure_leakage(shards, LeakageConfig(**config))


def published(name, keep=lambda structure: True):
    adapter = load_adapter(name)
    structures = adapter.read(DATASETS / name / "slice")
    return adapter.card, [structure for structure in structures if keep(structure)]


def test_mptrj_frames_of_one_relaxation_leak_at_random_and_not_by_group(tmp_path):
    """The slice has the energies, sizes and rare repeats of the whole dataset."""
    card, structures = published("mptrj")
    report = measure(write(tmp_path / "mptrj", structures, card))
    stored, random = report.stored, report.random
    assert (stored.num_train, stored.num_test) == (random.num_train, random.num_test)
    assert (stored.same_group, stored.near_duplicates) == (0, 0)
    assert random.same_group >= 8
    assert random.near_duplicates >= 2
    assert report.optimism > 1.1


def test_mptrj_relaxations_with_several_frames_are_known_by_their_neighbors(tmp_path):
    card, structures = published("mptrj")
    frames = Counter(structure.group for structure in structures)
    structures = [structure for structure in structures if frames[structure.group] > 1]
    split = SplitConfig(val=0, test=0.4)
    report = measure(write(tmp_path / "mptrj", structures, card, split=split), rattle=0.1)
    assert report.stored.near_duplicates == 0
    assert report.random.near_duplicates > 0.4 * report.random.num_test
    assert report.random.same_composition > 4 * report.stored.same_composition
    assert report.optimism > 1.2


def test_rmd17_frames_a_few_femtoseconds_apart_leak_at_random_and_less_by_group(tmp_path):
    """Frames of the slice with another within 10 steps of the trajectory, 5 fs."""
    card, structures = published("rmd17")
    steps = {}
    for structure in structures:
        name, step = structure.source.split("/")
        steps.setdefault(name, []).append(int(step))

    def has_neighbor(structure):
        name, step = structure.source.split("/")
        return np.sort(np.abs(np.array(steps[name]) - int(step)))[1] <= 10

    structures = [structure for structure in structures if has_neighbor(structure)]
    split = SplitConfig(val=0, test=0.4, seed=1)
    report = measure(write(tmp_path / "rmd17", structures, card, split=split), rattle=0.03)
    assert report.stored.same_group == 0
    assert report.random.same_group > 0.6 * report.random.num_test
    assert report.random.near_duplicates >= 4
    assert report.random.near_duplicates > 3 * report.stored.near_duplicates


def test_ani1x_molecules_are_new_by_group_and_known_at_random(tmp_path):
    card, structures = published("ani1x")
    report = measure(write(tmp_path / "ani1x", structures, card))
    assert report.stored.same_group == 0
    assert report.random.same_composition > 3 * report.stored.same_composition
    assert report.optimism > 1.1


ETHANOL = molecule("CH3CH2OH")


def ethanol(seed, sigma=0.15, turn=0):
    atoms = ETHANOL.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, sigma, atoms.positions.shape)
    return labelled(atoms, f"ethanol {seed}", turn)


def labelled(atoms, source, turn=0):
    atoms.rotate(turn, (1, 2, 3))
    structure = from_atoms(atoms, branch="own", source=source)
    return replace(structure, group=source, energy=-4000.0 + float(atoms.positions[0, 0]))


def moved(structure, sigma):
    """The same molecule turned, its atoms in another order, a little displaced."""
    atoms = as_atoms(structure)
    rng = np.random.default_rng(9)
    atoms.positions += rng.normal(0, sigma, atoms.positions.shape)
    return labelled(atoms[rng.permutation(len(atoms))], f"{structure.source} moved", 50)


@pytest.mark.parametrize(
    ("make", "exact", "near"),
    [
        (lambda s: replace(s, source="copy"), 5, 5),
        (lambda s: moved(s, 0.0), 0, 5),
        (lambda s: moved(s, 0.005), 0, 5),
        (lambda s: moved(s, 0.1), 0, 0),
    ],
)
def test_planted_copies_are_found(tmp_path, make, exact, near):
    train = [ethanol(seed) for seed in range(40)]
    test = [make(structure) for structure in train[:5]]
    sides = ["train"] * 40 + ["test"] * 5
    stored = measure(write(tmp_path / "own", train + test, sides=sides)).stored
    assert (stored.exact_duplicates, stored.near_duplicates) == (exact, near)
    assert stored.same_composition == 5


def test_a_supercell_of_a_training_crystal_is_near(tmp_path):
    crystal = make_structure(1, (14, 14), cell=5 * np.eye(3), pbc=[True] * 3, forces=None)
    twice = from_atoms(as_atoms(crystal) * (1, 2, 1), branch="own", source="twice")
    twice = replace(twice, group="twice", energy=2 * crystal.energy)
    stored = measure(write(tmp_path / "own", [crystal, twice], sides=["train", "test"])).stored
    assert (stored.exact_duplicates, stored.near_duplicates) == (0, 1)
    assert stored.nearest_energy_mae_eV_per_atom == pytest.approx(0, abs=1e-9)


def test_the_nearest_energy_is_that_of_the_same_composition_or_of_the_nearest(tmp_path):
    water, methane = (8, 1, 1), (6, 1, 1, 1, 1)
    structures = [
        make_structure(1, water, energy=-3.0),
        make_structure(2, water, energy=-4.0),
        make_structure(3, methane, energy=5.0),
        make_structure(4, (8, 8, 1, 1, 1), energy=0.0),  # nearer to water
    ]
    sides = ["train", "train", "train", "test"]
    stored = measure(write(tmp_path / "own", structures, sides=sides)).stored
    assert (stored.num_train, stored.num_test, stored.same_composition) == (3, 1, 0)
    fitted = references.fit(
        np.array([elements.composition(s.atomic_numbers) for s in structures]),
        np.array([s.energy for s in structures]),
    )
    first, second, third, tested = (
        fitted.normalize(s.energy, s.atomic_numbers) for s in structures
    )
    nearest, mean = (first + second) / 2, (first + second + third) / 3
    assert stored.nearest_energy_mae_eV_per_atom == pytest.approx(abs(tested - nearest))
    assert stored.baseline_mae_eV_per_atom == pytest.approx(abs(tested - mean))


def test_equal_seeds_give_equal_reports_and_others_another_random_split(tmp_path):
    structures = [ethanol(seed) for seed in range(40)]
    path = write(tmp_path / "own", structures, split=SplitConfig(test=0.3))
    assert measure(path) == measure(path)
    assert measure(path, seed=1).random != measure(path).random
    assert measure(path, seed=1).stored == replace(
        measure(path).stored, near_duplicates=measure(path, seed=1).stored.near_duplicates
    )


def test_of_large_sets_whole_compositions_are_looked_at(tmp_path):
    formulas = [(8, 1, 1), (6, 1, 1), (6, 8), (1, 1), (14, 14)]
    structures = [make_structure(n, formulas[n % 5]) for n in range(100)]
    sides = [("train", "test")[n // 5 % 2] for n in range(100)]
    path = write(tmp_path / "own", structures, sides=sides)
    report = measure(path, max_structures=45)
    assert (report.num_examined, report.num_structures) == (40, 100)
    assert report.stored.num_test == report.stored.same_composition == 20
    assert measure(path, max_structures=15).num_examined == 15


def test_structures_without_energies_are_compared_all_the_same(tmp_path):
    structures = [replace(ethanol(seed), energy=-1.0 if seed < 2 else None) for seed in range(9)]
    sides = ["train"] * 6 + ["test"] * 3
    report = measure(write(tmp_path / "own", structures, sides=sides))
    assert report.stored.nearest_energy_mae_eV_per_atom is None
    assert report.optimism is None
    assert report.stored.same_composition == 3


def test_a_folder_without_test_structures_is_refused(tmp_path):
    path = write(tmp_path / "own", [ethanol(1), ethanol(2)], sides=["train", "val"])
    with pytest.raises(ValueError, match="no structure in the test split"):
        measure(path)
    with pytest.raises(ValueError, match="rattle is 0"):
        LeakageConfig(rattle=0)
    with pytest.raises(ValueError, match="max_structures is 1"):
        LeakageConfig(max_structures=1)
