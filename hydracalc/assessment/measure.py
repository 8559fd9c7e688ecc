"""The sections of an assessment: each measures one thing of a model and returns plain numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydracalc import elements, registry
from hydracalc.assessment import calibration, conservation, crystals, label_errors, pairs, subsets
from hydracalc.benchmark import machine, systems
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.steps import time_steps
from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import read_header
from hydracalc.devices import device_of
from hydracalc.errors import unknown

# branches that crystals are relaxed with, and pairs pulled apart, besides the default
_CRYSTAL_BRANCHES = ("mptrj", "alexandria")
_PAIR_BRANCHES = ("mptrj",)

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What is measured.

    Attributes:
        model: name or path.
        shards: folders whose test labels count.
        branches: instead of those that each section takes by itself.
        moving: systems of `conservation.MOTIONS`.
        short: dynamics of a tenth of the time.
        dtype: of dynamics, pairs and speed; crystals are relaxed in float64.
    """

    model: str
    shards: Sequence[Path] = ()
    branches: Sequence[str] = ()
    moving: Sequence[str] = tuple(conservation.MOTIONS)
    short: bool = False
    dtype: str = "auto"

    def __post_init__(self) -> None:
        for system in self.moving:
            if system not in conservation.MOTIONS:
                raise ValueError(unknown("system", system, conservation.MOTIONS))

    def choices(self, calculator: HydraCalculator, usual: Sequence[str]) -> list[str]:
        """Branches of a section: those asked for, else the usual ones and the default."""
        if self.branches:
            return list(self.branches)
        default = str(calculator.parameters["branch"])
        known = [name for name in usual if name in calculator.branches and name != default]
        return [*known, default]


def identity(model: str) -> dict[str, str]:
    """Name and content hash of a model, to tell whether results are of it."""
    path = registry.resolve(model)
    return {"model": registry.full_name(model), "sha256": read_header(path)["sha256"]}


def measure_errors(asked: Assessment, say: Say) -> dict[str, Any]:
    """Errors on the labelled sets of the shards."""
    model = registry.load_model(asked.model)
    sets, left_out = subsets.gather(asked.shards)
    found: dict[str, Any] = {}
    for each in sets:
        if each.branch not in model.branch_names:
            left_out[f"{each.branch}: the model has no such branch"] += len(each.structures)
            continue
        say(f"errors on {each.name}, {len(each.structures)} structures")
        found[each.name] = label_errors.measure_set(model, each).to_json()
    return {"sets": found, "left_out": dict(left_out)}


def measure_calibration(asked: Assessment, say: Say) -> dict[str, Any]:
    """Spread between branches against errors, on all published labels together."""
    model = registry.load_model(asked.model)
    sets, _ = subsets.gather(asked.shards)
    real = [
        structure
        for each in sets
        if each.labels == subsets.PUBLISHED and each.branch in model.branch_names
        for structure in each.structures
        if structure.forces is not None
    ]
    say(f"spread between branches on {len(real)} structures")
    return {"calibration": calibration.measure_calibration(model, real) if real else None}


def measure_nve(asked: Assessment, say: Say) -> dict[str, Any]:
    """Energy drift of each system by each of its branches."""
    calculator = HydraCalculator(asked.model, dtype=asked.dtype)
    found = {}
    for system in asked.moving:
        for branch in asked.branches or conservation.choices_of(calculator, system):
            say(f"dynamics of {system}, {branch}")
            run = conservation.measure_drift(
                calculator.with_branch(branch), system, branch=branch, short=asked.short
            )
            found[f"{system}, {branch}"] = run.to_json()
    return {"nve": found}


def measure_pairs(asked: Assessment, say: Say) -> dict[str, Any]:
    """Curves of two atoms, all pairs of six elements."""
    calculator = HydraCalculator(asked.model, dtype=asked.dtype)
    found: dict[str, Any] = {}
    for branch in asked.choices(calculator, _PAIR_BRANCHES):
        say(f"pairs of atoms, {branch}")
        chosen = calculator.with_branch(branch)
        known = set(elements.symbols(chosen.allowed_atomic_numbers))
        able = [pair for pair in pairs.all_pairs() if {pair.first, pair.second} <= known]
        curves = [pairs.measure_pair(chosen, pair, branch=branch) for pair in able]
        found[branch] = {curve.pair: curve.to_json() for curve in curves}
    return {"pairs": found}


def measure_lattices(asked: Assessment, say: Say) -> dict[str, Any]:
    """Lattice constants of elements against experiment."""
    calculator = HydraCalculator(asked.model, dtype="float64")
    found: dict[str, Any] = {}
    for branch in asked.choices(calculator, _CRYSTAL_BRANCHES):
        say(f"lattice constants, {branch}")
        rows, unknown_to = crystals.measure_lattices(calculator.with_branch(branch))
        found[branch] = {
            "within": sum(row.passes for row in rows),
            "within_from_all_starts": sum(
                abs(row.worst_of_all) <= crystals.TOLERANCE for row in rows
            ),
            "of": len(rows),
            "not_known": unknown_to,
            "rows": {row.element: row.to_json() for row in rows},
        }
    return {"lattices": found}


def measure_speed(asked: Assessment, say: Say) -> dict[str, Any]:
    """Steps of dynamics of a molecule and of a crystal, on this machine."""
    calculator = HydraCalculator(asked.model, dtype=asked.dtype)
    device = device_of("cpu")
    rows = []
    for branch in asked.choices(calculator, ()):
        series = systems.series((systems.BENZENE, 64), calculator.allowed_atomic_numbers)
        for system in series.systems:
            say(f"steps of {system.name}, {branch}")
            taken = time_steps(
                system, calculator.with_branch(branch), effort=Effort(), device=device
            )
            rows.append(
                {
                    "system": taken.system,
                    "num_atoms": taken.num_atoms,
                    "branch": branch,
                    "ms_per_step": taken.timing.median_ms,
                    "atoms_per_s": taken.atoms_per_s,
                }
            )
    return {"speed": {"machine": asdict(machine.describe(device)), "rows": rows}}


SECTIONS: Mapping[str, Callable[[Assessment, Say], dict[str, Any]]] = {
    "errors": measure_errors,
    "calibration": measure_calibration,
    "pairs": measure_pairs,
    "lattices": measure_lattices,
    "speed": measure_speed,
    "nve": measure_nve,
}


# what a section's results are called, where it is not the section's own name
_KEYS = {"errors": "sets"}
NEED_SHARDS = ("errors", "calibration")


def missing(results: Mapping[str, Any]) -> list[str]:
    """Sections that results do not have yet."""
    return [name for name in SECTIONS if _KEYS.get(name, name) not in results]


def check_sections(names: Sequence[str], shards: Sequence[Path]) -> None:
    """Make sure that sections exist, and that there is what they need.

    Raises:
        ValueError: one does not exist, or needs shards.
    """
    for name in names:
        if name not in SECTIONS:
            raise ValueError(unknown("section", name, SECTIONS))
    needy = [name for name in names if name in NEED_SHARDS]
    if needy and not shards:
        raise ValueError(f"{' and '.join(needy)} need labels; give folders of shards")


def absorb(results: dict[str, Any], found: Mapping[str, Any]) -> None:
    """Add what was found to results: tables by name are joined, anything else is replaced.

    Args:
        results: changed in place.
        found: of one section.
    """
    for key, value in found.items():
        if isinstance(value, dict) and isinstance(results.get(key), dict) and key != "calibration":
            results[key] = results[key] | value
        else:
            results[key] = value
