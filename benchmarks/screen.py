"""Screening beside ASE's way, one structure after the other; its memory; kills at random moments.

    python benchmarks/screen.py speed --structures 6000 --rounds 3
    python benchmarks/screen.py memory --structures 2000,20000
    python benchmarks/screen.py kills --structures 6000 --kills 20

Structures are generated: 20 atoms each, half of them perovskites of random elements, half pairs of
molecules. Both ways read the same file and come to energies of all branches, forces, stress where
periodic, and the spread between branches.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import ase.io
import click
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from rich.console import Console
from rich.table import Table

NUM_ATOMS = 20
A_SITES = ("Ca", "Sr", "Ba", "La", "K", "Na", "Y", "Cs")
B_SITES = ("Ti", "Zr", "Mn", "Fe", "Al", "Nb", "V", "Ni", "Co", "Cr")
ANIONS = ("O", "O", "O", "F", "S")
ORGANIC = {"H", "C", "N", "O"}

CHILD = """
import sys
from hydracalc.cli.main import main
if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print("peak_kB", status["VmHWM"].split()[0], file=sys.stderr)
"""

ONE_BY_ONE = """
import sys, time
import torch
from ase.io import iread
from hydracalc import HydraCalculator
calc = HydraCalculator("mtl-all", device="cpu", uncertainty="branches")
path, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]))
def one(atoms):
    atoms.calc = calc
    atoms.get_potential_energy(), atoms.get_forces()
    if atoms.pbc.any():
        atoms.get_stress()
    return calc.extras["uncertainty"]
for atoms in iread(path, f"{first}:{first + 20}"):
    one(atoms)
start, before = time.perf_counter(), time.process_time()
for atoms in iread(path, f"{first}:{first + count}"):
    one(atoms)
seconds = time.perf_counter() - start
print(seconds, time.process_time() - before)
"""


def perovskite(rng: np.random.Generator) -> Atoms:
    """Four cells of ABX3 with the atoms off their places."""
    a, b = rng.choice(A_SITES), rng.choice(B_SITES)
    x = rng.choice(ANIONS)
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    length = rng.uniform(3.8, 4.4) * (1.25 if x == "S" else 1.0)
    cell = Atoms([a, b, x, x, x], scaled_positions=places, cell=[length] * 3, pbc=True)
    atoms = cell * (2, 2, 1)
    atoms.rattle(0.05, rng=rng)
    return atoms


def pair_of_molecules(rng: np.random.Generator, known: dict[int, list[Atoms]]) -> Atoms:
    """Two molecules side by side."""
    sizes = [size for size in known if NUM_ATOMS - size in known]
    size = int(rng.choice(sizes))
    one, other = (known[n][rng.integers(len(known[n]))].copy() for n in (size, NUM_ATOMS - size))
    other.rotate(rng.uniform(0, 360), rng.normal(size=3))
    gap = one.positions[:, 2].max() - other.positions[:, 2].min() + 3.0
    other.translate([0, 0, gap])
    atoms = one + other
    atoms.rattle(0.02, rng=rng)
    return Atoms(atoms.numbers, atoms.positions)


def write_structures(path: Path, count: int) -> None:
    """Write structures in turn of the two kinds."""
    rng, known = np.random.default_rng(0), {}
    for name in g2.names:
        atoms = molecule(name)
        if set(atoms.symbols) <= ORGANIC:
            known.setdefault(len(atoms), []).append(atoms)
    with path.open("w") as file:
        for number in range(count):
            atoms = perovskite(rng) if number % 2 else pair_of_molecules(rng, known)
            ase.io.write(file, atoms, format="extxyz")


def environment() -> dict[str, str]:
    """Every process computes with one thread: for small structures more are slower."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def command_of(path: Path, out: Path, *more: str) -> list[str]:
    """The command line of a screening."""
    return ["screen", str(path), "-o", str(out), "--device", "cpu", "--json", *more]


def screened(path: Path, out: Path, *more: str) -> tuple[dict, float, float, float]:
    """Screen in processes of its own, from start to end.

    Returns:
        Report, seconds, seconds of all its processors, largest memory of its first process in MB.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(CHILD)
        script.flush()
        start, before = time.perf_counter(), processor_seconds()
        done = subprocess.run(
            [sys.executable, script.name, *command_of(path, out, *more)],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        )
        seconds = time.perf_counter() - start
    peak = float(done.stderr.split("peak_kB")[-1].split()[0]) / 1024
    return json.loads(done.stdout), seconds, processor_seconds() - before, peak


def processor_seconds() -> float:
    """Of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def one_by_one(path: Path, first: int, count: int, threads: int) -> tuple[float, float]:
    """ASE's way, without its start: seconds and processor seconds for each structure."""
    numbers = map(str, (first, count, threads))
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, str(path), *numbers],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    seconds, busy = map(float, done.stdout.split())
    return seconds / count, busy / count


@click.group(help=__doc__)
def main() -> None:
    """Choose what to measure."""


