"""Low-rank changes of linear maps: few weights that are trained while the rest stay [LoRA].

E. J. Hu et al., arXiv:2106.09685: a map W becomes W + (alpha / rank) up down, with up zero at
first, so the model begins as it was.
"""

from collections.abc import Sequence
from fnmatch import fnmatch

import torch
from torch import Tensor, nn


class LowRankLinear(nn.Module):
    """A linear map whose matrix is a fixed one plus a product of two thin ones.

    Args:
        linear: the map as it is.
        rank: columns of the first and rows of the second, at most; never more than the matrix has.
        alpha: weight of the product, divided by the rank.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        fixed = linear.weight
        num_out, num_in = fixed.shape
        rank = min(rank, num_out, num_in)
        self.scale = alpha / rank
        self.fixed, self.bias = fixed, linear.bias
        self.down = nn.Parameter(torch.randn(rank, num_in).to(fixed) / num_in**0.5)
        self.up = nn.Parameter(torch.zeros(num_out, rank).to(fixed))

    @property
    def weight(self) -> Tensor:
        """The changed matrix, (out, in)."""
        return torch.addmm(self.fixed, self.up, self.down, alpha=self.scale)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the changed map, (..., in) to (..., out)."""
        return nn.functional.linear(inputs, self.weight, self.bias)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The changed map as a plain one."""
        num_out, num_in = self.fixed.shape
        linear = nn.Linear(num_in, num_out, bias=self.bias is not None, device="meta")
        linear.weight = nn.Parameter(self.weight)
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias.clone())
        return linear


def add_low_rank(
    module: nn.Module, *, rank: int, alpha: float, targets: Sequence[str] = ("*",)
) -> int:
    """Let linear maps of a module change by matrices of low rank; everything else is frozen.

    Args:
        module: changed in place.
        rank: of the changes.
        alpha: their weight.
        targets: patterns with * and ? of names of linear maps within the module.

    Returns:
        Number of weights that are trained.

    Raises:
        ValueError: no map has such a name, or the rank is not positive.
    """
    if rank < 1 or not alpha > 0:
        raise ValueError(f"rank is {rank} and alpha {alpha}, both must be positive")
    named = {name: each for name, each in module.named_modules() if type(each) is nn.Linear}
    chosen = [name for name in named if any(fnmatch(name, target) for target in targets)]
    if not chosen:
        raise ValueError(f"targets {list(targets)} match no linear map; there are {list(named)}")
    module.requires_grad_(False)
    for name in chosen:
        module.set_submodule(name, LowRankLinear(named[name], rank, alpha))
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def merge_low_rank(module: nn.Module) -> None:
    """Make the changes part of the maps, which are plain ones again."""
    for name, each in list(module.named_modules()):
        if isinstance(each, LowRankLinear):
            module.set_submodule(name, each.merged())
