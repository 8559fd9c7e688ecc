"""Which structures go into which batch, so that no batch exceeds a budget of atoms and edges."""

import numpy as np


def budget_batches(
    num_atoms: np.ndarray,
    num_edges: np.ndarray | None = None,
    *,
    max_atoms: int | None = None,
    max_edges: int | None = None,
    order: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Cut a sequence of structures into batches, each as long as the budget allows.

    Args:
        num_atoms: atoms of every structure, (S,).
        num_edges: edges of every structure, (S,); needed with `max_edges`.
        max_atoms: atoms in a batch; None is no limit.
        max_edges: edges in a batch; None is no limit.
        order: indices of structures in the order to take them, from 0 upwards if None.

    Returns:
        Indices of the structures of every batch. One structure above the budget is a batch alone.

    Raises:
        ValueError: a limit is below 1, or `max_edges` is given without `num_edges`.
    """
    taken = np.arange(len(num_atoms)) if order is None else np.asarray(order)
    if max_edges is not None and num_edges is None:
        raise ValueError("max_edges needs num_edges, the edges of every structure")
    totals = [
        _running_total(name, sizes, limit, taken)
        for name, sizes, limit in (
            ("max_atoms", num_atoms, max_atoms),
            ("max_edges", num_edges, max_edges),
        )
        if limit is not None and sizes is not None
    ]
    batches = []
    start = 0
    while start < len(taken):
        ends = [
            int(np.searchsorted(total, total[start] + limit, side="right")) - 1
            for total, limit in totals
        ]
        end = max(min(ends, default=len(taken)), start + 1)
        batches.append(taken[start:end])
        start = end
    return batches


def _running_total(
    name: str, sizes: np.ndarray, limit: int, taken: np.ndarray
) -> tuple[np.ndarray, int]:
    if limit < 1:
        raise ValueError(f"{name} is {limit}, expected at least 1")
    return np.concatenate(([0], np.cumsum(np.asarray(sizes)[taken], dtype=np.int64))), limit
