"""Relaxation and dynamics do what their ensemble says, with any ASE calculator."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.md.velocitydistribution import thermalize_momenta

from hydracalc.errors import DataError
from hydracalc.simulation import MDConfig, RelaxConfig, relax, run_md


def copper(size=2):
    atoms = bulk("Cu", cubic=True) * ((size,) * 3)
    atoms.calc = EMT()
    return atoms


@pytest.mark.parametrize(("ensemble", "steps"), [("nve", 200), ("nvt", 200), ("npt", 150)])
def test_the_conserved_quantity_is_conserved(ensemble, steps):
    atoms = copper()
    config = MDConfig(ensemble=ensemble, temperature=300, timestep=2, steps=steps, log_every=5)
    report = run_md(atoms, config)
    assert abs(report.drift_meV_per_atom_per_ps) < 1


def test_the_thermostat_holds_the_temperature():
    atoms = copper()
    config = MDConfig(ensemble="nvt", temperature=500, timestep=4, steps=600)
    assert run_md(atoms, config).mean_temperature_K == pytest.approx(500, rel=0.15)


@pytest.mark.parametrize(("pressure", "grows"), [(20, False), (-5, True)])
def test_the_barostat_works_against_the_pressure(pressure, grows):
    atoms = copper(1) * (2, 1, 1)
    atoms.calc = EMT()
    before = atoms.get_volume()
    run_md(atoms, MDConfig(ensemble="npt", temperature=50, pressure=pressure, steps=300))
    assert (atoms.get_volume() > 1.01 * before) == grows
    assert (atoms.get_volume() < 0.99 * before) != grows


def test_the_centre_of_mass_rests_and_counts_no_freedom(tmp_path):
    atoms = molecule("CO")
    atoms.calc = EMT()
    centre = atoms.get_center_of_mass()
    config = MDConfig(ensemble="nvt", steps=50, timestep=0.5)
    run_md(atoms, config, trajectory=tmp_path / "a.traj")
    np.testing.assert_allclose(atoms.get_center_of_mass(), centre, atol=1e-10)
    assert ase.io.read(tmp_path / "a.traj").get_number_of_degrees_of_freedom() == 3
    assert atoms.constraints == []  # the user's structure is as free as it was


def test_velocities_of_the_structure_are_kept():
    atoms = copper(1)
    thermalize_momenta(atoms, 700, rng=np.random.default_rng(0))
    expected = atoms.get_kinetic_energy()
    report = run_md(atoms, MDConfig(ensemble="nve", steps=1, timestep=0.01))
    assert report.velocities == "of the structure"
    assert atoms.get_kinetic_energy() > 0.5 * expected
    assert run_md(copper(1), MDConfig(steps=1)).velocities == "drawn at 300 K"


def test_the_first_and_the_last_step_are_written(tmp_path):
    lines = []
    config = MDConfig(ensemble="nve", steps=7, log_every=3)
    log = tmp_path / "a.log"
    run_md(copper(1), config, trajectory=tmp_path / "a.traj", log=log, show=lines.append)
    assert log.read_text().splitlines() == lines
    assert [int(line.split()[0]) for line in lines[1:]] == [0, 3, 6, 7]
    assert len(ase.io.read(tmp_path / "a.traj", ":")) == 4


def test_a_simulation_that_breaks_says_where_and_keeps_the_frames(tmp_path):
    class Breaking(LennardJones):
        calls = 0

        def calculate(self, *arguments, **options):
            self.calls += 1
            if self.calls > 5:
                raise ValueError("positions of atom 0 are not finite")
            super().calculate(*arguments, **options)

    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 1.2]], calculator=Breaking())
    config = MDConfig(ensemble="nve", steps=20, log_every=1)
    with pytest.raises(DataError, match="broke at step 4: positions of atom 0"):
        run_md(atoms, config, trajectory=tmp_path / "a.traj")
    assert len(ase.io.read(tmp_path / "a.traj", ":")) == 5


def test_a_structure_that_cannot_start_is_bad_input():
    atoms = Atoms("U2", [[0, 0, 0], [0, 0, 2]], calculator=EMT())
    with pytest.raises(NotImplementedError):
        run_md(atoms, MDConfig(steps=1))
    with pytest.raises(ValueError, match="at least 2 atoms"):
        run_md(Atoms("Cu", calculator=EMT()), MDConfig(steps=1))
    slab = copper()
    slab.pbc = (True, True, False)
    with pytest.raises(ValueError, match="periodic in all directions"):
        run_md(slab, MDConfig(ensemble="npt"))


def test_relaxing_finds_the_minimum_of_atoms_and_cell():
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.rattle(0.05, rng=np.random.default_rng(0))
    atoms.calc = EMT()
    fixed = relax(atoms, RelaxConfig(fmax=0.01))
    assert fixed.converged
    assert fixed.energy_eV < fixed.energy_start_eV
    assert fixed.volume_A3 == pytest.approx(3.7**3)
    free = relax(atoms, RelaxConfig(fmax=0.01, cell="frechet"))
    assert free.volume_A3 ** (1 / 3) == pytest.approx(3.59, abs=0.02)
    assert free.energy_eV < fixed.energy_eV


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MDConfig(ensemble="nvu"), "unknown ensemble 'nvu'"),
        (lambda: MDConfig(timestep=0), "timestep is 0"),
        (lambda: MDConfig(temperature=float("nan")), "temperature is nan"),
        (lambda: MDConfig(seed=-1), "seed is -1"),
        (lambda: RelaxConfig(fmax=-1), "fmax is -1"),
        (lambda: RelaxConfig(cell="free"), "unknown cell 'free'"),
    ],
)
def test_wrong_settings_say_what_is_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