@main.command()
@click.option("--structures", default=6000, show_default=True)
@click.option("--one-by-one", "single", default=600, show_default=True, help="Of ASE, each round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--threads", default="1", show_default=True, help="One by one, as 1,2.")
@click.option("--ways", default="1,1+1,2", show_default=True, help="Ranks, or ranks+workers.")
def speed(structures: int, single: int, rounds: int, threads: str, ways: str) -> None:
    """Structures a second, each way in turn; screening with its start, reading and writing."""
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "structures.extxyz"
        write_structures(path, structures)
        for turn in range(rounds):
            for count in threads.split(","):
                times = one_by_one(path, turn * single, single, int(count))
                note(found, f"ASE, one by one, {count} threads", times)
            for way in ways.split(","):
                ranks, _, workers = way.partition("+")
                out = Path(temporary) / f"out-{turn}-{way}"
                more = ("--ranks", ranks, "--workers", workers or "0")
                _, seconds, busy, _ = screened(path, out, *more)
                name = f"screen, {ranks} ranks, {workers or 0} workers each"
                note(found, name, (seconds / structures, busy / structures))
    tell(found, structures, rounds)


def note(
    found: dict[str, list[tuple[float, float]]], name: str, times: tuple[float, float]
) -> None:
    """Keep one measurement and show that it was made."""
    found.setdefault(name, []).append(times)
    seconds, busy = times
    click.echo(f"{name}: {1000 * seconds:.2f} ms, processors {1000 * busy:.2f} ms", err=True)


def tell(found: dict[str, list[tuple[float, float]]], structures: int, rounds: int) -> None:
    """A table; what is beside it is the faster of ASE's ways in the same round."""
    fastest = [
        min(times[turn][0] for name, times in found.items() if name.startswith("ASE"))
        for turn in range(rounds)
    ]
    columns = ("structures/s", "processor ms each", "cores busy", "times as fast, each round")
    table = Table("way", *columns, box=None)
    for name, times in found.items():
        ratios = [other / seconds for other, (seconds, _) in zip(fastest, times, strict=True)]
        table.add_row(
            name,
            f"{median(1 / seconds for seconds, _ in times):.1f}",
            f"{1000 * median(busy for _, busy in times):.2f}",
            " ".join(f"{busy / seconds:.2f}" for seconds, busy in times),
            " ".join(f"{ratio:.2f}" for ratio in ratios) + f", median {median(ratios):.2f}",
        )
    cores = len(os.sched_getaffinity(0))
    console = Console(width=120)
    console.print(f"{cores} cores for each; {structures:,} structures of {NUM_ATOMS} atoms")
    console.print(table)


@main.command()
@click.option("--structures", default="2000,20000", show_default=True)
def memory(structures: str) -> None:
    """Most memory of a screening of one rank, over the number of structures."""
    with tempfile.TemporaryDirectory() as temporary:
        for count in map(int, structures.split(",")):
            path, out = Path(temporary) / f"{count}.extxyz", Path(temporary) / f"out-{count}"
            write_structures(path, count)
            report, seconds, _, peak = screened(path, out)
            size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
            click.echo(
                f"{count:,} structures: {peak:.0f} MB at most, {seconds:.1f} s, "
                f"{size / count:.0f} bytes of results for each, {report['counts']}"
            )


@main.command()
@click.option("--structures", default=6000, show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--ranks", default=2, show_default=True)
@click.option("--block", default=100, show_default=True)
@click.option("--longest", default=9.0, show_default=True, help="Seconds before a kill, at most.")
@click.option("--seed", default=0, show_default=True)
def kills(structures: int, kills: int, ranks: int, block: int, longest: float, seed: int) -> None:
    """Kill a screening, parent alone or all of it, until it ends; compare with a calm one."""
    moments = random.Random(seed)
    more = ("--ranks", str(ranks), "--block", str(block))
    with tempfile.TemporaryDirectory() as temporary:
        path, out = Path(temporary) / "structures.extxyz", Path(temporary) / "out"
        write_structures(path, structures)
        done, advanced = 0, 0
        while done < kills and not out.exists():
            before = finished(out)
            process = subprocess.Popen(
                [sys.executable, "-m", "hydracalc", *command_of(path, out, *more)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=environment(),
            )
            try:
                process.wait(moments.uniform(1.0, longest))
            except subprocess.TimeoutExpired:
                kill(process, alone=bool(done % 2))
                done += 1
                advanced += finished(out) > before
        report, *_ = screened(path, out, *more)
        calm, *_ = screened(path, Path(temporary) / "calm", *more)
        same = report["sha256"] == calm["sha256"]
        missing = missing_and_repeated(path, out, structures)
    click.echo(
        f"{done} kills, {advanced} of them after at least one block; {missing} structures missing "
        f"or repeated; results {'equal, bit for bit' if same else 'DIFFER'}"
    )
    sys.exit(0 if same and not missing else 1)


def finished(out: Path) -> int:
    """Blocks of a screening under way."""
    return len(list(out.with_name(f".{out.name}.part").glob("block-*.json")))


def kill(process: subprocess.Popen, *, alone: bool) -> None:
    """End a screening without a word: its first process, or all of it."""
    if alone:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def missing_and_repeated(path: Path, out: Path, count: int) -> int:
    """How many structures are not in the results exactly once."""
    from hydracalc.screening.results import open_results

    names = open_results(out).text("name")
    expected = {f"{path}:{number}" for number in range(count)}
    return len(expected ^ set(names)) + len(names) - len(set(names))


if __name__ == "__main__":
    main()
