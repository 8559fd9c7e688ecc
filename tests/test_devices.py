"""A device name means a device of this machine, or is refused."""

import pytest
import torch

from hydracalc.devices import device_of


def test_names():
    assert device_of("cpu") == torch.device("cpu")
    assert device_of(torch.device("cpu")) == torch.device("cpu")
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("name", "message"), [("gpu", "unknown device 'gpu'"), ("cuda:99", "this machine has")]
)
def test_what_is_not_there_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        device_of(name)


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of("auto").type == "cuda"
