"""What holds for every dataset: its card, its sample, its structures, its messages."""

import re

import numpy as np
import pytest

from hydracalc import elements, fields
from hydracalc.checks.binding import binding_ratios, cohesive_energies
from hydracalc.errors import DataError

# what the licence of a sample must be, so that it may be passed on
REDISTRIBUTABLE = ("CC0-1.0", "CC-BY-4.0", "MIT", "BSD-3-Clause", "Apache-2.0", "NIST-PD")
# what the licence of data may be that are only read, where users have them
OTHERS = ("CC-BY-NC-4.0", "NOASSERTION")
OPEN_METHODS = ("PySCF", "EMT")  # what labels of samples are computed with


def test_the_card_states_what_a_reader_needs(adapter, dataset):
    card = adapter.card
    assert card.branch == dataset
    assert card.license in REDISTRIBUTABLE + OTHERS
    assert card.doi is not None
    assert card.doi.startswith("10.")
    assert card.citation
    assert (card.energy_kind == "total") == card.reference.startswith("none")
    assert card.files
    assert all(file.url is None or file.url.startswith("https://") for file in card.files)
    assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in card.files if file.md5)
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in card.files if file.sha256)
    assert (card.labels.stress is None) == (card.labels.stress_sign is None)
    assert bool(card.isolated_atoms) == bool(card.isolated_atoms_from)


@pytest.mark.parametrize("kind", ["sample", "slice"])
def test_the_data_state_their_origin_and_a_licence_to_pass_them_on(folder, kind):
    if kind == "slice" and not (folder / kind).is_dir():
        return
    text = (folder / kind / "SOURCE.txt").read_text()
    assert "icence" in text
    assert any(licence in text for licence in (*REDISTRIBUTABLE, "NIST public domain"))


def test_the_sample_is_small(folder):
    files = [path for path in (folder / "sample").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000


def test_structures_are_typed_and_labelled(structures, adapter, dataset):
    assert len(structures) >= 5
    labels, symbols = adapter.card.labels, set()
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
        assert (structure.forces is None) == (labels.forces is None)
        assert structure.stress is None or labels.stress is not None
        symbols |= set(elements.symbols(structure.atomic_numbers))
    assert symbols <= set(adapter.card.elements)
    assert (labels.stress is not None) == any(s.stress is not None for s in structures)


def test_sources_are_unique(structures):
    assert len({structure.source for structure in structures}) == len(structures)


def test_no_energy_stands_out(structures, adapter, folder):
    """The check of labels looks at medians; here every structure is bound like others."""
    card = adapter.card_of(folder / "sample")
    if card.computed_by is not None:
        card = card.model_copy(update={"isolated_atoms": {}})  # they are of another theory
    if card.energy_kind in ("adsorption", "interaction"):
        assert max(abs(structure.energy) for structure in structures) < 50
        return
    ratios, cohesive = binding_ratios(structures, card), cohesive_energies(structures, card)
    assert len(ratios) + len(cohesive) > len(structures) / 2
    assert np.all(ratios > -2)
    assert np.all(ratios < 3)
    assert np.all(cohesive > -20)
    assert np.all(cohesive < 15)


def test_forces_add_up_to_nothing(structures):
    """Exactly, but for grids and rounding of the program that made them."""
    for structure in structures:
        if structure.forces is not None:
            net = np.linalg.norm(structure.forces.sum(axis=0))
            assert net < max(1e-5, min(0.2, 0.05 * np.linalg.norm(structure.forces)))


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
    assert (again.forces is None) == (structures[0].forces is None)
    assert again.forces is None or np.array_equal(again.forces, structures[0].forces)


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


def test_labels_that_were_computed_for_the_sample_are_marked(adapter, folder):
    text = (folder / "sample" / "SOURCE.txt").read_text()
    marked = adapter.card_of(folder / "sample").computed_by
    assert (marked is not None) == any(method in text for method in OPEN_METHODS)
    if marked is not None:
        assert any(method in marked and method in text for method in OPEN_METHODS)
        assert "published labels" in marked
