"""Energy drift: near nothing for a potential with right forces, and found where they are wrong."""

import pytest
from ase.calculators.emt import EMT

from hydracalc.assessment import conservation
from hydracalc.assessment.conservation import MOTIONS, Motion, choices_of, measure_drift
from hydracalc.calculator import HydraCalculator


@pytest.fixture
def brief(monkeypatch):
    """Eight atoms for a twentieth of a picosecond."""
    from ase.build import bulk

    motion = Motion(
        make=lambda: bulk("Cu", cubic=True) * (2, 1, 1),
        timestep=1.0,
        picoseconds=0.5,
        branches=(),
    )
    monkeypatch.setitem(conservation.MOTIONS, "Cu", motion)
    monkeypatch.setattr(conservation, "_WARM_UP", 0.1)


def test_systems_are_those_of_the_bars():
    atoms = {name: motion.make() for name, motion in MOTIONS.items()}
    assert {name: len(made) for name, made in atoms.items()} == {
        "ethanol": 9,
        "Si": 64,
        "NaCl": 64,
        "Cu": 64,
    }
    assert MOTIONS["ethanol"].picoseconds == 50
    assert all(MOTIONS[name].picoseconds == 20 for name in ("Si", "NaCl", "Cu"))


def test_derivatives_of_an_energy_do_not_drift(brief):
    run = measure_drift(EMT(), "Cu", branch="EMT")
    assert run.passes
    assert run.picoseconds == 0.5
    assert run.mean_temperature_K > 50
    assert run.spread_meV_per_atom < 0.5
    short = measure_drift(EMT(), "Cu", branch="EMT", short=True)
    assert short.picoseconds == pytest.approx(0.05)


def test_forces_of_no_energy_are_found(brief):
    class Pushing(EMT):
        """Every atom is also drawn along its own displacement, as a curl would."""

        def calculate(self, *arguments, **named):
            super().calculate(*arguments, **named)
            positions = self.atoms.positions - self.atoms.positions.mean(axis=0)
            turned = positions[:, [1, 0, 2]] * [1, -1, 0]
            self.results["forces"] = self.results["forces"] + 0.02 * turned

    run = measure_drift(Pushing(), "Cu", branch="pushing")
    assert not run.passes


def test_what_breaks_off_says_why(brief):
    class Broken(EMT):
        def calculate(self, *arguments, **named):
            raise ValueError("no answer")

    run = measure_drift(Broken(), "Cu", branch="broken")
    assert run.drift_meV_per_atom_per_ps is None
    assert not run.passes
    assert run.remark == "no answer"


def test_branches_that_know_the_elements_are_taken(model_file):
    calculator = HydraCalculator(model_file)
    assert choices_of(calculator, "ethanol") == ["auto"]
