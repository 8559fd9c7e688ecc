"""MACE's maps of one atom's features: linear ones, those of its element, products of many.

What depends on the element is done element by element, all its atoms at once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hydracalc.elements import NUM_ELEMENTS
from hydracalc.models.mace_basis import Constants, ProductBasis, degree_sizes, product_basis


class ElementGroups:
    """Atoms of a graph gathered by element.

    Attributes:
        order: the atoms, those of one element after another, (N,).
        back: where each atom is in that order, (N,).
        elements: atomic numbers present, ascending, (Z,).
        counts: atoms of each.

    Args:
        atomic_numbers: of the atoms, (N,).
    """

    def __init__(self, atomic_numbers: Tensor) -> None:
        ordered, self.order = torch.sort(atomic_numbers, stable=True)
        self.back = torch.argsort(self.order)
        self.elements, counts = torch.unique_consecutive(ordered, return_counts=True)
        self.counts: list[int] = counts.tolist()

    def of_elements(self, table: Tensor) -> tuple[Tensor, ...]:
        """Rows of the elements present, (119, ...) to Z times (...)."""
        return table.index_select(0, self.elements).unbind(0)


def normal_linear(num_in: int, num_out: int, gain: float = 1.0) -> nn.Linear:
    """Matrix without bias; outputs have variance gain^2 where inputs have variance one."""
    linear = nn.Linear(num_in, num_out, bias=False)
    nn.init.normal_(linear.weight, std=gain * num_in**-0.5)
    return linear


class DegreeLinear(nn.Module):
    """A matrix for each degree mixes channels; without bias, so turned features stay turned.

    Args:
        widths: channels in of each degree.
        channels: channels out, C.
    """

    def __init__(self, widths: list[int], channels: int) -> None:
        super().__init__()
        self.sizes = degree_sizes(len(widths) - 1)
        self.maps = nn.ModuleList(normal_linear(width, channels) for width in widths)

    def forward(self, features: Tensor) -> Tensor:
        """Mix features, (N, D, width) to (N, D, C)."""
        return self.of_parts(features.split(self.sizes, dim=1))

    def of_parts(self, parts: Sequence[Tensor]) -> Tensor:
        """Mix features whose degrees differ in width, each (N, 2l + 1, width), to (N, D, C)."""
        return torch.cat([mix(part) for mix, part in zip(self.maps, parts, strict=True)], dim=1)


class ElementLinear(nn.Module):
    """A matrix for each element and degree mixes channels.

    Args:
        channels: C.
        max_degree: degrees above are dropped.
    """

    def __init__(self, channels: int, max_degree: int) -> None:
        super().__init__()
        self.sizes = degree_sizes(max_degree)
        self.maps = nn.ParameterList(
            nn.Parameter(torch.randn(NUM_ELEMENTS, channels, channels) * channels**-0.5)
            for _ in self.sizes
        )

    def forward(self, features: Tensor, groups: ElementGroups) -> Tensor:
        """Mix features, (N, d, C) to (N, D, C)."""
        ordered = features.index_select(0, groups.order)[:, : sum(self.sizes)]
        mixed = []
        for part, table in zip(ordered.split(self.sizes, dim=1), self.maps, strict=True):
            assert isinstance(table, Tensor)
            own = zip(part.split(groups.counts), groups.of_elements(table), strict=True)
            mixed.append(torch.cat([atoms @ matrix for atoms, matrix in own]))
        return torch.cat(mixed, dim=1).index_select(0, groups.back)


class Contraction(nn.Module):
    """Products of an atom's features of one degree L, weighed by its element.

    For one element and channel each of the 2L + 1 results is a polynomial of D variables. Its
    coefficients are worked out once per element.

    Args:
        channels: C.
        basis: the polynomials.
    """

    leading: Tensor

    def __init__(self, channels: int, basis: ProductBasis) -> None:
        super().__init__()
        counts = torch.tensor([basis.orders.count(order) for order in basis.orders])
        weights = torch.randn(NUM_ELEMENTS, len(counts), channels) / counts[:, None]
        self.weights = nn.Parameter(weights)  # (119, P, C)
        self.table = Constants(torch.from_numpy(basis.coefficients).flatten(1))
        self.register_buffer("leading", torch.from_numpy(basis.leading), persistent=False)

    def forward(self, factors: Tensor, groups: ElementGroups) -> Tensor:
        """Results, (C, 2L + 1, N), from the variables and a one, (C, D + 1, N)."""
        products = factors.index_select(1, self.leading[0])
        for others in self.leading[1:]:
            products = products * factors.index_select(1, others)  # (C, K, N)
        parts = [
            _polynomials(weights.T @ self.table.values, *of_atoms)
            for weights, *of_atoms in zip(
                groups.of_elements(self.weights),
                products.split(groups.counts, dim=2),
                factors[:, :-1].split(groups.counts, dim=2),
                strict=True,
            )
        ]
        return torch.cat(parts, dim=2)


def _polynomials(coefficients: Tensor, products: Tensor, factors: Tensor) -> Tensor:
    """Results of the n atoms of one element, (C, 2L + 1, n).

    Args:
        coefficients: of every monomial in each result, (C, (2L + 1) D K).
        products: all factors but the last, (C, K, n).
        factors: the last ones, (C, D, n).
    """
    channels, num_factors, count = factors.shape
    matrices = coefficients.view(channels, -1, products.shape[1])  # (C, (2L + 1) D, K)
    last = torch.bmm(matrices, products).view(channels, -1, num_factors, count)
    return (last * factors[:, None]).sum(dim=2)


class SymmetricContraction(nn.Module):
    """Products of an atom's features of each degree up to one [arXiv:2206.07697, eq. 10 and 11].

    Args:
        channels: C.
        max_degree: of the features multiplied, D components.
        correlation: most factors of a product.
        result_degree: highest of the results, D' components.
    """

    def __init__(
        self, channels: int, *, max_degree: int, correlation: int, result_degree: int
    ) -> None:
        super().__init__()
        self.contractions = nn.ModuleList(
            Contraction(channels, product_basis(max_degree, correlation, degree))
            for degree in range(result_degree + 1)
        )

    def forward(self, features: Tensor, groups: ElementGroups) -> Tensor:
        """Polynomials of features, (N, D, C) to (N, D', C).

        Never below the weights' type, also under autocast: couplings of three digits would make
        energies change when a structure turns.
        """
        with torch.autocast(features.device.type, enabled=False):
            dtype = next(self.parameters()).dtype
            ordered = features.to(dtype).index_select(0, groups.order).permute(2, 1, 0)
            factors = torch.cat([ordered, torch.ones_like(ordered[:, :1])], dim=1)  # (C, D + 1, N)
            results = [contraction(factors, groups) for contraction in self.contractions]
            return torch.cat(results, dim=1).permute(2, 1, 0).index_select(0, groups.back)
