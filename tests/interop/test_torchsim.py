"""The model in torch-sim, by torch-sim's own checks."""

import pytest
import torch
from ase.build import bulk, molecule
from ase.optimize import FIRE
from builders import rattled

from hydracalc.calculator import HydraCalculator

torch_sim = pytest.importorskip(
    "torch_sim", reason="torch-sim-atomistic is not installed: it needs Python 3.12 or newer"
)

CPU, FLOAT64 = torch.device("cpu"), torch.float64
CRYSTALS = ("cu_sim_state", "ti_sim_state", "rattled_sio2_sim_state", "niti_sim_state")


@pytest.fixture(scope="module")
def model():
    from hydracalc.interop.torchsim import TorchSimModel

    return TorchSimModel("mtl-all", branch="mptrj", device="cpu", precision="float64")


@pytest.fixture
def calc():
    return HydraCalculator("mtl-all", branch="mptrj", device="cpu", dtype="float64")


def test_torch_sim_finds_nothing_wrong(model):
    from torch_sim.models.interface import validate_model_outputs

    validate_model_outputs(model, CPU, FLOAT64)


@pytest.mark.parametrize("name", CRYSTALS)
def test_it_is_the_calculator(model, calc, name):
    from torch_sim.testing import SIMSTATE_GENERATORS, assert_model_calculator_consistency

    assert_model_calculator_consistency(model, calc, SIMSTATE_GENERATORS[name](CPU, FLOAT64))


def test_molecules_too(model, calc):
    atoms = rattled(molecule("CH3CH2OH"))
    found = model(torch_sim.io.atoms_to_state([atoms], CPU, FLOAT64))
    atoms.calc = calc
    assert found["energy"].item() == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    expected = torch.tensor(atoms.get_forces())
    torch.testing.assert_close(found["forces"], expected, rtol=0, atol=1e-8)


def test_several_structures_relax_to_where_each_does_alone(model, calc):
    several = [rattled(bulk("Cu", cubic=True)), rattled(bulk("NaCl", "rocksalt", a=5.6))]
    final = torch_sim.optimize(
        system=several, model=model, optimizer=torch_sim.Optimizer.fire, max_steps=200
    )
    for index, atoms in enumerate(several):
        atoms.calc = calc
        FIRE(atoms, logfile=None).run(fmax=0.01, steps=300)
        assert final.energy[index].item() == pytest.approx(atoms.get_potential_energy(), abs=0.01)


def test_unknown_options_are_refused(model):
    state = torch_sim.io.atoms_to_state([bulk("Cu")], CPU, FLOAT64)
    with pytest.raises(ValueError, match="options .'extra'. are not known"):
        model(state, extra=1)
