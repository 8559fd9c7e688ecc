"""Records of files: what is where, and files that are none."""

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from hydracalc.errors import DataError
from hydracalc.readers.frame_files import record_parts, records_of


def records(path):
    return [record for part in record_parts(path) for record in records_of(part)]


@pytest.fixture
def atoms():
    atoms = bulk("Cu", cubic=True)
    atoms.info["theory"] = "none"
    atoms.calc = SinglePointCalculator(atoms, energy=-1.5, forces=np.ones((4, 3)))
    return atoms


def test_everything_in_a_database_has_its_place(atoms, tmp_path):
    path = tmp_path / "a.db"
    with ase.db.connect(path) as database:
        for number in range(3):
            database.write(atoms, key_value_pairs={"n": number}, data={"dft": {"e": 2.0}, "q": -1})
        del database[2]
    first, last = records(path)
    assert (first.name, last.name) == ("1", "3")
    assert last.values["calculator"]["energy"] == -1.5
    assert last.values["info"]["n"] == 2
    assert last.values["data"] == {"dft": {"e": 2.0}, "q": -1}


def test_everything_in_a_trajectory_has_its_place(atoms, tmp_path):
    path = tmp_path / "a.traj"
    with Trajectory(path, "w") as trajectory:
        trajectory.write(atoms)
        atoms.set_tags(np.arange(4))
        trajectory.write(atoms)
    first, second = records(path)
    assert first.values["calculator"]["energy"] == -1.5
    assert first.values["info"] == {"theory": "none"}
    assert "tags" not in first.values["arrays"]
    assert second.values["arrays"]["tags"].tolist() == [0, 1, 2, 3]


def test_outputs_of_programs_are_read_by_ase(atoms, tmp_path):
    path = tmp_path / "a@1.json"
    ase.io.write(path, [atoms, atoms], format="json")
    first, second = records(path)
    assert (first.name, second.name) == ("0", "1")
    assert second.values["calculator"]["energy"] == -1.5


@pytest.mark.parametrize("suffix", ["xyz", "xyz.gz", "traj", "db", "aselmdb", "json", "xml"])
@pytest.mark.parametrize("text", ["", "<html>404</html>\n"])
def test_a_file_of_another_kind_is_damaged_data(tmp_path, suffix, text):
    path = tmp_path / f"a.{suffix}"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"a\.{suffix}"):
        records(path)
