import copy

import pytest
import torch
from builders import make_model, structure_zoo

from hydracalc.inputs import as_structure
from hydracalc.models.low_rank import add_low_rank, merge_low_rank
from hydracalc.predictor import InferenceConfig, Predictor


def forces_of(model):
    """Forces of a molecule, by the first branch."""
    predictor = Predictor(model, InferenceConfig(branch=model.branch_names[0]))
    return predictor.predict([as_structure(structure_zoo()["molecule"])])[0].forces


def shaken(model):
    """Give the trained weights values as training would."""
    torch.manual_seed(1)
    for parameter in model.encoder.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)


def test_at_first_the_model_is_as_it_was(encoder):
    model = make_model(encoder)
    before = forces_of(model)
    add_low_rank(model.encoder, rank=2, alpha=2.0)
    assert abs(forces_of(model) - before).max() < 1e-12


def test_only_the_changes_are_trained(encoder):
    model = make_model(encoder)
    whole = sum(p.numel() for p in model.encoder.parameters())
    count = add_low_rank(model.encoder, rank=1, alpha=1.0)
    trained = [name for name, p in model.encoder.named_parameters() if p.requires_grad]
    assert trained
    assert all(name.endswith((".up", ".down")) for name in trained)
    assert count == sum(
        p.numel() for name, p in model.encoder.named_parameters() if name in trained
    )
    assert count < whole


def test_merged_changes_predict_the_same_in_a_plain_model(encoder):
    model = make_model(encoder)
    names, start = list(model.state_dict()), forces_of(model)
    add_low_rank(model.encoder, rank=2, alpha=4.0)
    shaken(model)
    changed = forces_of(model)
    merge_low_rank(model.encoder)
    assert sorted(model.state_dict()) == sorted(names)
    assert abs(forces_of(model) - changed).max() < 1e-10
    assert abs(changed - start).max() > 1e-6


def test_a_copy_of_a_changed_model_is_its_own():
    model = make_model()
    add_low_rank(model.encoder, rank=2, alpha=2.0)
    other = copy.deepcopy(model)
    shaken(other)
    merge_low_rank(other.encoder)
    assert abs(forces_of(other) - forces_of(model)).max() > 1e-6


def test_patterns_choose_the_maps():
    model = make_model()
    some = add_low_rank(copy.deepcopy(model).encoder, rank=2, alpha=2.0, targets=["*gate_net*"])
    everything = add_low_rank(model.encoder, rank=2, alpha=2.0)
    assert 0 < some < everything


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 2, "alpha": 1.0, "targets": ["nothing"]}, "match no linear map; there are"),
        ({"rank": 0, "alpha": 1.0}, "rank is 0"),
        ({"rank": 2, "alpha": 0.0}, "alpha 0.0"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        add_low_rank(make_model().encoder, **settings)
