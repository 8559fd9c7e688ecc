"""An adapter finds its files, converts once and says what is missing."""

import numpy as np
import pytest
from scipy import constants

from hydracalc.card import Card, Labels
from hydracalc.ingest.adapter import Adapter, find_files
from hydracalc.structure import AtomicStructure

EV = constants.e
HARTREE = constants.value("Hartree energy")
BOHR = constants.value("Bohr radius")


class Toy(Adapter):
    """One hydrogen molecule with the numbers of the test."""

    def structures(self, part):
        yield from ()


def adapter(**labels):
    labels = {"energy": "eV", "forces": "eV/Angstrom"} | labels
    return Toy(
        Card(
            branch="toy",
            title="toy",
            theory="none",
            labels=Labels(**labels),
            group="none",
            elements=("H",),
            license="CC0-1.0",
            files=({"name": "a.h5"}, {"name": "part*.h5"}),
        )
    )


def published(**labels):
    return AtomicStructure(
        atomic_numbers=[1, 1],
        positions=[[0, 0, 0], [0, 0, 1.4]],
        cell=np.diag([5.0, 6.0, 7.0]),
        pbc=[True] * 3,
        group="g",
        split="val",
        source="s",
        **labels,
    )


def test_every_unit_is_converted_to_that_of_the_table():
    structure = adapter(
        length="Bohr", energy="Hartree", forces="Hartree/Bohr", stress="GPa"
    ).converted(published(energy=-1.0, forces=np.ones((2, 3)), stress=np.eye(3)))
    assert structure.energy == pytest.approx(-HARTREE / EV, rel=1e-12)
    assert structure.positions[1, 2] == pytest.approx(1.4 * BOHR * 1e10, rel=1e-12)
    assert structure.cell[2, 2] == pytest.approx(7 * BOHR * 1e10, rel=1e-12)
    assert structure.forces[0, 0] == pytest.approx(HARTREE / EV / (BOHR * 1e10), rel=1e-12)
    assert structure.stress[0, 0] == pytest.approx(1e9 * 1e-30 / EV, rel=1e-12)
    assert (structure.branch, structure.group, structure.split) == ("toy", "g", "val")


def test_compression_positive_stress_changes_its_sign():
    labels = {"stress": "kBar", "stress_sign": "compression positive"}
    stress = adapter(**labels).converted(published(stress=np.eye(3))).stress
    assert stress[1, 1] == pytest.approx(-1e8 * 1e-30 / EV, rel=1e-12)
    assert stress[0, 1] == 0


def test_numbers_already_in_our_units_keep_their_bits():
    energy, forces = -1234.567890123456789, np.random.default_rng(0).normal(size=(2, 3))
    structure = adapter().converted(published(energy=energy, forces=forces))
    assert structure.energy == energy
    assert np.array_equal(structure.forces, forces)


def test_a_label_without_a_stated_unit_is_refused():
    with pytest.raises(ValueError, match="states no stress unit"):
        adapter().converted(published(stress=np.eye(3)))


def test_absent_labels_stay_absent():
    structure = adapter().converted(published())
    assert structure.energy is None
    assert structure.forces is None


def test_labels_that_were_computed_are_marked_in_the_card(tmp_path):
    toy = adapter()
    assert toy.card_of(tmp_path) == toy.card
    (tmp_path / "COMPUTED_BY.txt").write_text("PySCF 2.14,\nPBE0\n")
    assert toy.card_of(tmp_path).computed_by == "PySCF 2.14, PBE0"
    assert toy.card.computed_by is None


def test_files_are_those_of_the_card_in_its_order_each_once(tmp_path):
    for name in ("part2.h5", "part1.h5", "a.h5", "other.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in adapter().files(tmp_path)] == ["a.h5", "part1.h5", "part2.h5"]
    assert adapter().files(tmp_path / "other.txt") == [tmp_path / "other.txt"]
    assert len(find_files(tmp_path, ["*.h5", "a.h5"])) == 3


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_missing_files_are_named_with_the_folder(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"a\.h5, part\*\.h5") as caught:
        adapter().files(tmp_path / folder)
    assert str(tmp_path / folder) in str(caught.value)
