"""A user's own data: the same structures in every format give the same labels."""

import bz2
import gzip

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from pydantic import ValidationError

from hydracalc.card import Card, Keys, Labels
from hydracalc.checks.physics import energy_against_work
from hydracalc.errors import DataError
from hydracalc.ingest.generic import GenericAdapter
from hydracalc.readers.aselmdb_writer import row_of, write_rows

ASE_LABELS = Labels(
    energy="eV",
    forces="eV/Angstrom",
    stress="eV/Angstrom^3",
    stress_sign="tension positive",
    stress_order="xx yy zz yz xz xy",
)
ASE_KEYS = {
    "energy": "calculator:energy",
    "forces": "calculator:forces",
    "stress": "calculator:stress",
    "group": "info:crystal",
}


def adapter(labels=ASE_LABELS, files=(), **keys):
    card = Card(
        branch="mine",
        title="own data",
        theory="EMT",
        labels=labels,
        group="crystal",
        elements=("H", "O", "Al", "Cu"),
        license="CC0-1.0",
        files=tuple({"name": name} for name in files),
        keys=Keys(**(ASE_KEYS | keys)),
    )
    return GenericAdapter(card)


def labelled(atoms, **info):
    """Atoms with the results of EMT stored beside them."""
    atoms.calc = EMT()
    results = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info.update(info)
    return atoms


@pytest.fixture(scope="module")
def frames():
    """Sheared and displaced copies of two crystals."""
    rng, frames = np.random.default_rng(0), []
    for name in ("Cu", "Al"):
        for step in range(6):
            atoms = bulk(name, cubic=True)
            strain = rng.normal(0, 0.004, (3, 3))
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
            atoms.positions += rng.normal(0, 0.01, atoms.positions.shape)
            frames.append(labelled(atoms, crystal=name, step=step))
    return frames


def write_deepmd(folder, frames, *, virial_sign=-1.0):
    """Frames of one composition as DeePMD-kit lays them out; a virial is -volume * stress."""
    volumes = [atoms.get_volume() for atoms in frames]
    stresses = [atoms.get_stress(voigt=False) for atoms in frames]
    arrays = {
        "coord": [atoms.positions for atoms in frames],
        "box": [atoms.cell.array for atoms in frames],
        "energy": [atoms.get_potential_energy() for atoms in frames],
        "force": [atoms.get_forces() for atoms in frames],
        "virial": [virial_sign * v * s for v, s in zip(volumes, stresses, strict=True)],
    }
    (folder / "set.000").mkdir(parents=True)
    for name, values in arrays.items():
        flat = np.array(values).reshape(len(frames), -1)
        np.save(folder / "set.000" / f"{name}.npy", flat[:, 0] if name == "energy" else flat)
    (folder / "type_map.raw").write_text("Al\nCu\n")
    types = [0 if symbol == "Al" else 1 for symbol in frames[0].get_chemical_symbols()]
    (folder / "type.raw").write_text("".join(f"{index}\n" for index in types))


DEEPMD_KEYS = {
    "energy": "npy:energy",
    "forces": "npy:force",
    "stress": None,
    "virial": "npy:virial",
    "group": "file",
}


def write(folder, frames, kind):
    """The frames in a file of a format, and the keys to read them with."""
    if kind == "deepmd":
        for name in ("Cu", "Al"):
            write_deepmd(folder / name, [a for a in frames if a.info["crystal"] == name])
        return DEEPMD_KEYS
    if kind == "db":
        with ase.db.connect(folder / "frames.db") as database:
            for atoms in frames:
                database.write(atoms, key_value_pairs=atoms.info)
        return {}
    if kind == "aselmdb":
        rows = [row_of(atoms, atoms.info) for atoms in frames]
        write_rows(folder / "frames.aselmdb", rows)
        return {"group": "data:crystal"}
    path = folder / f"frames.{kind}"
    ase.io.write(path.with_suffix("") if kind in {"xyz.gz", "xyz.bz2"} else path, frames)
    for suffix, compress in ((".gz", gzip.compress), (".bz2", bz2.compress)):
        if path.suffix == suffix:
            path.write_bytes(compress(path.with_suffix("").read_bytes()))
            path.with_suffix("").unlink()
    return {}


