"""A model comes back as it was saved, and a damaged file never becomes a model."""

import json
import pickletools
import struct
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import make_model
from safetensors.torch import load_file, save_file

from hydracalc import checkpoint
from hydracalc.checkpoint import load_checkpoint, read_header, save_checkpoint
from hydracalc.errors import DataError
from hydracalc.graphs.collate import collate
from hydracalc.models.dimenet import DimeNetOptions
from hydracalc.models.mace_options import MACEOptions
from hydracalc.registry import resolve
from hydracalc.structure import from_atoms


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model and its file; tests damage copies of it."""
    model = make_model(direct_forces=True)
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_checkpoint(path, model, provenance={"recipe": "test", "seed": 7})
    return model, path


@pytest.fixture
def copy(saved, tmp_path):
    path = tmp_path / "copy.safetensors"
    path.write_bytes(saved[1].read_bytes())
    return path


def content(path):
    """Tensors and metadata of a file, to write a changed one."""
    size = struct.unpack("<Q", path.read_bytes()[:8])[0]
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    return load_file(path), metadata


def predict(model, atoms, **options):
    graph = collate([from_atoms(atoms, branch="general")], 5.0, branches={"general": 1})
    return model(graph, **options)


def test_predictions_survive_bit_for_bit(saved, zoo, encoder, tmp_path):
    model = make_model(encoder)
    save_checkpoint(tmp_path / "model.safetensors", model, provenance={})
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    before, after = (predict(m, zoo["triclinic"], stress=True) for m in (model, loaded))
    assert torch.equal(before.energy, after.energy)
    assert torch.equal(before.forces, after.forces)
    assert torch.equal(before.stress, after.stress)


def test_the_card_survives(saved):
    model, path = saved
    loaded = load_checkpoint(path)
    assert loaded.config == model.config
    assert loaded.weighting.config == model.weighting.config
    for before, after in zip(model.branch_specs, loaded.branch_specs, strict=True):
        assert after.card == before.card
        assert after.metrics == before.metrics
        assert (after.name, after.scale, after.charges) == (
            before.name,
            before.scale,
            before.charges,
        )
        np.testing.assert_array_equal(after.references.energies, before.references.energies)
    assert not loaded.training


def test_the_header_is_read_without_the_weights(saved, copy):
    size = struct.unpack("<Q", copy.read_bytes()[:8])[0]
    header = read_header(copy)
    assert header["provenance"] == {"recipe": "test", "seed": 7}
    assert [branch["name"] for branch in header["branches"]] == ["organic", "general"]
    assert header["cutoff_A"] == 5.0
    assert header["dtype"] == "float64"
    assert len(header["sha256"]) == 64
    assert size < copy.stat().st_size


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_references_stay_float64_in_every_dtype(saved, dtype):
    model, path = saved
    loaded = load_checkpoint(path, dtype=dtype)
    assert loaded.precision == dtype
    assert loaded.dtype == (torch.float64 if dtype == "float64" else torch.float32)
    values = loaded.branches.references.values
    assert values.dtype == torch.float64
    torch.testing.assert_close(
        values, model.branches.references.values, rtol=0, atol=0, equal_nan=True
    )


def test_auto_is_the_stored_type(tmp_path):
    save_checkpoint(tmp_path / "m.safetensors", make_model(dtype=torch.float32), provenance={})
    assert load_checkpoint(tmp_path / "m.safetensors").dtype == torch.float32


def test_a_model_of_bfloat16_products_is_stored_as_float32(tmp_path):
    model = make_model(dtype=torch.float32)
    model.precision = "bfloat16"
    save_checkpoint(tmp_path / "m.safetensors", model, provenance={})
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    assert read_header(tmp_path / "m.safetensors")["dtype"] == loaded.precision == "float32"
    for before, after in zip(model.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(before, after)


def test_a_file_of_bfloat16_weights_still_loads(saved, copy):
    """As older versions wrote it: its numbers, in a model that keeps its weights in float32."""
    tensors, metadata = content(copy)
    card = json.dumps(json.loads(metadata["card"]) | {"dtype": "bfloat16"}, sort_keys=True)
    half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in tensors.items()}
    metadata |= {"card": card, "sha256": checkpoint._content_hash(card, half)}
    save_file(half, copy, metadata=metadata)
    loaded = load_checkpoint(copy)
    assert loaded.precision == "bfloat16"
    assert loaded.dtype == torch.float32
    for before, after in zip(saved[0].parameters(), loaded.parameters(), strict=True):
        assert torch.equal(before.bfloat16().float(), after)
    assert load_checkpoint(copy, dtype="float64").precision == "float64"


def test_a_card_states_the_options_of_its_own_encoder(tmp_path):
    options = {"num_spherical": 3, "interaction_channels": 5}
    model = make_model("dimenet", dimenet=DimeNetOptions(**options))
    save_checkpoint(tmp_path / "m.safetensors", model, provenance={})
    config = read_header(tmp_path / "m.safetensors")["config"]
    assert options.items() <= config["dimenet"].items()
    assert "mace" not in config
    assert load_checkpoint(tmp_path / "m.safetensors").config == model.config


def test_options_of_mace_survive_as_they_are(tmp_path):
    options = MACEOptions(max_degree=1, correlation=2, radial_widths=(4,))
    model = make_model("mace", mace=options)
    save_checkpoint(tmp_path / "m.safetensors", model, provenance={})
    assert load_checkpoint(tmp_path / "m.safetensors").config.mace == options


def test_a_card_with_an_unknown_option_is_refused(copy):
    tensors, metadata = content(copy)
    header = json.loads(metadata["card"])
    header["config"]["mace"] = {"max_degre": 2}
    card = json.dumps(header, sort_keys=True)
    metadata |= {"card": card, "sha256": checkpoint._content_hash(card, tensors)}
    save_file(tensors, copy, metadata=metadata)
    with pytest.raises(DataError, match="max_degre"):
        load_checkpoint(copy)


def test_the_shipped_model_has_the_weights_and_the_shape_of_its_file():
    """Written before encoders had options: what its card does not state has the defaults."""
    path = resolve("mtl-all")
    model, stated = load_checkpoint(path), read_header(path)["config"]
    config = asdict(model.config)
    assert {key: config[key] for key in stated} == stated | {
        "head_widths": tuple(stated["head_widths"])
    }
    tensors, _ = content(path)
    state = model.state_dict()
    assert {name for name in state if name not in checkpoint.TABLES} == set(tensors)
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def test_a_model_without_weighting_has_none(tmp_path):
    save_checkpoint(tmp_path / "m.safetensors", make_model(weighting=False), provenance={})
    assert load_checkpoint(tmp_path / "m.safetensors").weighting is None


def test_equal_models_have_equal_hashes_and_different_ones_not(saved, tmp_path):
    again = save_checkpoint(
        tmp_path / "a.safetensors",
        make_model(direct_forces=True),
        provenance={"recipe": "test", "seed": 7},
    )
    other = save_checkpoint(
        tmp_path / "b.safetensors",
        make_model(seed=1, direct_forces=True),
        provenance={"recipe": "test", "seed": 7},
    )
    assert again == read_header(saved[1])["sha256"]
    assert other != again


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 0.3, 0.9, -1])
def test_a_truncated_file_is_refused(saved, copy, kept):
    whole = saved[1].read_bytes()
    length = int(kept * len(whole)) if isinstance(kept, float) else kept
    copy.write_bytes(whole[:length])
    with pytest.raises(DataError, match="copy.safetensors"):
        load_checkpoint(copy)


@pytest.mark.parametrize("part", ["header", "weights"])
def test_every_flipped_bit_is_noticed(saved, copy, part):
    """Forty places across header and weights, one bit each."""
    whole = saved[1].read_bytes()
    start = 8 + struct.unpack("<Q", whole[:8])[0]
    places = np.linspace(8, start - 1, 40) if part == "header" else None
    places = np.linspace(start, len(whole) - 1, 40) if places is None else places
    for place in places.astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        if whole[place] == ord(" ") and damaged[place : place + 1].isspace():
            continue
        copy.write_bytes(damaged)
        with pytest.raises(ValueError, match="copy.safetensors"):
            load_checkpoint(copy)


@pytest.mark.parametrize("change", ["missing", "extra", "renamed", "reshaped"])
def test_a_file_with_other_weights_is_refused(copy, change):
    tensors, metadata = content(copy)
    name = sorted(tensors)[3]
    if change == "reshaped":
        tensors[name] = tensors[name].reshape(-1, 1)
    elif change == "extra":
        tensors["encoder.more"] = torch.zeros(2)
    else:
        tensors |= {"other": tensors.pop(name)} if change == "renamed" else {}
        tensors.pop(name, None)
    save_file(tensors, copy, metadata=metadata)
    with pytest.raises(DataError, match="copy.safetensors"):
        load_checkpoint(copy)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_weights_are_strict_even_where_the_hash_fits(copy, change, monkeypatch):
    """A file that some other program wrote correctly, for another model."""
    tensors, metadata = content(copy)
    name = sorted(tensors)[3]
    if change == "missing":
        del tensors[name]
    else:
        tensors[name + ".more"] = torch.zeros(2)
    monkeypatch.setattr("hydracalc.checkpoint._content_hash", lambda card, t: metadata["sha256"])
    save_file(tensors, copy, metadata=metadata)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        load_checkpoint(copy)


def test_an_edited_card_is_noticed(copy):
    """A reference energy changed by hand is another model."""
    tensors, metadata = content(copy)
    card = json.loads(metadata["card"])
    card["branches"][0]["references_eV"]["H"] += 1.0
    save_file(tensors, copy, metadata=metadata | {"card": json.dumps(card, sort_keys=True)})
    with pytest.raises(DataError, match="SHA-256"):
        load_checkpoint(copy)


def test_an_unknown_format_version_says_which(copy):
    tensors, metadata = content(copy)
    card = json.loads(metadata["card"]) | {"format_version": 99}
    save_file(tensors, copy, metadata=metadata | {"card": json.dumps(card)})
    for read in (load_checkpoint, read_header):
        with pytest.raises(ValueError, match="format version 99 is unknown") as raised:
            read(copy)
        assert not isinstance(raised.value, DataError)


def test_a_safetensors_file_of_another_program_is_no_model(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match="no card"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_a_missing_file_and_an_unknown_dtype_are_bad_input(saved, tmp_path):
    with pytest.raises(ValueError, match="no such model file") as raised:
        load_checkpoint(tmp_path / "none.safetensors")
    assert not isinstance(raised.value, DataError)
    with pytest.raises(ValueError, match="did you mean 'float32'"):
        load_checkpoint(saved[1], dtype="float23")


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = make_model()
    with torch.no_grad():
        model.encoder.embedding.element.weight[3, 0] = torch.nan
    with pytest.raises(ValueError, match=r"embedding\.element\.weight"):
        save_checkpoint(tmp_path / "m.safetensors", model, provenance={})
    assert list(tmp_path.iterdir()) == []


def test_a_broken_write_leaves_the_old_file(saved, copy, monkeypatch):
    before = copy.read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(copy, saved[0], provenance={})
    assert copy.read_bytes() == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_loading_leaves_the_random_state_alone(saved):
    before = torch.random.get_rng_state()
    load_checkpoint(saved[1])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_file_holds_no_pickle(saved):
    with pytest.raises((ValueError, UnicodeDecodeError, IndexError)):
        list(pickletools.genops(saved[1].read_bytes()))
