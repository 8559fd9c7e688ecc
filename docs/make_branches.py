"""Draws docs/branches.png: what the branches of mtl-all answer, and who is asked for what.

python docs/make_branches.py
"""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from matplotlib.axes import Axes

from hydracalc import HydraCalculator
from hydracalc.validation.pictures import FAINT, INK, PNG_DPI, new_figure, tidy

FILE = Path(__file__).parent / "branches.png"
MODEL = "mtl-all"
LENGTHS = np.linspace(0.7, 2.5, 61)  # of the O-H bond, Angstrom
HIGHEST = 6.0  # eV
SHOWN = 0.04  # branches whose weight is nowhere above this are drawn as one
MATERIALS = {
    "water": molecule("H2O"),
    "ethanol": molecule("CH3CH2OH"),
    "benzene": molecule("C6H6"),
    "methyl chloride": molecule("CH3Cl"),
    "copper": bulk("Cu"),
    "silicon": bulk("Si"),
    "rock salt": bulk("NaCl", "rocksalt", a=5.64),
    "magnesia": bulk("MgO", "rocksalt", a=4.21),
    "gallium nitride": bulk("GaN", "wurtzite", a=3.19, c=5.19),
}


def stretched_water(length: float) -> Atoms:
    """A water molecule one of whose bonds has another length, Angstrom."""
    atoms = molecule("H2O")
    atoms.set_distance(0, 1, length, fix=0)
    return atoms


def curves(calc: HydraCalculator) -> dict[str, np.ndarray]:
    """Energy of a stretched bond beyond its minimum by every branch that knows water, eV."""
    path = [calc.get_branch_energies(stretched_water(length)) for length in LENGTHS]
    found = {name: np.array([point[name] for point in path]) for name in path[0]}
    return {name: energies - energies.min() for name, energies in found.items()}


def weights(calc: HydraCalculator) -> dict[str, np.ndarray]:
    """Weight of every branch for each of the materials; small ones are summed up."""
    told = [calc.get_branch_weights(atoms) for atoms in MATERIALS.values()]
    found = {name: np.array([point[name] for point in told]) for name in calc.branches}
    large = {name: values for name, values in found.items() if values.max() > SHOWN}
    rest = [values for name, values in found.items() if name not in large]
    return large | ({"others": np.sum(rest, axis=0)} if rest else {})


def draw_curves(axes: Axes, calc: HydraCalculator, colors: dict[str, str]) -> None:
    """One line for each branch."""
    for name, energies in curves(calc).items():
        axes.plot(LENGTHS, energies, color=colors[name], label=name, linewidth=1.5)
    axes.set(xlabel="length of one O-H bond of water, Å", ylabel="energy beyond its minimum, eV")
    axes.set(xlim=(LENGTHS[0], LENGTHS[-1]), ylim=(0, HIGHEST))
    axes.legend(fontsize=8, labelcolor=INK, frameon=False, ncols=2, loc="upper right")
    tidy(axes, title="One bond, every branch that knows it", grid="both")


def draw_weights(axes: Axes, calc: HydraCalculator, colors: dict[str, str]) -> None:
    """One bar for each material."""
    start = np.zeros(len(MATERIALS))
    for name, values in weights(calc).items():
        axes.barh(list(MATERIALS), values, left=start, color=colors[name], label=name)
        start += values
    axes.set(xlabel="weight in the mixture", xlim=(0, 1))
    axes.invert_yaxis()
    axes.legend(fontsize=8, labelcolor=INK, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    tidy(axes, title='Who is asked with "auto"')


def draw() -> None:
    """Write both panels; the file's metadata say which model is shown."""
    calc = HydraCalculator(MODEL)
    palette = [f"C{i}" for i in range(10)]
    colors = dict(zip(calc.branches, palette, strict=False)) | {"others": FAINT}
    figure = new_figure(11, 4.2)
    left, right = figure.subplots(1, 2)
    draw_curves(left, calc, colors)
    draw_weights(right, calc, colors)
    shown = str(calc.parameters["model"])
    figure.suptitle(shown, fontsize=9, color=FAINT)
    figure.savefig(FILE, dpi=PNG_DPI, metadata={"Source": shown})


if __name__ == "__main__":
    draw()
