"""Random weights that a model begins with."""

from torch import nn


def glorot(module: nn.Module) -> None:
    """Glorot's normal weights and no biases in a linear layer; for `nn.Module.apply`.

    torch's own have a third of that variance: where many layers follow each other or multiply each
    other, what an atom hears of its surroundings begins orders of magnitude below its embedding.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