@pytest.mark.parametrize(
    "kind", ["extxyz", "xyz", "xyz.gz", "xyz.bz2", "traj", "db", "aselmdb", "deepmd", "json"]
)
def test_every_format_gives_the_same_structures(kind, frames, tmp_path):
    keys = write(tmp_path, frames, kind)
    files = ("*.json",) if kind == "json" else ()
    if kind == "json":  # a database in text; ASE's reader of it passes no key-value pairs on
        keys = {"group": "formula"}
    reader = adapter(files=files, **keys)
    structures = sorted(reader.read(tmp_path), key=lambda s: s.energy)
    assert not reader.dropped
    assert len({structure.source for structure in structures}) == 12
    assert len({structure.group for structure in structures}) == 2
    expected = sorted(frames, key=lambda atoms: atoms.get_potential_energy())
    for structure, atoms in zip(structures, expected, strict=True):
        near = {"rtol": 0, "atol": 1e-7}  # extended XYZ has eight digits
        assert structure.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(structure.positions, atoms.positions, **near)
        np.testing.assert_allclose(structure.cell, atoms.cell.array, **near)
        np.testing.assert_allclose(structure.forces, atoms.get_forces(), **near)
        np.testing.assert_allclose(structure.stress, atoms.get_stress(voigt=False), **near)
        assert structure.pbc.all()
        assert structure.branch == "mine"


@pytest.mark.parametrize(("sign", "slope"), [(-1.0, 1.0), (1.0, -1.0)])
def test_the_sign_of_a_virial_follows_from_the_energies(sign, slope, frames, tmp_path):
    """-virial / volume is the stress; a virial of the other sign does the work with a minus."""
    write_deepmd(tmp_path / "Cu", frames[:6], virial_sign=sign)
    structures = list(adapter(**DEEPMD_KEYS).read(tmp_path))
    result = energy_against_work(structures, max_displacement=0.2)
    assert result.slope == pytest.approx(slope, abs=0.2 if slope < 0 else 0.05)


def test_a_virial_of_the_other_sign_is_said_by_the_card(frames, tmp_path):
    write_deepmd(tmp_path / "Cu", frames[:6], virial_sign=1.0)
    labels = ASE_LABELS.model_copy(update={"stress_sign": "compression positive"})
    structures = list(adapter(labels, **DEEPMD_KEYS).read(tmp_path))
    assert energy_against_work(structures, max_displacement=0.2).slope == pytest.approx(1, abs=0.05)


def test_names_places_and_units_are_those_of_the_keys(tmp_path):
    water = molecule("H2O")
    water.info |= {"e": -2.0, "q": -1, "multiplicity": 2, "name": "w7", "side": "valid"}
    water.new_array("gradient", np.arange(9.0).reshape(3, 3))
    ase.io.write(tmp_path / "a.xyz", [water], format="extxyz")
    labels = Labels(energy="Hartree", forces="Hartree/Bohr", forces_sign="gradient")
    reader = adapter(
        labels,
        energy="info:e",
        forces="arrays:gradient",
        stress=None,
        charge="info:q",
        spin="info:multiplicity",
        group="info:name",
        split="info:side",
    )
    (structure,) = reader.read(tmp_path)
    assert structure.energy == pytest.approx(-2 * 27.211386245988)
    assert structure.forces[0, 1] == pytest.approx(-27.211386245988 / 0.529177210544)
    assert (structure.total_charge, structure.spin_multiplicity) == (-1, 2)
    assert (structure.split, structure.group) == ("val", "val: w7")
    assert structure.source == "a.xyz/0"


def test_six_numbers_of_an_info_key_are_in_the_order_of_the_card(tmp_path):
    atoms = bulk("Cu")
    atoms.info |= {"e": 1.0, "virial_stress": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    ase.io.write(tmp_path / "a.xyz", [atoms], format="extxyz")
    labels = Labels(
        energy="eV",
        stress="GPa",
        stress_sign="compression positive",
        stress_order="xx yy zz xy yz xz",
    )
    keys = {"energy": "info:e", "forces": None, "stress": "info:virial_stress", "group": "formula"}
    (structure,) = adapter(labels, **keys).read(tmp_path)
    expected = -np.array([[1, 4, 6], [4, 2, 5], [6, 5, 3]]) / 160.21766208
    np.testing.assert_allclose(structure.stress, expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("formula", {"Cu4", "Al4"}),
        ("reduced formula", {"Cu", "Al"}),
        ("file", {"frames.xyz"}),
        ("info:step", set("012345")),
    ],
)
def test_groups(group, expected, frames, tmp_path):
    write(tmp_path, frames, "xyz")
    assert {s.group for s in adapter(group=group).read(tmp_path)} == expected


