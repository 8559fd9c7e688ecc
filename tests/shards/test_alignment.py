"""References are shifted onto one footing exactly where the data determine it."""

import numpy as np
import pytest
from builders import make_card

from hydracalc import elements
from hydracalc.references import from_json
from hydracalc.shards.alignment import BranchEnergies, align, collect_energies
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.structure import AtomicStructure

ATOMS = {
    "one": {"H": -13.6, "C": -1029.4, "O": -2041.8},
    "other": {"H": -13.5, "C": -1027.1, "O": -2037.9},
}
FORMULAS = ("H2O", "CH4", "CO2", "C2H6O", "CH2O", "C6H6", "H2", "O2", "CO")


def binding(counts):
    """Energy of a composition beyond its atoms, eV: the same in every level of theory."""
    number = counts.sum()
    return -3.0 * number - 0.7 * counts[1] + 0.4 * counts[8] ** 2 / number


def counts_of(formula):
    from ase.formula import Formula

    counts = np.zeros(elements.NUM_ELEMENTS, dtype=np.int64)
    for symbol, n in Formula(formula).count().items():
        counts[elements.number(symbol)] = n
    return counts


def branch(name, formulas=FORMULAS, *, periodic=False, published=False, noise=0.0, seed=0):
    """A dataset with total energies = atoms + binding, and references fitted to it."""
    from hydracalc import references

    rng = np.random.default_rng(seed)
    table = from_json(ATOMS[name]).energies
    rows = np.array([counts_of(formula) for formula in formulas])
    totals = np.array([np.nansum(c * np.nan_to_num(table)) + binding(c) for c in rows])
    totals += rng.normal(0, noise, len(totals)) * rows.sum(axis=1) if noise else 0
    lowest = {
        (periodic, (c // np.gcd.reduce(c)).tobytes()): e / c.sum()
        for c, e in zip(rows, totals, strict=True)
    }
    return BranchEnergies(
        name=name,
        references=references.fit(rows, totals),
        isolated_atoms=ATOMS[name] if published else {},
        lowest=lowest,
    )


def interaction(alignment, data, formula):
    counts = counts_of(formula)
    key = next(k for k in data.lowest if k[1] == (counts // np.gcd.reduce(counts)).tobytes())
    references = alignment.references[data.name].energies
    return data.lowest[key] - (counts * np.nan_to_num(references)).sum() / counts.sum()


def test_shared_compositions_come_to_one_interaction_energy():
    """The datasets overlap in part only, so fitted references differ in what they absorb."""
    one = branch("one", FORMULAS[:6])
    other = branch("other", FORMULAS[2:])
    before = align([one]).references["one"].energies
    alignment = align([one, other])
    pair = ("one", "other")
    assert alignment.num_shared[pair] == 4
    assert alignment.before[pair] > 0.03
    assert alignment.after[pair] < 1e-3
    for formula in FORMULAS[2:6]:
        assert interaction(alignment, one, formula) == pytest.approx(
            interaction(alignment, other, formula), abs=1e-3
        )
    assert np.array_equal(before, one.references.energies, equal_nan=True)  # nothing to align with
    assert alignment.tied() == [{"one", "other"}]


def test_published_atoms_decide_exactly():
    """No composition is shared: free atoms alone tie the branches."""
    one = branch("one", FORMULAS[:4], published=True)
    other = branch("other", FORMULAS[4:], published=True)
    alignment = align([one, other])
    assert alignment.num_shared["one", "other"] == 0
    assert alignment.by_atoms["one", "other"] == ("H", "C", "O")
    shifts = [alignment.references[n].energies - from_json(ATOMS[n]).energies for n in ATOMS]
    known = [1, 6, 8]
    np.testing.assert_allclose(shifts[0][known], shifts[1][known], atol=1e-5)


def test_atoms_and_compositions_agree_with_each_other():
    one, other = branch("one", published=True), branch("other", published=True, noise=0.01)
    alignment = align([one, other])
    assert alignment.after["one", "other"] < 0.02


def test_molecules_and_crystals_are_not_compared():
    one, other = branch("one"), branch("other", periodic=True)
    alignment = align([one, other])
    assert alignment.num_shared["one", "other"] == 0
    assert alignment.tied() == [{"one"}, {"other"}]
    for data in (one, other):
        np.testing.assert_allclose(
            alignment.references[data.name].energies, data.references.energies, atol=1e-12
        )


def test_an_element_of_one_branch_alone_stays():
    one = branch("one", ("H2O", "H2", "O2"))
    other = branch("other", ("H2O", "H2", "O2", "CH4", "CO2"))
    alignment = align([one, other])
    assert not alignment.references["one"].supported[6]
    assert alignment.after["one", "other"] < 1e-3
    assert np.isfinite(alignment.references["other"].energies[6])


def test_only_structures_near_rest_count(tmp_path):
    """The lowest calm one of a composition; strained, hot and validation ones say nothing."""
    card = make_card("own", ("H", "O")).model_copy(update={"isolated_atoms": {"H": -13.6}})
    calm, hot = np.zeros((3, 3)), np.full((3, 3), 2.0)

    def water(energy, forces, **about):
        positions = [[0, 0, 0], [0.96, 0, 0], [0, 0.96, energy % 1]]
        return AtomicStructure(
            atomic_numbers=[8, 1, 1],
            positions=positions,
            energy=energy,
            forces=forces,
            branch="own",
            group="water",
            **about,
        )

    cell = {"cell": 9 * np.eye(3), "pbc": [True] * 3}
    with ShardWriter(tmp_path / "own", card=card) as writer:
        for structure in (
            water(-2070.2, calm),
            water(-2070.5, calm),
            water(-2079.0, hot),
            water(-2060.1, calm, stress=0.01 * np.eye(3), **cell),
            water(-2069.1, calm, stress=-0.2 * np.eye(3), **cell),
        ):
            writer.add(structure, split="train")
        writer.add(water(-2099.0, calm), split="val")
    with open_shards(tmp_path / "own") as shards:
        energies = collect_energies(shards)
    assert energies.isolated_atoms == {"H": -13.6}
    assert {key[0]: value for key, value in energies.lowest.items()} == pytest.approx(
        {False: -2070.5 / 3, True: -2060.1 / 3}
    )
