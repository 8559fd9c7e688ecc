"""How loops are compiled: once, kept on disk, without Python's lock."""

from collections.abc import Callable
from typing import Any

import numba

# sums may be taken in any order, which lets them be vectorized; NaN and infinity keep their meaning
_FREEDOMS = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled at its first call; the result is kept on disk where there is a place.

    Args:
        function: loops over NumPy arrays.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": _FREEDOMS, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return numba.njit(**options)(function)
