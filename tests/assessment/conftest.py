"""Shards of two datasets as published, small, and a model with a branch for each."""

import numpy as np
import pytest
import torch
from builders import ORGANIC, make_branch, make_card, make_model
from published import make_structure

from hydracalc.checkpoint import save_checkpoint
from hydracalc.models.hydra import HydraModel
from hydracalc.shards.writer import ShardWriter

STRESSES = (0.1, 0.3, 0.6, 1.2)  # eV/Angstrom^3, largest component


def write(path, branch, structures, **card):
    given = make_card(branch, ("H", "O")).model_copy(update=card)
    with ShardWriter(path, card=given) as writer:
        for number, structure in enumerate(structures):
            writer.add(structure, split="test" if number % 2 else "train")
    return path


def structures(branch, stresses=(), sources=()):
    """Pairs of equal structures, one of each for training and one for the test."""
    for number, (stress, source) in enumerate(zip(stresses, sources, strict=True)):
        for _ in range(2):
            yield make_structure(
                number,
                branch=branch,
                stress=np.eye(3) * stress,
                cell=np.eye(3) * 9,
                pbc=[True] * 3,
                source=source,
                group=f"{branch} {number}",
            )


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Folders of "mptrj" and "mattersim"; the labels of the second are said to be computed."""
    folder = tmp_path_factory.mktemp("shards")
    names = [f"mp-{i}" for i in range(4)]
    return [
        write(folder / "mptrj", "mptrj", structures("mptrj", STRESSES, names)),
        write(
            folder / "mattersim",
            "mattersim",
            structures(
                "mattersim",
                (1.0,) * 4,
                ("mpf-TP-1", "mpf-alkali-TP-1", "random-TP-7", "elsewhere-1"),
            ),
            computed_by="a test",
        ),
    ]


@pytest.fixture
def computed(tmp_path):
    """A folder of "mptrj" that somebody computed."""
    names = [f"made-{i}" for i in range(4)]
    made = structures("mptrj", STRESSES, names)
    return write(tmp_path / "computed", "mptrj", made, computed_by="somebody")


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A float32 model of both branches, its parameters small and random, with a weighting."""
    base = make_model(dtype=torch.float32)
    specs = [make_branch("mptrj", ORGANIC, 1), make_branch("mattersim", ORGANIC, 2)]
    model = HydraModel(base.config, specs, weighting=base.weighting)
    tables = {n: t for n, t in model.state_dict().items() if n.startswith("branches.references")}
    model.load_state_dict(base.state_dict() | tables)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.3)
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    save_checkpoint(path, model.float().eval(), provenance={"recipe": "test"})
    return str(path)
