"""What can be chosen of MACE; readable without e3nn, which only building one needs."""

from dataclasses import dataclass

# beyond these the products of one atom are thousands and take long to work out
_MAX_DEGREE = 4
_MAX_CORRELATION = 3


@dataclass(frozen=True, kw_only=True)
class MACEOptions:
    """What MACE has beyond every encoder's size.

    Attributes:
        max_degree: of the spherical harmonics and of what is multiplied, the authors' max_ell.
        hidden_degree: of what an atom keeps between layers; 1 is scalars and vectors.
        correlation: most features multiplied in a product; 3 makes four-body terms.
        radial_widths: hidden layers of the network of the distance.
    """

    max_degree: int = 3
    hidden_degree: int = 1
    correlation: int = 3
    radial_widths: tuple[int, ...] = (64, 64, 64)

    def __post_init__(self) -> None:
        if not 1 <= self.max_degree <= _MAX_DEGREE:
            raise ValueError(f"max_degree is {self.max_degree}, expected 1 to {_MAX_DEGREE}")
        if not 0 <= self.hidden_degree <= self.max_degree:
            raise ValueError(
                f"hidden_degree is {self.hidden_degree}, expected 0 to max_degree, "
                f"{self.max_degree}"
            )
        if not 1 <= self.correlation <= _MAX_CORRELATION:
            raise ValueError(f"correlation is {self.correlation}, expected 1 to {_MAX_CORRELATION}")
        if any(width < 1 for width in self.radial_widths):
            raise ValueError(f"radial_widths are {self.radial_widths}, expected positive numbers")
