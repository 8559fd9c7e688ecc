"""How an interatomic distance enters a model: a smooth envelope and a radial basis."""

import math

import torch
from torch import Tensor, nn

# exponent of the envelope: value, slope and curvature vanish at the cutoff
ENVELOPE_EXPONENT = 5


def envelope(lengths: Tensor, cutoff: float | Tensor) -> Tensor:
    """Polynomial from 1 at zero to 0 at the cutoff and beyond, twice continuously differentiable.

    u(d) of arXiv:2003.03123, eq. 8, with p = 5, times d.

    Args:
        lengths: Angstrom, (E,).
        cutoff: Angstrom, one number or (E,).

    Returns:
        values in [0, 1], (E,).
    """
    p = ENVELOPE_EXPONENT
    x = lengths / cutoff
    xp = x**p
    u = 1 - xp * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2)) + x * x * (p * (p + 1) / 2))
    return torch.where(x < 1, u, torch.zeros_like(u))


class BesselBasis(nn.Module):
    """sin(n pi d / c) / d for n = 1..K, times the envelope [arXiv:2003.03123, eq. 7].

    Args:
        num_radial: K.
        cutoff: c, Angstrom.
    """

    counts: Tensor

    def __init__(self, num_radial: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        # whole numbers lose nothing where a model is cast, multiples of pi would
        counts = torch.arange(1, num_radial + 1, dtype=torch.get_default_dtype())
        self.register_buffer("counts", counts, persistent=False)

    @property
    def frequencies(self) -> Tensor:
        """N pi / c, 1/Angstrom, (K,)."""
        return self.counts * (math.pi / self.cutoff)

    def forward(self, lengths: Tensor) -> Tensor:
        """Basis values of every edge, (E,) in Angstrom to (E, K)."""
        waves = torch.sin(lengths[:, None] * self.frequencies)  # (E, K)
        # sqrt(2/c) normalizes on the sphere; here c/d alone keeps values of order one
        amplitude = math.sqrt(2.0) * envelope(lengths, self.cutoff) / lengths  # (E,)
        return waves * amplitude[:, None]  # (E, K)
