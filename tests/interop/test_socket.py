"""The protocol of i-PI: the model answers another process through a socket."""

import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.socketio import SocketIOCalculator
from ase.optimize import BFGS
from builders import rattled

from hydracalc.calculator import HydraCalculator

CLIENT = """
import sys
from ase.calculators.socketio import SocketClient
from ase.io import read
from hydracalc import HydraCalculator

atoms = read(sys.argv[1])
atoms.calc = HydraCalculator(sys.argv[3], branch="general")
SocketClient(unixsocket=sys.argv[2], timeout=60).run(atoms, use_stress=True)
"""


@pytest.fixture
def crystal(tmp_path):
    atoms = rattled(bulk("NaCl", "rocksalt", a=5.6, cubic=True))
    atoms.write(tmp_path / "start.extxyz")
    return atoms


@pytest.fixture
def remote(tmp_path, crystal, random_model):
    """ASE's side of the socket; its client is started at the first question."""
    clients = []

    def launch(atoms, properties, port, unixsocket):
        command = [sys.executable, "-c", CLIENT, tmp_path / "start.extxyz", unixsocket]
        clients.append(subprocess.Popen([*map(str, command), str(random_model)]))
        return clients[-1]

    name = f"hydracalc-{uuid.uuid4().hex[:8]}"
    with SocketIOCalculator(unixsocket=name, timeout=60, launch_client=launch) as remote:
        yield remote
    assert [client.wait(timeout=30) for client in clients] == [0]
    assert not Path(f"/tmp/ipi_{name}").exists()


def test_energy_forces_and_stress_cross_the_socket(remote, crystal, random_model):
    local = crystal.copy()
    local.calc = HydraCalculator(random_model, branch="general")
    crystal.calc = remote
    for _ in range(3):
        for atoms in (crystal, local):
            atoms.positions[0] += 0.02
            atoms.set_cell(atoms.cell * 1.01, scale_atoms=True)
        assert crystal.get_potential_energy() == pytest.approx(local.get_potential_energy())
        np.testing.assert_allclose(crystal.get_forces(), local.get_forces(), atol=1e-9)
        np.testing.assert_allclose(crystal.get_stress(), local.get_stress(), atol=1e-9)


def test_a_relaxation_through_the_socket_is_the_same(remote, crystal, random_model):
    local = crystal.copy()
    local.calc = HydraCalculator(random_model, branch="general")
    crystal.calc = remote
    for atoms in (crystal, local):
        BFGS(atoms, logfile=None).run(fmax=0.01, steps=5)
    np.testing.assert_allclose(crystal.positions, local.positions, atol=1e-7)
