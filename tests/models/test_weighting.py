"""Weights by composition: of old files without experience, and of files that have it."""

import torch
from builders import make_model

from hydracalc.checkpoint import load_checkpoint, read_header, save_checkpoint
from hydracalc.models.weighting import BranchWeighting, Experience


def experience():
    """Two compositions, of which each branch saw one."""
    fractions = torch.zeros(2, 119)
    fractions[0, [1, 8]] = torch.tensor([2 / 3, 1 / 3])
    fractions[1, [1, 6]] = torch.tensor([0.8, 0.2])
    return Experience.of(fractions, torch.eye(2), 5 * torch.eye(2))


def test_distances_are_those_of_atomic_fractions():
    """Held against the plain formula, on compositions with and without common elements."""
    table = experience()
    asked = torch.rand(5, 119, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    asked[0] = 0
    asked[0, [11, 17]] = 1.0
    asked /= asked.sum(dim=1, keepdim=True)
    asked[:, 0] = 0
    asked /= asked.sum(dim=1, keepdim=True)
    stored = torch.zeros(2, 119, dtype=torch.float64)
    for m in range(2):
        for element, fraction in zip(table.elements[m], table.fractions[m], strict=True):
            stored[m, int(element)] += fraction.double()
    distance = (asked[:, None] - stored[None]).abs().sum(dim=2)
    (like, like_factor), (far, far_factor), (same, _) = table.kernels.double().tolist()
    seen = torch.exp(-distance / like) * like_factor + torch.exp(-distance / far) * far_factor
    expected = torch.log(seen + 5 * torch.exp(-distance / same) + 1e-3)
    torch.testing.assert_close(table(asked), expected, atol=1e-6, rtol=1e-6)


def test_without_labels_the_experience_decides():
    weighting = BranchWeighting(2, experience=experience())
    fractions = torch.zeros(1, 119, dtype=torch.float64)
    fractions[0, [1, 8]] = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    supported = torch.ones(2, 119, dtype=torch.bool)
    weights = weighting(fractions, torch.zeros(1, 2), supported)
    assert weights[0, 0] > 0.9
    assert abs(weights.sum().item() - 1) < 1e-12
    supported[0, 8] = False
    assert weighting(fractions, torch.zeros(1, 2), supported).tolist() == [[0.0, 1.0]]


def test_a_file_keeps_the_experience_and_old_files_have_none(tmp_path):
    old = make_model()
    save_checkpoint(tmp_path / "old.safetensors", old, provenance={})
    assert read_header(tmp_path / "old.safetensors")["weighting"] == {"num_channels": 32}
    assert load_checkpoint(tmp_path / "old.safetensors").weighting.experience is None

    new = make_model()
    new.weighting = BranchWeighting(2, experience=experience()).to(new.dtype)
    save_checkpoint(tmp_path / "new.safetensors", new, provenance={})
    loaded = load_checkpoint(tmp_path / "new.safetensors")
    fractions = torch.rand(4, 119, dtype=torch.float64)
    given = fractions / fractions.sum(dim=1, keepdim=True), torch.zeros(4, 2)
    supported = torch.ones(2, 119, dtype=torch.bool)
    assert torch.equal(loaded.weighting(*given, supported), new.weighting(*given, supported))
