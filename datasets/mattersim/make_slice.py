"""Compresses the published extended XYZ files, all frames or some, their text unchanged.

python make_slice.py FOLDER INPUT.xyz [INPUT.xyz ...] --limit 100
"""

import argparse
import gzip
from pathlib import Path

import numpy as np


def frames_of(text: str) -> list[str]:
    """The text of every frame: the number of atoms, the comment, one line per atom."""
    lines = text.splitlines(keepends=True)
    frames = []
    while lines:
        length = int(lines[0]) + 2
        frames.append("".join(lines[:length]))
        lines = lines[length:]
    return frames


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=10**9)
    arguments = parser.parse_args()
    for path in arguments.inputs:
        frames = frames_of(path.read_text())
        chosen = np.linspace(0, len(frames) - 1, min(arguments.limit, len(frames))).astype(int)
        with gzip.GzipFile(arguments.folder / f"{path.name}.gz", "wb", mtime=0) as file:
            file.write("".join(frames[i] for i in chosen).encode())


if __name__ == "__main__":
    main()
