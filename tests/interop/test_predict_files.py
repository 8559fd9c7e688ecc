"""Extended XYZ and ASE databases in and out of `hydracalc predict`."""

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from builders import rattled
from click.testing import CliRunner

from hydracalc.calculator import HydraCalculator
from hydracalc.cli.main import main


@pytest.fixture
def given(tmp_path, monkeypatch):
    """An ion and a crystal in a database with the key-value pairs of its publisher."""
    monkeypatch.chdir(tmp_path)
    ion, crystal = rattled(molecule("CH3OH")), rattled(bulk("NaCl", "rocksalt", a=5.6))
    with ase.db.connect("given.db") as database:
        database.write(ion, charge=-1, spin=2, name="methanol anion")
        database.write(crystal, name="rock salt")
    ion.info |= {"charge": -1, "spin": 2}
    ase.io.write("given.extxyz", [ion, crystal])
    return [ion, crystal]


@pytest.mark.parametrize("target", ["out.extxyz", "out.db", "out.json", "out.traj"])
@pytest.mark.parametrize("source", ["given.db", "given.extxyz"])
def test_predictions_of_a_file_are_in_the_other(given, random_model, source, target):
    arguments = ["predict", source, "-m", str(random_model), "-o", target]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    calc = HydraCalculator(random_model)
    for before, after in zip(given, ase.io.read(target, ":"), strict=True):
        before.calc = calc
        assert after.get_potential_energy() == pytest.approx(before.get_potential_energy())
        np.testing.assert_allclose(after.get_forces(), before.get_forces(), atol=1e-6)
    np.testing.assert_allclose(after.get_stress(), before.get_stress(), atol=1e-6)


def test_a_charge_in_a_database_changes_the_prediction(given, random_model):
    """ase.io.read alone would leave it behind."""
    neutral = given[0].copy()
    neutral.info.clear()
    neutral.calc = HydraCalculator(random_model)
    done = CliRunner().invoke(main, ["predict", "given.db@0", "-m", str(random_model)])
    energy = float(done.output.split("E ")[1].split(" eV")[0])
    assert abs(energy - neutral.get_potential_energy()) > 1e-3


def test_what_was_written_is_a_database_that_queries_find(given, random_model):
    arguments = ["predict", "given.db", "-m", str(random_model), "-b", "general", "-o", "o.db"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    with ase.db.connect("o.db") as database:
        row = database.get(name="rock salt")
        assert row.branch == "general"
        assert row.natoms == 2


def test_an_ending_that_is_not_written_is_refused_before_the_work(given, random_model):
    done = CliRunner().invoke(main, ["predict", "given.db", "-m", str(random_model), "-o", "o.cif"])
    assert done.exit_code == 2
    assert "unknown ending of the output '.cif'" in done.output + done.stderr
