"""The machine that numbers were measured on is stated."""

import pytest
import torch

from hydracalc.benchmark import machine


def test_a_machine_says_what_it_is():
    found = machine.describe(torch.device("cpu"))
    assert found.processor
    assert found.cores >= 1
    assert found.threads == torch.get_num_threads()
    assert (found.device, found.torch) == ("cpu", str(torch.__version__))


def test_threads_hold_for_a_while_only():
    before = torch.get_num_threads()
    with machine.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with machine.threads(None):
            assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_no_thread_is_an_error():
    with pytest.raises(ValueError, match="threads is 0, expected at least 1"), machine.threads(0):
        pass
