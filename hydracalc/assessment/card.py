"""What was measured of a model, on its card: numbers, and what follows for its use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydracalc.assessment.conservation import DRIFT_BAR
from hydracalc.assessment.crystals import TOLERANCE
from hydracalc.checkpoint import MEASURED, load_checkpoint, read_header, save_checkpoint
from hydracalc.elements import number

# mean force error above which a set is said to be known roughly only
ROUGH_FORCE = 0.2  # eV/Angstrom
_DIGITS = 6

NOT_FOR = "not_for"


def write_measured(source: Path, target: Path, results: Mapping[str, Any]) -> str:
    """Write a model with results of an assessment on its card.

    Args:
        source: model file that the results are of.
        target: file to write; may be the same.
        results: joined sections, as `measure.SECTIONS` return them.

    Returns:
        SHA-256 of the new content: the card is part of it, the weights are those of the source.

    Raises:
        ValueError: the results are of another model.
    """
    header = read_header(source)
    if results["sha256"] != header["sha256"]:
        raise ValueError(
            f"{source}: has SHA-256 {header['sha256'][:12]}..., the results are of "
            f"{results['sha256'][:12]}..."
        )
    told = {key: value for key, value in results.items() if key not in ("model", "sha256")}
    told["of_sha256"] = results["sha256"]  # before its card had this
    told[NOT_FOR] = not_for(header, results)
    provenance = dict(header["provenance"]) | {MEASURED: _rounded(told)}
    return save_checkpoint(target, load_checkpoint(source), provenance=provenance)


def not_for(header: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    """What a model must not be used for: what no label covered, and what it was seen to fail.

    Args:
        header: of the model's file.
        results: of its assessment.
    """
    return [
        *_never_learned(header),
        *_rough_sets(results.get("sets", {})),
        *_failed_dynamics(results.get("nve", {})),
        *_failed_lattices(results.get("lattices", {})),
        *_failed_pairs(results.get("pairs", {})),
    ]


def _never_learned(header: Mapping[str, Any]) -> list[str]:
    charges = sorted({charge for b in header["branches"] for charge in b["charges"]})
    spins = sorted({spin for b in header["branches"] for spin in b["spin_multiplicities"]})
    found = [
        "results that would be published as those of a level of theory: fine-tune, or compute",
        "comparisons of total energies between branches, or between compositions by 'auto'",
        f"anything that acts beyond {header['cutoff_A']:g} Angstrom between fragments: charges, "
        "polarization and dispersion at long range are not modelled",
    ]
    if charges == [0]:
        found.append("ions and charged cells: every structure in training was neutral")
    if spins == [1]:
        found.append(
            "spin states and magnetism: spin multiplicity was 1, or not stated, in all training"
        )
    return found


def _rough_sets(sets: Mapping[str, Any]) -> list[str]:
    """Sets whose forces are known only roughly, by the better of own branch and "auto"."""
    found = []
    for name, row in sorted(sets.items()):
        errors = {
            choice: row["choices"][choice]["force_mae_eV_per_A"]
            for choice in ("own", "auto")
            if choice in row["choices"]
        }
        known = [error for error in errors.values() if error is not None]
        if known and min(known) > ROUGH_FORCE:
            found.append(
                f"quantities that need forces better than {1000 * min(known):.0f} meV/A on "
                f"structures like {name}"
            )
    return found


def _failed_dynamics(runs: Mapping[str, Any]) -> list[str]:
    failed = [name for name, run in sorted(runs.items()) if not run["passes"]]
    if not failed:
        return []
    return [
        f"long dynamics at constant energy like that of {'; '.join(failed)}: it drifts by "
        f"{DRIFT_BAR:g} meV/atom/ps or more"
    ]


def _failed_lattices(branches: Mapping[str, Any]) -> list[str]:
    return [
        f"bulk {', '.join(sorted(missed, key=number))} by {branch!r}: lattice constants "
        f"miss experiment by more than {TOLERANCE:.0%}"
        for branch, found in sorted(branches.items())
        if (missed := [symbol for symbol, row in found["rows"].items() if not row["passes"]])
    ]


def _failed_pairs(branches: Mapping[str, Any]) -> list[str]:
    failed = {
        pair
        for curves in branches.values()
        for pair, row in curves.items()
        if not (row["is_smooth"] and row["is_repulsive"])
    }
    if not failed:
        return []
    return [f"collisions of {', '.join(sorted(failed))}: the curve has a jump or does not repel"]


def licences(header: Mapping[str, Any]) -> dict[str, list[str]]:
    """Branches by the licence of their data."""
    found: dict[str, list[str]] = {}
    for branch in header["branches"]:
        found.setdefault(branch["card"]["license"], []).append(branch["name"])
    return found


def _rounded(value: Any) -> Any:  # noqa: ANN401  # whatever JSON can say
    """The same with floats of a few digits, to keep headers small."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
