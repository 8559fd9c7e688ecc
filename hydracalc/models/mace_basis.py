"""What rotations allow in MACE: spherical harmonics, their couplings, symmetric polynomials.

A feature of degree l has 2l + 1 components in the order of e3nn, which is x, y, z for l = 1. Only
natural parity occurs, (-1)^l under inversion, as in the models of arXiv:2206.07697.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

try:
    from e3nn import o3
except ImportError as error:
    raise ImportError("the MACE encoder needs e3nn: pip install 'hydracalc[mace]'") from error

# what is smaller than this is zero but for rounding: an entry, or what a coupling adds to a span
_NEGLIGIBLE = 1e-6


class Constants(nn.Module):
    """Numbers kept in float64 and given in the type and on the device of the model.

    Casting a model up to float64 after down to float32 must not leave couplings of seven digits:
    energies would change when a structure turns.

    Args:
        exact: the numbers, float64, any shape.
    """

    values: Tensor

    def __init__(self, exact: Tensor) -> None:
        super().__init__()
        self.exact = exact
        self.register_buffer("values", exact.to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        like = fn(self.values)
        self.values = self.exact.to(device=like.device, dtype=like.dtype)
        return self


def degree_sizes(max_degree: int) -> list[int]:
    """Number of components of each degree 0..max_degree."""
    return [2 * degree + 1 for degree in range(max_degree + 1)]


class SphericalHarmonics(nn.Module):
    """Real spherical harmonics of degrees 0..max_degree; the squares of a degree sum to 2l + 1."""

    def __init__(self, max_degree: int) -> None:
        super().__init__()
        degrees = list(range(max_degree + 1))
        self.harmonics = o3.SphericalHarmonics(degrees, normalize=False, normalization="component")

    def forward(self, directions: Tensor) -> Tensor:
        """Values at unit vectors, (E, 3) to (E, D)."""
        return self.harmonics(directions)


def coupling(first: int, second: int, result: int) -> np.ndarray:
    """Bilinear map of two degrees to a third, (2 l1 + 1, 2 l2 + 1, 2 l3 + 1).

    Each component of the result has variance one where the inputs' components have. Rotations leave
    the sign open and e3nn's has changed between versions, which weights on disk must not feel: here
    the first entry that is not zero is positive.
    """
    symbol = o3.wigner_3j(first, second, result, dtype=torch.float64, device=torch.device("cpu"))
    return symbol.numpy() * (leading_sign(symbol.numpy()) * math.sqrt(2 * result + 1))


def leading_sign(tensor: np.ndarray) -> float:
    """Sign of the first entry that is not zero."""
    return float(np.sign(tensor[np.abs(tensor) > _NEGLIGIBLE][0]))


@dataclass(frozen=True, kw_only=True)
class Path:
    """A sender's feature of one degree with a harmonic of another makes a message of a third."""

    sender: int
    harmonic: int
    message: int


def message_paths(sender_degree: int, max_degree: int) -> list[Path]:
    """Every path of natural parity, ordered by the degrees of message, sender and harmonic."""
    return [
        Path(sender=sender, harmonic=harmonic, message=message)
        for message in range(max_degree + 1)
        for sender in range(sender_degree + 1)
        for harmonic in range(max_degree + 1)
        if abs(sender - harmonic) <= message <= sender + harmonic
        and (sender + harmonic + message) % 2 == 0
    ]


# the sorted indices of the factors of a monomial, and coefficients, (2L + 1,), of each monomial
Monomial = tuple[int, ...]
Polynomial = dict[Monomial, np.ndarray]


@dataclass(frozen=True, eq=False)
class ProductBasis:
    """Independent equivariant polynomials of the D components of degrees 0..max_degree.

    Every monomial is split into a last factor and one of K products of the others, as few as a
    greedy search finds: a matrix turns these into the coefficients of the last factor.

    Attributes:
        polynomials: P of them.
        orders: number of factors of each polynomial, (P,).
        leading: indices of the factors of the K products; D stands for the factor one. At least
            one, at most correlation - 1 of them, (factors, K).
        coefficients: of the polynomials, float64, (P, 2L + 1, D, K).
    """

    polynomials: list[Polynomial]
    orders: list[int]
    leading: np.ndarray
    coefficients: np.ndarray


