"""A model behind the socket protocol of i-PI: one process asks, another one answers.

Here ASE asks, which makes the example complete; `i-pi input.xml` asks in the same way. The client
alone, for an i-PI that waits at the socket "water":  python socket_client.py water
"""

import subprocess
import sys
import uuid

from ase.build import molecule
from ase.calculators.socketio import SocketClient, SocketIOCalculator

from hydracalc import HydraCalculator


def answer(name: str) -> None:
    """Energies and forces for whoever asks at a unix socket, until they are done."""
    atoms = molecule("H2O", vacuum=5.0)  # elements and their order; positions come from the socket
    atoms.calc = HydraCalculator("mtl-all")
    SocketClient(unixsocket=name, timeout=60).run(atoms, use_stress=False)


def ask(name: str) -> None:
    """Forces of two geometries from the other process, and the same from this one."""

    def launch(*_: object, **__: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, __file__, name])

    atoms, local = molecule("H2O", vacuum=5.0), HydraCalculator("mtl-all")
    with SocketIOCalculator(unixsocket=name, timeout=60, launch_client=launch) as remote:
        atoms.calc = remote
        for stretch in (1.0, 1.05):
            atoms.positions *= stretch
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            difference = abs(forces - local.get_forces(atoms)).max()
            print(f"energy {energy:.4f} eV, forces differ by {difference:.1e} eV/Angstrom")


if len(sys.argv) > 1:
    answer(sys.argv[1])
else:
    ask(f"hydracalc-{uuid.uuid4().hex[:8]}")
