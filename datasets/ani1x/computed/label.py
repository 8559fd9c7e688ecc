"""Organic molecules of the GFN2-xTB slice and displaced copies of them, labelled with ANI-1x.

    python label.py ani1x_computed.h5 ../../gfn2xtb/slice/molecules.extxyz.xz --held-out formulas
    python label.py --compare ../slice/ani1x_slice.h5

ANI-1x (eight networks that were trained on all of ANI-1x; their weights come with `pip install
torchani==2.2.4`) stands in for wB97X/6-31G(d). Frames on which the eight disagree are left out and
counted, as are charged ones, other elements than H C N O, and formulas that are held out: a text
file with one each. Also needs ase and h5py. ANI-1x: 10.1063/1.5023802.
"""

import argparse
import io
import lzma
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import ase.io
import h5py
import numpy as np
import torch
import torchani
from ase import Atoms
from ase.units import Hartree
from torchani import neurochem

DISPLACED = 0.2  # Angstrom, the largest standard deviation
MOST_SPREAD = 0.015 / Hartree  # of the energy / sqrt(atoms): about the median on ANI-1x itself
MOST_FORCE = 20.0 / Hartree  # Hartree/Angstrom
AT_ONCE = 16  # conformations

# numbers, positions, energies, forces
Labelled = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def load() -> torchani.models.BuiltinEnsemble:
    """ANI-1x from the files of the package, which by itself asks the network for ANI-2x."""
    folder = Path(torchani.__file__).parent / "resources" / "ani-1x_8x"
    constants = neurochem.Constants(str(folder / "rHCNO-5.2R_16-3.5A_a4-8.params"))
    shifter, sae = neurochem.load_sae(str(folder / "sae_linfit.dat"), return_dict=True)
    return torchani.models.BuiltinEnsemble(
        torchani.nn.SpeciesConverter(constants.species),
        torchani.AEVComputer(**constants),
        neurochem.load_model_ensemble(constants.species, str(folder / "train"), 8),
        shifter,
        constants.species_to_tensor,
        constants,
        sae,
        True,
    ).double()


def frames(source: Path, held_out: set[str], counts: Counter[str]) -> Iterator[Atoms]:
    """Every frame that may be labelled, and a copy with its atoms displaced."""
    # ASE seeks from frame to frame, which in a compressed file starts over every time
    text = io.StringIO(lzma.decompress(source.read_bytes()).decode())
    for number, atoms in enumerate(ase.io.iread(text, index=":", format="extxyz")):
        if atoms.info["charge"] != 0:
            counts["charged"] += 1
        elif not set(atoms.get_chemical_symbols()) <= {"H", "C", "N", "O"}:
            counts["other elements"] += 1
        elif atoms.get_chemical_formula(mode="hill") in held_out:
            counts["formula held out"] += 1
        else:
            yield atoms
            rng = np.random.default_rng([0, number])
            displaced = atoms.copy()
            displaced.rattle(rng.uniform(0, DISPLACED), rng=rng)
            yield displaced


def predict(
    model: torchani.models.BuiltinEnsemble, numbers: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of conformations, (n, N, 3), of a molecule, some at a time.

    Returns:
        energies, Hartree, (n,); forces, Hartree/Angstrom, (n, N, 3); spreads of the energies /
        sqrt(atoms), Hartree, (n,).
    """
    parts = [
        _predict(model, numbers, positions[start : start + AT_ONCE])
        for start in range(0, len(positions), AT_ONCE)
    ]
    energies, forces, spreads = (np.concatenate(column) for column in zip(*parts, strict=True))
    return energies, forces, spreads


def _predict(
    model: torchani.models.BuiltinEnsemble, numbers: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = torch.tensor(positions, dtype=torch.float64, requires_grad=True)
    species = torch.as_tensor(numbers).long().expand(len(at), -1)
    energies = model.members_energies((species, at)).energies
    forces = -torch.autograd.grad(energies.mean(dim=0).sum(), at)[0]
    spreads = energies.std(dim=0) / len(numbers) ** 0.5
    return energies.mean(dim=0).detach().numpy(), forces.numpy(), spreads.detach().numpy()


def compare(model: torchani.models.BuiltinEnsemble, path: Path) -> None:
    """Print how far ANI-1x is from published labels, where its networks agree and everywhere."""
    errors, spreads = [], []
    with h5py.File(path) as file:
        for group in file.values():
            labels = group["wb97x_dz.forces"][:]
            _, forces, spread = predict(model, group["atomic_numbers"][:], group["coordinates"][:])
            errors.extend(1000 * Hartree * np.abs(forces - labels).mean(axis=(1, 2)))
            spreads.extend(spread)
    agreed = np.array(errors)[np.array(spreads) <= MOST_SPREAD]
    sys.stdout.write(
        f"{len(errors)} conformations: forces {np.mean(errors):.0f} meV/A off; "
        f"{len(agreed)} on which the networks agree: {agreed.mean():.0f}\n"
    )


def write(output: Path, molecules: dict[str, Labelled]) -> None:
    """Everything by formula, in the layout of ani1x-release.h5."""
    with h5py.File(output, "w", libver="latest") as file:
        for formula, (numbers, positions, energies, forces) in sorted(molecules.items()):
            group = file.create_group(formula)
            group["atomic_numbers"] = numbers.astype(np.uint8)
            group["wb97x_dz.energy"] = energies
            for name, data in (("coordinates", positions), ("wb97x_dz.forces", forces)):
                rounded = data.round(5).astype(np.float32)
                group.create_dataset(name, data=rounded, compression=9, shuffle=True)


def main() -> None:
    """Label frame by frame, write by formula."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("molecules", type=Path, nargs="?")
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--compare", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, counts = load(), Counter()
    if given.compare:
        compare(model, given.compare)
        return
    if not (given.output and given.molecules and given.held_out):
        parser.error("give OUTPUT, MOLECULES and --held-out, or --compare")
    conformations = defaultdict(list)
    for atoms in frames(given.molecules, set(given.held_out.read_text().split()), counts):
        order = np.argsort(atoms.numbers, kind="stable")
        formula = atoms.get_chemical_formula(mode="hill")
        conformations[formula].append((atoms.numbers[order], atoms.positions[order]))
    molecules = {}
    for done, (formula, rows) in enumerate(conformations.items()):
        if done % 100 == 0:
            sys.stdout.write(f"{done} of {len(conformations)} formulas\n")
            sys.stdout.flush()
        numbers, positions = rows[0][0], np.array([row[1] for row in rows])
        energies, forces, spreads = predict(model, numbers, positions)
        agreed = spreads <= MOST_SPREAD
        calm = np.abs(forces).max(axis=(1, 2)) <= MOST_FORCE
        kept = agreed & calm
        counts.update({"networks disagree": int((~agreed).sum()), "kept": int(kept.sum())})
        counts["large force"] += int((agreed & ~calm).sum())
        if kept.any():
            molecules[formula] = numbers, positions[kept], energies[kept], forces[kept]
    write(given.output, molecules)
    sys.stdout.write(f"{dict(counts)}\n")


if __name__ == "__main__":
    main()