@cache
def product_basis(max_degree: int, correlation: int, result: int) -> ProductBasis:
    """Polynomials of orders 1..correlation with the symmetry of degree `result`.

    The B basis of arXiv:2206.07697, eq. 10: iterated couplings (eq. 11). Those that a product of
    equal features cannot tell apart count once.

    Args:
        max_degree: of the features multiplied.
        correlation: most factors of a product.
        result: degree L of the product.
    """
    polynomials: list[Polynomial] = []
    for order in range(1, correlation + 1):
        for degrees in combinations_with_replacement(range(max_degree + 1), order):
            if (sum(degrees) + result) % 2 == 0:
                given = [polynomial(degrees, tensor) for tensor in coupled(degrees, result)]
                polynomials += _independent(given, 2 * result + 1)
    num_factors = (max_degree + 1) ** 2
    splits = _split({monomial for terms in polynomials for monomial in terms})
    products = sorted({leading for leading, _ in splits.values()})
    coefficients = np.zeros((len(polynomials), 2 * result + 1, num_factors, len(products)))
    for index, terms in enumerate(polynomials):
        for monomial, values in terms.items():
            leading, last = splits[monomial]
            coefficients[index, :, last, products.index(leading)] = values
    width = max(correlation - 1, 1)
    padded = [leading + (num_factors,) * (width - len(leading)) for leading in products]
    return ProductBasis(
        polynomials=polynomials,
        orders=[len(next(iter(terms))) for terms in polynomials],
        leading=np.array(padded).T,
        coefficients=coefficients,
    )


def _split(monomials: set[Monomial]) -> dict[Monomial, tuple[Monomial, int]]:
    """Leading factors and last factor of each monomial; the most useful leading factors first."""
    choices = {
        monomial: {monomial[:i] + monomial[i + 1 :]: last for i, last in enumerate(monomial)}
        for monomial in sorted(monomials)
    }
    uses = Counter(leading for splits in choices.values() for leading in splits)
    found: dict[Monomial, tuple[Monomial, int]] = {}
    while choices:
        best = max(uses, key=lambda leading: (uses[leading], leading))
        for monomial in [monomial for monomial, splits in choices.items() if best in splits]:
            splits = choices.pop(monomial)
            found[monomial] = best, splits[best]
            uses.subtract(splits.keys())
    return found


def coupled(degrees: tuple[int, ...], result: int) -> Iterator[np.ndarray]:
    """Every iterated coupling of features to one of degree `result`, (2L + 1, 2 l1 + 1, ...)."""
    stages = [(degrees[0], np.eye(2 * degrees[0] + 1))]
    for degree in degrees[1:]:
        stages = [
            (total, np.einsum("ibt,i...->t...b", coupling(left, degree, total), tensor))
            for left, tensor in stages
            for total in range(abs(left - degree), left + degree + 1)
        ]
    return (tensor for total, tensor in stages if total == result)


def polynomial(degrees: tuple[int, ...], tensor: np.ndarray) -> Polynomial:
    """A coupling of these degrees as a polynomial: what is antisymmetric in equal ones drops out.

    Args:
        degrees: of the features coupled.
        tensor: (2L + 1, 2 l1 + 1, ...).
    """
    starts = np.array([degree**2 for degree in degrees])
    terms: Polynomial = {}
    for place in np.argwhere(np.abs(tensor).max(axis=0) > _NEGLIGIBLE):
        monomial = tuple(sorted((starts + place).tolist()))
        terms[monomial] = terms.get(monomial, 0) + tensor[(slice(None), *place)]
    return terms


def _independent(given: list[Polynomial], size: int) -> list[Polynomial]:
    """Gram-Schmidt in the order given, in the norm of symmetric tensors; squared norms are `size`.

    Args:
        given: polynomials of one degree L.
        size: components of each, 2L + 1.
    """
    monomials = sorted({monomial for terms in given for monomial in terms})
    # a coefficient is the sum of as many equal tensor entries as the monomial has arrangements
    scales = np.array([math.sqrt(_arrangements(monomial)) for monomial in monomials])
    found: list[np.ndarray] = []
    for terms in given:
        vector = np.array([terms.get(each, np.zeros(size)) for each in monomials]).T / scales
        length = float(np.linalg.norm(vector))
        for _ in range(2):  # once more, for rounding
            for other in found:
                vector = vector - np.sum(vector * other) / size * other
        rest = float(np.linalg.norm(vector))
        if rest > _NEGLIGIBLE * max(length, 1.0):
            found.append(vector * math.sqrt(size) / rest)
    return [dict(zip(monomials, (vector * scales).T, strict=True)) for vector in found]


def _arrangements(monomial: tuple[int, ...]) -> int:
    """In how many orders the factors of a monomial can be written."""
    count = math.factorial(len(monomial))
    for variable in set(monomial):
        count //= math.factorial(monomial.count(variable))
    return count
