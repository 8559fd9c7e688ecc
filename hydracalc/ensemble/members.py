"""Models in memory, one or several, and what identifies them; calculators share them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from hydracalc import registry
from hydracalc.checkpoint import load_checkpoint, read_header
from hydracalc.ensemble.calibration import BranchCalibration, from_json
from hydracalc.ensemble.files import find_ensemble, read_beside, read_ensemble
from hydracalc.ensemble.predictor import EnsemblePredictor
from hydracalc.errors import DataError
from hydracalc.models.hydra import HydraModel
from hydracalc.predictor import InferenceConfig, Predictor


@dataclass(frozen=True, kw_only=True, eq=False)
class Members:
    """One model, or those of an ensemble; never changed.

    Attributes:
        models: in evaluation mode, on one device.
        sha256: identity of the model, or of all together.
        calibrations: by `calibration.key_of` a branch or a mixture.
    """

    models: tuple[HydraModel, ...]
    sha256: str
    calibrations: Mapping[str, BranchCalibration] = field(default_factory=dict)

    @property
    def model(self) -> HydraModel:
        """The only one, or the first, which speaks for the branches of all."""
        return self.models[0]

    @property
    def is_ensemble(self) -> bool:
        """Whether there are several."""
        return len(self.models) > 1

    def predictor(self, config: InferenceConfig) -> Predictor:
        """What runs the model, or all.

        Raises:
            ValueError: as `Predictor` and `EnsemblePredictor`.
        """
        if self.is_ensemble:
            return EnsemblePredictor(self.models, config)
        return Predictor(self.model, config)


def load_members(
    model: str | Path, *, dtype: str, device: torch.device, sha256: str | None = None
) -> Members:
    """The model of a name or a file, or the members of an ensemble's file or folder.

    Args:
        model: what is loaded.
        dtype: as of `registry.load_model`.
        device: of all of them.
        sha256: identity that it must have; None takes any.

    Raises:
        ValueError: there is no such model.
        DataError: a file is damaged, or another one than `sha256` says.
    """
    listed = find_ensemble(model)
    if listed is not None:
        ensemble = read_ensemble(listed)
        paths: Sequence[Path] = ensemble.members
        identity, calibration = together(ensemble.sha256), ensemble.calibration
    else:
        paths = [registry.resolve(model)]
        identity = read_header(paths[0])["sha256"]
        calibration = read_beside(paths[0], identity)
    if sha256 is not None and sha256 != identity:
        raise DataError(
            f"model {str(model)!r} has SHA-256 {identity[:12]}..., asked for was {sha256[:12]}..."
        )
    return Members(
        models=tuple(
            load_checkpoint(path, dtype=dtype, device=device).requires_grad_(False)
            for path in paths
        ),
        sha256=identity,
        calibrations=_calibrations(calibration, paths[0]),
    )


def full_name(model: str | Path) -> str:
    """What means the same model or ensemble for ever, as `registry.full_name`.

    Raises:
        ValueError: there is no such model.
    """
    listed = find_ensemble(model)
    return registry.full_name(model if listed is None else listed)


def together(identities: Sequence[str]) -> str:
    """Identity of several models in their order."""
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()


def _calibrations(
    content: Mapping[str, Mapping[str, object]] | None, path: Path
) -> dict[str, BranchCalibration]:
    try:
        return {branch: from_json(each) for branch, each in (content or {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: its calibration is damaged: {error!r}") from None
