"""Energies of Atoms straight from a model, without the calculator."""

import pytest
import torch

from hydracalc.graphs.collate import collate
from hydracalc.structure import from_atoms

MIXTURE = torch.tensor([[0.0, 1.0]], dtype=torch.float64)


@pytest.fixture
def predict():
    """Prediction of Atoms by a mixture; without weights the second branch serves."""

    def run(model, *atoms, weights=MIXTURE, **options):
        graph = collate([from_atoms(a) for a in atoms], model.config.cutoff)
        weights = weights if len(weights) == len(atoms) else weights.expand(len(atoms), -1)
        return model(graph, weights=weights, **options)

    return run
