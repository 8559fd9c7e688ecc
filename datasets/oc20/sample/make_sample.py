"""Writes frames of one OC20 relaxation in the layout that OC20 publishes.

python make_sample.py random1447590.traj [folder to write to]
"""

import io
import lzma
import sys
from pathlib import Path

import ase.io
import numpy as np

FOLDER = "s2ef_train_200K"
FRAMES_PER_FILE = 24
OXYGEN = 8

if __name__ == "__main__":
    source = Path(sys.argv[1])
    out = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent) / FOLDER
    out.mkdir(exist_ok=True)
    frames = ase.io.read(source, ":")
    for atoms in frames:
        is_fixed = np.isin(np.arange(len(atoms)), atoms.constraints[0].index)
        atoms.set_tags(np.where(is_fixed, 0, np.where(atoms.numbers == OXYGEN, 2, 1)))
    for file, start in enumerate(range(0, len(frames), FRAMES_PER_FILE)):
        numbers = range(len(frames))[start : start + FRAMES_PER_FILE]
        text = io.StringIO()
        columns = ["symbols", "positions", "move_mask", "tags", "forces"]
        ase.io.write(text, [frames[n] for n in numbers], format="extxyz", columns=columns)
        lines = "".join(f"{source.stem},frame{number},nan\n" for number in numbers)
        (out / f"{file}.extxyz.xz").write_bytes(lzma.compress(text.getvalue().encode()))
        (out / f"{file}.txt.xz").write_bytes(lzma.compress(lines.encode()))
