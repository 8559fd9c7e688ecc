"""A device name means a device of this machine, or is refused."""

import pytest
import torch

from hydracalc.devices import GPUS, device_of


@pytest.fixture
def machine(monkeypatch):
    """Function (cuda=n, xpu=n): let torch say that so many GPUs are there; nothing runs on them."""

    def pretend(**counts):
        for kind in GPUS:
            count = counts.get(kind, 0)
            module = torch.get_device_module(kind)
            monkeypatch.setattr(module, "is_available", lambda count=count: count > 0)
            monkeypatch.setattr(module, "device_count", lambda count=count: count)

    return pretend


def test_names():
    assert device_of("cpu") == torch.device("cpu")
    assert device_of(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "unknown device 'gpu'"),
        ("cuda:99", "'cuda:99': this machine has"),
        ("xpu:99", "'xpu:99': this machine has .* of kind 'xpu'"),
    ],
)
def test_what_is_not_there_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        device_of(name)


@pytest.mark.parametrize(
    ("counts", "chosen"),
    [({}, "cpu"), ({"cuda": 1}, "cuda"), ({"xpu": 6}, "xpu"), ({"cuda": 1, "xpu": 1}, "cuda")],
)
def test_auto_takes_a_gpu_where_there_is_one(machine, counts, chosen):
    machine(**counts)
    assert device_of("auto").type == chosen


def test_a_gpu_is_counted_by_its_kind(machine):
    machine(xpu=2)
    assert device_of("xpu:1") == torch.device("xpu:1")
    with pytest.raises(ValueError, match="'xpu:2': this machine has 2 GPUs"):
        device_of("xpu:2")
    with pytest.raises(ValueError, match="'cuda': this machine has 0 GPUs"):
        device_of("cuda")
