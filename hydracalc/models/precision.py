"""Precisions that a user can choose between: one table of what is kept in which type.

Energies and their references are summed in float64 whatever the choice. The heads compute in the
type of the features: they are a small part of a step, and energies lose digits in them first.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from hydracalc.errors import unknown


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Types of the numbers in a model.

    Attributes:
        features: of weights, geometry, features of atoms and sums; at least float32.
        products: of the matrix products in the encoder.
    """

    features: torch.dtype
    products: torch.dtype


PRECISIONS = {
    "bfloat16": Precision(features=torch.float32, products=torch.bfloat16),
    "float32": Precision(features=torch.float32, products=torch.float32),
    "float64": Precision(features=torch.float64, products=torch.float64),
}


def find(name: str) -> Precision:
    """The precision of a name.

    Raises:
        ValueError: there is none; the nearest is offered.
    """
    if name not in PRECISIONS:
        raise ValueError(unknown("precision", str(name), PRECISIONS))
    return PRECISIONS[name]


def of_weights(dtype: torch.dtype) -> str:
    """Name of the precision whose features and products both have the type of some weights.

    Raises:
        ValueError: there is none: weights are kept in float32 or float64.
    """
    plain = Precision(features=dtype, products=dtype)
    for name, precision in PRECISIONS.items():
        if precision == plain:
            return name
    raise ValueError(
        f"weights are {dtype}, expected float32 or float64; "
        "model.precision = 'bfloat16' makes matrix products in bfloat16"
    )


def matrix_products(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Within it, matrix products are made in the type that the precision has for them."""
    if precision.products == precision.features:
        return nullcontext()
    return torch.autocast(device.type, dtype=precision.products)
