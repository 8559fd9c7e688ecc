"""What holds for every dataset: its card, its sample, its structures, its messages."""

import re

import numpy as np
import pytest

from hydracalc import elements, fields
from hydracalc.errors import DataError

# energy of free atoms at the levels of theory of the molecular datasets, eV, to a few eV
ALL_ELECTRON = {1: -13.6, 6: -1029, 7: -1485, 8: -2041, 16: -10829, 17: -12516}
ALLOWED_LICENSES = {"CC0-1.0", "CC-BY-4.0", "MIT"}
COMPUTED_BY_US = {"qm7x", "transition1x"}


def test_the_card_states_what_a_reader_needs(adapter, dataset):
    card = adapter.card
    assert card.branch == dataset
    assert card.license in ALLOWED_LICENSES
    assert card.doi is not None
    assert card.doi.startswith("10.")
    assert card.citation
    assert card.energy_kind == "total"
    assert card.files
    assert all(file.url is None or file.url.startswith("https://") for file in card.files)
    assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in card.files if file.md5)
    assert (card.labels.stress is None) == (card.labels.stress_sign is None)


@pytest.mark.parametrize("kind", ["sample", "slice"])
def test_the_data_state_their_origin_and_licence(folder, kind):
    if kind == "slice" and not (folder / kind).is_dir():
        return
    text = (folder / kind / "SOURCE.txt").read_text()
    assert "icence" in text


def test_the_sample_is_small(folder):
    assert sum(path.stat().st_size for path in (folder / "sample").iterdir()) < 300_000


def test_structures_are_typed_and_labelled(structures, adapter, dataset):
    assert len(structures) >= 10
    symbols = set()
    for structure in structures:
        for name, field in fields.FIELDS.items():
            value = getattr(structure, name)
            if isinstance(value, np.ndarray):
                assert value.dtype == field.dtype
                assert np.isfinite(value).all()
        assert structure.branch == dataset
        assert structure.group
        assert structure.source
        assert structure.energy is not None
        assert structure.forces is not None
        symbols |= set(elements.symbols(structure.atomic_numbers))
    assert symbols <= set(adapter.card.elements)


def test_sources_are_unique(structures):
    assert len({structure.source for structure in structures}) == len(structures)


def test_energies_are_those_of_the_level_of_theory(structures):
    """Molecules are all-electron totals near those of their atoms, crystals those of PAW."""
    for structure in structures:
        if structure.pbc.any():
            assert -20 < structure.energy / structure.num_atoms < 15
        else:
            atoms = sum(ALL_ELECTRON[int(z)] for z in structure.atomic_numbers)
            assert -12 < (structure.energy - atoms) / structure.num_atoms < 6


def test_forces_add_up_to_nothing(structures):
    for structure in structures:
        np.testing.assert_allclose(structure.forces.sum(axis=0), 0, atol=1e-5)


def test_stress_is_symmetric_and_of_the_size_of_a_solid(structures):
    for structure in structures:
        if structure.stress is not None:
            np.testing.assert_allclose(structure.stress, structure.stress.T, atol=1e-6)
            assert np.abs(structure.stress).max() < 12  # eV/A^3; 1900 GPa is the highest known


def test_crystals_are_periodic_and_molecules_open(structures):
    for structure in structures:
        assert structure.pbc.all() == (abs(np.linalg.det(structure.cell)) > 1)
        assert structure.pbc.all() or not structure.pbc.any()


def test_reading_twice_gives_the_same(adapter, structures, folder):
    again = next(iter(adapter.read(folder / "sample")))
    assert again.source == structures[0].source
    assert again.energy == structures[0].energy
    assert np.array_equal(again.forces, structures[0].forces)


def test_a_folder_without_the_files_names_what_was_expected(adapter, tmp_path):
    with pytest.raises(ValueError, match="none of the expected files") as caught:
        next(adapter.read(tmp_path))
    assert not isinstance(caught.value, DataError)
    assert str(tmp_path) in str(caught.value)
    assert all(pattern in str(caught.value) for pattern in adapter.patterns)


def data_files(adapter, folder):
    return adapter.files(folder / "sample")


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_damaged_data(adapter, folder, tmp_path, kept):
    for path in data_files(adapter, folder):
        content = path.read_bytes()
        copy = tmp_path / path.name
        copy.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(DataError, match=re.escape(path.name)):
            list(adapter.read(copy))


def test_a_file_of_another_kind_is_damaged_data(adapter, folder, tmp_path):
    for path in data_files(adapter, folder):
        copy = tmp_path / path.name
        copy.write_bytes(b"<html>404 not found</html>\n" * 100)
        with pytest.raises(DataError, match=re.escape(path.name)):
            list(adapter.read(copy))


def test_labels_that_were_computed_for_the_sample_are_marked(adapter, folder, dataset):
    text = (folder / "sample" / "SOURCE.txt").read_text()
    assert ("PySCF" in text) == (dataset in COMPUTED_BY_US)
    marked = adapter.card_of(folder / "sample").computed_by
    assert (marked is not None) == (dataset in COMPUTED_BY_US)
