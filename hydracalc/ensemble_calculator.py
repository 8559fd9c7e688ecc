"""Several models as one ASE calculator: `atoms.calc = HydraEnsemble("best/ensemble.json")`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hydracalc.calculator import HydraCalculator
from hydracalc.devices import device_of
from hydracalc.ensemble.members import Members, full_name, load_members, together
from hydracalc.errors import DataError
from hydracalc.mixture import BranchChoice


class HydraEnsemble(HydraCalculator):
    """Mean energy, forces and stress of several models; their spread is in `extras`.

    Everything else is as of a `HydraCalculator`. Forces are the derivative of the mean energy.
    Standard deviations are those of a sample (divided by members less one).

    Args:
        models: two or more names, paths or calculators (which share their weights); or the folder
            or file of an ensemble, with its calibration.
        branch: as of `HydraCalculator`; every member must have it.
        device: where all members compute; of calculators, where they are.
        dtype: of all members; of calculators, the one they have.
        reference: as of `HydraCalculator`.
        forces: as of `HydraCalculator`.
        skin: as of `HydraCalculator`; one neighbor list serves all members.
        compile: as of `HydraCalculator`; half a minute for each member.
        uncertainty: "ensemble", spread between members; "branches", spread between branches; None.
        sha256: identity that all members together must have; None takes any.
        model: stands for `models` in what `todict()` gives.

    Raises:
        ValueError: a model does not exist, there are fewer than two, or their branches differ.
        DataError: a file is damaged, or another one than its ensemble states.
    """

    def __init__(  # noqa: PLR0913  # that of the calculator
        self,
        models: Sequence[str | Path | HydraCalculator] | str | Path | None = None,
        *,
        branch: BranchChoice = None,
        device: str = "auto",
        dtype: str = "auto",
        reference: Literal["total", "interaction"] = "total",
        forces: Literal["conservative", "direct"] = "conservative",
        skin: float = 0.5,
        compile: bool = False,
        uncertainty: Literal["branches", "ensemble"] | None = "ensemble",
        sha256: str | None = None,
        model: Sequence[str] | str | None = None,
    ) -> None:
        given = model if models is None else models
        if given is None:
            raise ValueError("no models given, expected two or more, or an ensemble's file")
        loaded = _loaded(given, dtype=dtype, device=device)
        if sha256 is not None and sha256 != loaded.sha256:
            raise DataError(
                f"members have SHA-256 {loaded.sha256[:12]}... together, asked for was "
                f"{sha256[:12]}..."
            )
        settings: dict[str, Any] = {
            "model": _names(given),
            "branch": branch,
            "device": device,
            "dtype": loaded.model.precision if _same_precision(loaded) else dtype,
            "reference": reference,
            "forces": forces,
            "skin": float(skin),
            "compile": bool(compile),
            "uncertainty": uncertainty,
            "sha256": loaded.sha256,
        }
        self._start(loaded, settings)


def _loaded(
    given: Sequence[str | Path | HydraCalculator] | str | Path, *, dtype: str, device: str
) -> Members:
    """The members in memory.

    Raises:
        ValueError: there are fewer than two, or one does not exist.
    """
    place = device_of(device)
    if isinstance(given, str | Path):
        loaded = load_members(given, dtype=dtype, device=place)
        if not loaded.is_ensemble:
            raise ValueError(f"{given} is a single model; an ensemble needs two or more")
        return loaded
    parts = [
        each._loaded
        if isinstance(each, HydraCalculator)
        else load_members(each, dtype=dtype, device=place)
        for each in given
    ]
    return Members(
        models=tuple(model for part in parts for model in part.models),
        sha256=together([part.sha256 for part in parts]),
    )


def _names(
    given: Sequence[str | Path | HydraCalculator] | str | Path,
) -> str | list[str]:
    """What means the same members for ever."""
    if isinstance(given, str | Path):
        return full_name(given)
    return [
        str(each.parameters["model"]) if isinstance(each, HydraCalculator) else full_name(each)
        for each in given
    ]


def _same_precision(loaded: Members) -> bool:
    return len({model.precision for model in loaded.models}) == 1