@pytest.mark.parametrize(
    ("name", "split"),
    [("train.xyz", "train"), ("validation/a.xyz", "val"), ("my_TEST_2.xyz", "test")],
)
def test_the_path_says_the_split(name, split, frames, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    ase.io.write(tmp_path / name, frames[:2])
    structures = list(adapter(split="file").read(tmp_path))
    assert {s.split for s in structures} == {split}
    assert {s.group for s in structures} == {f"{split}: Cu"}


@pytest.mark.parametrize("name", ["contest.xyz", "train/test.xyz"])
def test_a_path_that_says_no_split_or_two_is_refused(name, frames, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    ase.io.write(tmp_path / name, frames[:2])
    with pytest.raises(DataError, match="the path"):
        list(adapter(split="file").read(tmp_path))


def test_records_that_lack_a_key_are_counted(frames, tmp_path):
    unlabelled = Atoms("Cu4", frames[0].positions, cell=frames[0].cell, pbc=True)
    unlabelled.info["crystal"] = "Cu"
    no_stress = frames[1].copy()
    results = {k: v for k, v in frames[1].calc.results.items() if k != "stress"}
    no_stress.calc = SinglePointCalculator(no_stress, **results)
    ase.io.write(tmp_path / "a.xyz", [unlabelled, *frames[:2], no_stress])
    reader = adapter()
    assert [s.source for s in reader.read(tmp_path)] == ["a.xyz/1", "a.xyz/2"]
    assert reader.dropped == {"no calculator:energy": 1, "no calculator:stress": 1}


def test_what_is_no_crystal_needs_no_stress(frames, tmp_path):
    slab = frames[0].copy()
    slab.pbc = (True, True, False)
    slab.calc = SinglePointCalculator(slab, energy=1.0, forces=np.zeros((4, 3)))
    ase.io.write(tmp_path / "a.xyz", [slab, frames[1]])
    first, second = adapter().read(tmp_path)
    assert first.stress is None
    assert second.stress is not None


def test_a_key_that_no_record_has_is_named_with_those_that_are_there(frames, tmp_path):
    write(tmp_path, frames, "xyz")
    with pytest.raises(DataError, match="no record has info:dft_energy; there are .*") as caught:
        list(adapter(energy="info:dft_energy").read(tmp_path))
    for name in ("calculator:energy", "calculator:forces", "info:crystal"):
        assert name in str(caught.value)


@pytest.mark.parametrize("value", ["0.5", "abc"])
def test_a_charge_that_is_no_whole_number_is_refused(value, tmp_path):
    atoms = molecule("H2O")
    atoms.info |= {"e": 1.0, "q": value}
    ase.io.write(tmp_path / "a.xyz", [atoms], format="extxyz")
    keys = {"energy": "info:e", "forces": None, "stress": None, "group": "formula"}
    with pytest.raises(DataError, match="info:q is"):
        list(adapter(**keys, charge="info:q").read(tmp_path))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"energy": "energy"}, "energy"),
        ({"energy": "somewhere:energy"}, "energy"),
        ({"group": "composition"}, "group"),
        ({"virial": "npy:virial"}, "stress and a virial"),
        ({"force": "calculator:forces"}, "force"),
    ],
)
def test_wrong_keys_are_refused_with_the_card(keys, message):
    with pytest.raises(ValidationError, match=message):
        Keys(**(ASE_KEYS | keys))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Labels(energy="eV"), "no unit of forces"),
        (Labels(energy="eV", forces="eV/Angstrom"), "stress_sign"),
        (Labels(energy="eV", forces="eV/Angstrom", stress="GPa"), "stress_sign"),
    ],
)
def test_labels_must_state_what_keys_name(labels, message):
    with pytest.raises(ValueError, match=message):
        adapter(labels)


def test_a_virial_is_read_in_electronvolts_alone():
    labels = ASE_LABELS.model_copy(update={"stress": "GPa"})
    with pytest.raises(ValueError, match="read in eV"):
        adapter(labels, **DEEPMD_KEYS)


def test_a_card_without_keys_is_refused():
    card = adapter().card.model_copy(update={"keys": None})
    with pytest.raises(ValueError, match=r"has no \[keys\]"):
        GenericAdapter(card)
