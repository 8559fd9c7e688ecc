"""Structures a second that each kind of store hands out, and what training waits for them.

    python benchmarks/store.py rates --structures 20000 --ranks 1,2
    python benchmarks/store.py data-time shards --ranks 1,2

**rates**: structures a second, and the bytes that a store copies for them.

Structures have ANI-1x's size: 15 atoms with forces, one record about 1.1 kB. All ranks ask at once,
each for batches of 256 at random. "table" hands out the long arrays of a batch, "structures" an
object for each, whose making takes most of the time. Kinds take turns within a round, so that all
see the same machine; the number is the median of the rounds, of the slowest rank.

"rma, 2 copies" is a group of one rank each. "rma, network" keeps MPI from using the memory that
ranks on one machine share: reads go through its network code and need the other rank's help.
Structures per second of processor time are those of a machine that does nothing else; a rank that
waits for the network spends processor time, too.

**data-time**: part of the time of training that the main thread of a rank waits for the next graph,
which a thread makes ahead. The shipped recipe trains for seconds from a folder of shards with each
kind of store; "kept" leaves neighbor lists in memory as a recipe does by default, "anew" finds
those of every batch. Numbers are those that `hydracalc pretrain` writes into metrics.jsonl.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from hydracalc.ingest.catalog import load_card
from hydracalc.parallel import launch
from hydracalc.shards.writer import ShardWriter
from hydracalc.store.choice import StoreConfig
from hydracalc.store.places import Place
from hydracalc.store.store import StructureStore, open_store
from hydracalc.structure import AtomicStructure

NUM_ATOMS = 15
BATCH = 256
BATCHES = 40
NETWORK = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp"}
HANDS_OUT = ("table", "structures")


def write_shards(path: Path, count: int) -> None:
    """Random molecules of ANI-1x's size."""
    rng = np.random.default_rng(0)
    grid = 1.6 * np.array([[i % 3, i // 3 % 3, i // 9] for i in range(NUM_ATOMS)])
    numbers = np.array([6, 6, 6, 7, 8, *[1] * (NUM_ATOMS - 5)])
    with ShardWriter(path, card=load_card("ani1x")) as writer:
        for index in range(count):
            structure = AtomicStructure(
                atomic_numbers=numbers,
                positions=grid + rng.normal(0, 0.05, grid.shape),
                energy=rng.normal(-10_000, 1),
                forces=rng.normal(0, 1, grid.shape),
                branch="ani1x",
                group="C3H10NO",
                source=f"C3H10NO/{index:06d}",
            )
            writer.add(structure, split="train")


def measure(folder: Path, rounds: int, kinds: Sequence[str]) -> list[dict[str, object]]:
    """Open a store of every kind and let all ranks read; rows of the first rank."""
    comm = launch.world()
    place = Place()
    if comm is not None:
        from hydracalc.store.windows import place_of

        place = place_of(comm, timeout_s=60)
    configs = {
        "local": StoreConfig(kind="local"),
        "shared": StoreConfig(kind="shared"),
        "mapped, file": StoreConfig(kind="mapped"),
        "mapped, shards": StoreConfig(kind="mapped", folder="/dev/shm"),
    }
    if comm is not None:
        configs |= {
            "rma": StoreConfig(kind="rma"),
            f"rma, {place.size} copies": StoreConfig(kind="rma", width=1),
            "rma, network": StoreConfig(kind="rma"),
        }
    stores = {
        name: open_store(folder, "train", config=config, place=place)
        for name, config in configs.items()
        if name in kinds
    }
    rates: dict[tuple[str, str], list[np.ndarray]] = {}
    for number in range(rounds):
        for name, store in stores.items():
            for what in HANDS_OUT:
                seed = 1000 * number + place.rank
                slowest = np.min(place.all_of(speed(store, what, seed, place)), axis=0)
                rates.setdefault((name, what), []).append(slowest)
    rows = [
        {
            "store": name,
            "hands_out": what,
            "per_second": float(np.median(rates[name, what], axis=0)[0]),
            "per_cpu_second": float(np.median(rates[name, what], axis=0)[1]),
            **copied(stores[name], what),
        }
        for name, what in rates
    ]
    for store in stores.values():
        store.close()
    return rows if place.rank == 0 else []


def speed(store: StructureStore, what: str, seed: int, place: Place) -> tuple[float, float]:
    """Structures a second, and a second of processor time, of this rank while all read."""
    rng = np.random.default_rng(seed)
    batches = [rng.integers(0, len(store), BATCH) for _ in range(BATCHES)]
    call: Callable[[np.ndarray], object] = store.fetch_table if what == "table" else store.fetch
    place.all_of(None)
    start, used = time.perf_counter(), time.thread_time()
    for batch in batches:
        call(batch)
    seconds = time.perf_counter() - start, time.thread_time() - used
    return BATCH * BATCHES / seconds[0], BATCH * BATCHES / seconds[1]


def copied(store: StructureStore, what: str) -> dict[str, float]:
    """Bytes of one batch: of what was asked for, copied, and come from other ranks."""
    before = vars(store.traffic).copy()
    batch = np.random.default_rng(5).permutation(len(store))[:BATCH]
    table = store.fetch_table(batch)
    payload = sum(array.nbytes for array in table.arrays.values())
    if what == "structures":
        before = vars(store.traffic).copy()
        store.fetch(batch)
    moved = {name: value - before[name] for name, value in vars(store.traffic).items()}
    return {
        "payload_bytes": payload / BATCH,
        "copied_bytes": moved["copied_bytes"] / BATCH,
        "remote_bytes": moved["remote_bytes"] / BATCH,
    }


def run_ranks(folder: Path, ranks: int, rounds: int, kinds: str, **more: str) -> list[dict]:  # type: ignore[type-arg]
    """Rows of a job of so many ranks."""
    mpiexec = Path(sys.prefix) / "bin" / "mpiexec"
    own = [sys.executable, __file__, "rates", "--folder", str(folder), "--rounds", str(rounds)]
    done = subprocess.run(
        [mpiexec, "-n", str(ranks), *own, "--kinds", kinds, "--child"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **more},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def data_time(shards: Path, ranks: int, kind: str, keeps: bool, more: Sequence[str]) -> float:  # noqa: FBT001
    """Part of the time that a short run of the shipped recipe waits for data."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["mtl-all", f"data_dir={shards}", "threads=1", "trainer.training.validate_every=99"]
        words += [f"store.kind={kind}", f"store.neighbors_GB={0.5 if keeps else 0}", *more]
        start = [str(Path(sys.prefix) / "bin" / "mpiexec"), "-n", str(ranks)] if ranks > 1 else []
        done = subprocess.run(
            [*start, sys.executable, "-m", "hydracalc", "pretrain", *words, "-o", folder],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    epochs = [record["data"] for record in map(json.loads, lines) if "data" in record]
    return float(np.mean(epochs))


@click.group(help=__doc__)
def main() -> None:
    """Two measurements."""


@main.command("data-time")
@click.argument("shards", type=click.Path(path_type=Path))
@click.argument("more", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--ranks", default="1,2", help="Numbers of processes.")
@click.option("--seconds", default=12.0, help="Of training in each case.")
def show_data_time(shards: Path, more: tuple[str, ...], ranks: str, seconds: float) -> None:
    """Part of training that waits for data, with SHARDS of all branches of the recipe mtl-all."""
    table = Table("ranks", "store", "neighbor lists", "waiting for data", box=None)
    for number in map(int, ranks.split(",")):
        kinds = ["local", "shared", "mapped"] + (["rma"] if number > 1 else [])
        for kind in kinds:
            for keeps in (True, False):
                own = [f"trainer.training.max_minutes={seconds / 60}", *more]
                part = data_time(shards, number, kind, keeps, own)
                table.add_row(str(number), kind, "kept" if keeps else "anew", f"{100 * part:.2f} %")
    Console(width=130).print(table)


@main.command("rates")
@click.option("--structures", default=20_000, help="In the generated shards.")
@click.option("--ranks", default="1,2", help="Numbers of processes.")
@click.option("--rounds", default=5)
@click.option("--folder", type=click.Path(path_type=Path), help="Of shards; else generated.")
@click.option("--kinds", default="", hidden=True)
@click.option("--child", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True)
def show_rates(  # noqa: PLR0913  # one for each option
    structures: int,
    ranks: str,
    rounds: int,
    folder: Path | None,
    kinds: str,
    child: bool,
    as_json: bool,
) -> None:
    """Generate, measure, tell."""
    if child:
        assert folder is not None
        if rows := measure(folder, rounds, kinds.split(";")):
            click.echo(json.dumps(rows))
        return
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary) / "ani1x"
            write_shards(folder, structures)
        rows = []
        for number in map(int, ranks.split(",")):
            names = ["local", "shared", "mapped, file", "mapped, shards"]
            names += ["rma", f"rma, {number} copies"] if number > 1 else []
            found = run_ranks(folder, number, rounds, ";".join(names))
            if number > 1:
                found += run_ranks(folder, number, rounds, "rma, network", **NETWORK)
            rows += [{"ranks": number, **row} for row in found]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*(f"{v:,.0f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
