"""Every branch against every dataset: zeros of energy are brought together, nothing is hidden."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from builders import METALLIC, ORGANIC, make_card, make_model, rattled

from hydracalc.inputs import as_structure
from hydracalc.predictor import InferenceConfig, Predictor
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.validation.heat_map import heat_map
from hydracalc.validation.pictures import as_png
from hydracalc.validation.transfer_errors import NO_SHIFT, transfer_errors
from hydracalc.validation.transfer_matrix import Row, TransferConfig, measure_transfer

# of another level of theory than the branch's, eV
SHIFTS = {"H": 1.3, "C": -70.0, "O": 20.0}
SPLITS = ("train", "train", "train", "test")


@pytest.fixture(scope="module")
def model():
    return make_model().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """Labels of the general branch with an amount per element added; 15 to fit on, 5 to test."""
    path = tmp_path_factory.mktemp("transfer") / "shards"
    predictor = Predictor(model, InferenceConfig(branch="general"))
    with ShardWriter(path, card=make_card("general", METALLIC)) as writer:
        for name in ("CH3Cl", "NaCl"):
            for k in range(4):
                writer.add(shifted(predictor, rattled(molecule(name), k)), split=SPLITS[k])
        for k, name in enumerate(("CH3OH", "CH4", "H2O", "CH3CH2OH", "CH3OCH3", "C2H6") * 2):
            writer.add(shifted(predictor, rattled(molecule(name), k)), split=SPLITS[k % 4])
    return path


def shifted(predictor, atoms):
    structure = as_structure(atoms)
    (found,) = predictor.predict([structure])
    shift = sum(SHIFTS.get(symbol, 0.0) for symbol in atoms.symbols)
    return replace(
        structure,
        branch="general",
        source=str(atoms.symbols),
        group=str(atoms.symbols),
        energy=found.energy + shift,
        forces=found.forces + 0.1,
    )


def test_another_zero_of_energy_is_fitted_away(model, folder):
    with open_shards(folder) as shards:
        found = transfer_errors(model, "general", shards, split="test", num_fit=100)
    values = found.mae()
    assert values["energy_mae_eV_per_atom"] == pytest.approx(0, abs=1e-9)
    assert values["energy_mae_as_predicted_eV_per_atom"] > 1
    assert values["force_mae_eV_per_A"] == pytest.approx(0.1)
    assert found.num_fitted == 15


def test_what_is_not_compared_is_counted(model, folder):
    with open_shards(folder) as shards:
        found = transfer_errors(model, "general", shards, split="test", num_fit=1)
        other = transfer_errors(model, "organic", shards, split="test", num_fit=100)
    assert found.left_out == {NO_SHIFT: 2}  # fitted on CH3Cl alone: NaCl, ethanol
    assert len(found.indices) == 5
    assert np.isnan(found.energy).sum() == 2
    assert other.left_out == {"unknown to the branch: Cl": 1, "unknown to the branch: Na, Cl": 1}
    assert len(other.indices) == 3


def test_the_fit_takes_no_more_than_it_may(model, folder):
    with open_shards(folder) as shards:
        assert transfer_errors(model, "general", shards, split="test", num_fit=4).num_fitted == 4


def test_the_matrix_has_every_pair(model, folder, tmp_path):
    predictor = Predictor(model, InferenceConfig(branch="organic"))
    second = tmp_path / "organic"
    with ShardWriter(second, card=make_card("organic", ORGANIC)) as writer:
        for k in range(4):
            structure = shifted(predictor, rattled(molecule("CH3OH"), k))
            writer.add(replace(structure, branch="organic"), split=SPLITS[k])
    rows = [Row(name=n, model=model, branch=n, is_single=False) for n in model.branch_names]
    matrix = measure_transfer(rows, [folder, second], config=TransferConfig())
    values = matrix.values("force")
    assert [column.name for column in matrix.columns] == ["general", "organic"]
    assert values[1, 0] == pytest.approx(0.1)
    assert values[0, 1] == pytest.approx(0.1)
    assert values[0, 0] > 0.2
    assert values[1, 1] > 0.2
    np.testing.assert_allclose(matrix.coverage(), [[3 / 5, 1], [1, 1]])
    own = [cell["row"] for cell in matrix.to_json()["cells"] if cell["own"]]
    assert sorted(own) == ["general", "organic"]
    assert matrix.comparisons() == {}
    assert as_png(heat_map(matrix)).startswith(b"\x89PNG")


def test_wrong_data_are_refused(model, folder):
    rows = [Row(name="general", model=model, branch="general", is_single=False)]
    with pytest.raises(ValueError, match="is given twice"):
        measure_transfer(rows, [folder, folder], config=TransferConfig())
    with pytest.raises(ValueError, match="no structure in the split 'val'"):
        measure_transfer(rows, [folder], config=TransferConfig(split="val"))
    with pytest.raises(ValueError, match="num_fit is 0"):
        TransferConfig(num_fit=0)
