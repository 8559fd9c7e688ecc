"""`hydracalc info`: what is installed and what it can run on."""

import json
import os
import platform
import shutil
import sys
import sysconfig
from importlib import metadata
from typing import Any

import click

# packages whose versions explain most differences between two machines
PACKAGES = (
    "hydracalc",
    "numpy",
    "scipy",
    "ase",
    "torch",
    "vesin",
    "matscipy",
    "h5py",
    "adios2",
    "mpi4py",
    "torch-geometric",
    "pymatgen",
    "deephyper",
    "matplotlib",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(as_json: bool) -> None:
    """Versions, devices, threads, and which optional packages are installed."""
    found = gather_info()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{'python':18s}{found['python']} on {found['platform']}")
    for name, version in found["packages"].items():
        click.echo(f"{name:18s}{version or 'not installed'}")
    click.echo(f"{'mpiexec':18s}{found['mpiexec'] or 'not found'}")
    click.echo(f"{'threads':18s}{found['threads']} of {found['cores']} cores")
    for device in found["devices"]:
        memory = f", {device['memory_gib']:.1f} GiB" if device["memory_gib"] else ""
        click.echo(f"{device['name']:18s}{device['description']}{memory}")


def gather_info() -> dict[str, Any]:
    """What `hydracalc info --json` prints; no optional package is imported."""
    import torch

    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "mpiexec": _mpiexec(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": _devices(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _mpiexec() -> str | None:
    """The launcher beside this Python, which fits its MPI library, else the system's."""
    beside = shutil.which("mpiexec", path=sysconfig.get_path("scripts"))
    return beside or shutil.which("mpiexec")


def _devices() -> list[dict[str, Any]]:
    import torch

    devices: list[dict[str, Any]] = [
        {"name": "cpu", "description": platform.machine(), "memory_gib": None}
    ]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices.append(
            {
                "name": f"cuda:{index}",
                "description": properties.name,
                "memory_gib": properties.total_memory / 2**30,
            }
        )
    if torch.backends.mps.is_available():
        devices.append({"name": "mps", "description": "Apple GPU", "memory_gib": None})
    return devices
