"""The encoders by name."""

from torch import nn

from hydracalc.errors import unknown
from hydracalc.models.egnn import EGNN
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.painn import PaiNN

ENCODERS: dict[str, type[nn.Module]] = {"egnn": EGNN, "painn": PaiNN}


def build_encoder(name: str, config: EncoderConfig) -> nn.Module:
    """A new encoder with random weights.

    Raises:
        ValueError: no encoder has that name.
    """
    if name not in ENCODERS:
        raise ValueError(unknown("encoder", name, ENCODERS))
    return ENCODERS[name](config)
