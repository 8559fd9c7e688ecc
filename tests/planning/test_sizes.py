"""Counts of weights against models that are really built."""

from dataclasses import replace

import pytest

from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.sizes import build_model, measure_size

PAPER = HydraConfig(encoder="egnn", num_channels=866, num_layers=4, head_widths=(889, 889, 889))
SHIPPED = HydraConfig(encoder="painn", num_channels=64, num_layers=3, head_widths=(64,))


@pytest.mark.parametrize("num_branches", [1, 3])
def test_parameters_are_those_of_the_model(encoder, num_branches):
    config = HydraConfig(encoder=encoder, num_channels=16, num_layers=2, direct_forces=True)
    model = build_model(config, num_branches)
    size = measure_size(config)
    assert size.parameters(num_branches) == sum(p.numel() for p in model.parameters())
    assert size.encoder == sum(p.numel() for p in model.encoder.parameters())
    assert size.buffers(num_branches) == sum(b.nbytes for b in model.buffers())


def test_heads_are_counted_by_their_widths():
    """A layer of n in and m out has nm weights and m biases."""
    widths = (866, 889, 889, 889, 1)
    by_hand = sum(n * m + m for n, m in zip(widths, widths[1:], strict=False))
    assert measure_size(PAPER).branch == by_hand == 2_354_073


def test_the_paper_size_takes_no_memory_to_count():
    assert {p.device.type for p in build_model(PAPER, 16, on_meta=True).parameters()} == {"meta"}
    assert measure_size(PAPER).encoder == 21_235_186


def test_another_width_has_another_count():
    wider = replace(SHIPPED, num_channels=65)
    assert measure_size(wider).encoder > measure_size(SHIPPED).encoder
    assert measure_size(wider).branch == measure_size(SHIPPED).branch + 64
