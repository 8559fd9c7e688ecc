"""Calculator and toolkit for graph foundation models of atomistic materials."""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydracalc.calculator import HydraCalculator
    from hydracalc.ensemble_calculator import HydraEnsemble
    from hydracalc.registry import list_models, load_model
    from hydracalc.structure import AtomicStructure

__all__ = ["AtomicStructure", "HydraCalculator", "HydraEnsemble", "list_models", "load_model"]

# loaded on first use, so that `import hydracalc` takes no time
_HOMES = {
    "AtomicStructure": "hydracalc.structure",
    "HydraCalculator": "hydracalc.calculator",
    "HydraEnsemble": "hydracalc.ensemble_calculator",
    "list_models": "hydracalc.registry",
    "load_model": "hydracalc.registry",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "__version__":
        return metadata.version("hydracalc")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hydracalc' has no attribute {name!r}")
