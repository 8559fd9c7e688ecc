"""Speed and memory of `hydracalc data prepare` on a generated file, for several numbers of ranks.

    python benchmarks/prepare.py --gigabytes 2 --ranks 1,2,3

The file has the layout of ANI-1x: HDF5, groups of 20,000 conformations of 15 atoms, 368 bytes each.
Every number of ranks must come to the same shards; the largest memory is that of any process.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import h5py
import numpy as np
from rich.console import Console
from rich.table import Table

NUM_ATOMS = 15
ROWS = 20_000
ROW_BYTES = NUM_ATOMS * 24 + 8

CHILD = """
import json, resource, sys
from hydracalc.cli.main import main
if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        used = [resource.getrusage(who).ru_maxrss / 1024
                for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        print(json.dumps({"megabytes": max(used)}), file=sys.stderr)
"""


def write_file(path: Path, gigabytes: float) -> int:
    """Write random conformations in ANI-1x's layout; returns how many."""
    rng = np.random.default_rng(0)
    grid = 1.6 * np.array([[i % 3, i // 3 % 3, i // 9] for i in range(NUM_ATOMS)])
    groups = max(1, int(gigabytes * 2**30 / (ROW_BYTES * ROWS)))
    with h5py.File(path, "w") as file:
        for number in range(groups):
            molecule = file.create_group(f"molecule{number:05d}")
            molecule["atomic_numbers"] = rng.choice([1, 6, 7, 8], NUM_ATOMS).astype(np.uint8)
            shape = (ROWS, NUM_ATOMS, 3)
            molecule["coordinates"] = (grid + rng.normal(0, 0.05, shape)).astype(np.float32)
            molecule["wb97x_dz.energy"] = rng.normal(-300, 0.1, ROWS)
            molecule["wb97x_dz.forces"] = rng.normal(0, 0.02, shape).astype(np.float32)
    return groups * ROWS


def measure(raw: Path, out: Path, ranks: int) -> dict[str, object]:
    """Prepare once in a process of its own."""
    arguments = ["data", "prepare", "ani1x", str(raw), "-o", str(out), "--json"]
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(CHILD)
        script.flush()
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, script.name, *arguments, "--ranks", str(ranks)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - start
    report = json.loads(done.stdout)
    shutil.rmtree(out)
    return {
        "ranks": ranks,
        "seconds": seconds,
        "structures_per_second": sum(report["num_structures"].values()) / seconds,
        "largest_process_MB": json.loads(done.stderr.splitlines()[-1])["megabytes"],
        "sha256": report["sha256"],
    }


@click.command(help=__doc__)
@click.option("--gigabytes", default=2.0, help="Of the generated file.")
@click.option("--ranks", default="1,2,3", help="Numbers of processes.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write; else temporary.")
@click.option("--json", "as_json", is_flag=True)
def main(gigabytes: float, ranks: str, folder: Path | None, as_json: bool) -> None:
    """Generate, prepare, tell."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        raw = Path(temporary) / "ani1x-generated.h5"
        count = write_file(raw, gigabytes)
        rows = [measure(raw, Path(temporary) / "out", int(n)) for n in ranks.split(",")]
        size = raw.stat().st_size
    if len({row["sha256"] for row in rows}) > 1:
        raise SystemExit(f"the shards differ: {[row['sha256'] for row in rows]}")
    if as_json:
        click.echo(json.dumps({"structures": count, "bytes": size, "runs": rows}))
        return
    table = Table("ranks", "seconds", "structures/s", "largest process, MB", "sha256", box=None)
    for row in rows:
        table.add_row(
            str(row["ranks"]),
            f"{row['seconds']:.1f}",
            f"{row['structures_per_second']:,.0f}",
            f"{row['largest_process_MB']:.0f}",
            str(row["sha256"])[:12],
        )
    console = Console()
    console.print(f"{count:,} structures, {size / 1e9:.2f} GB")
    console.print(table)


if __name__ == "__main__":
    main()
