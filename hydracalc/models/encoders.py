"""The encoders by name: the six between which the campaigns of arXiv:2604.15380 choose."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from hydracalc.errors import unknown
from hydracalc.models.dimenet import DimeNetOptions, DimeNetPlusPlus
from hydracalc.models.egnn import EGNN
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.mace_options import MACEOptions
from hydracalc.models.painn import PaiNN
from hydracalc.models.pnaeq import PNAEq
from hydracalc.models.schnet import SchNet


@dataclass(frozen=True, kw_only=True)
class EncoderChoice(EncoderConfig):
    """Which encoder, its size, and what only some encoders have.

    Attributes:
        encoder: "dimenet", "egnn", "mace", "painn", "pnaeq" or "schnet".
        dimenet: of DimeNet++; says nothing of other encoders.
        mace: of MACE; says nothing of other encoders.
    """

    encoder: str = "painn"
    dimenet: DimeNetOptions = field(default_factory=DimeNetOptions)
    mace: MACEOptions = field(default_factory=MACEOptions)


def build_encoder(choice: EncoderChoice) -> nn.Module:
    """A new encoder with random weights.

    Raises:
        ValueError: no encoder has that name.
        ImportError: it needs an extra that is not installed.
    """
    if choice.encoder not in ENCODERS:
        raise ValueError(unknown("encoder", choice.encoder, ENCODERS))
    return ENCODERS[choice.encoder](choice)


def _dimenet(choice: EncoderChoice) -> nn.Module:
    return DimeNetPlusPlus(choice, choice.dimenet)


def _mace(choice: EncoderChoice) -> nn.Module:
    # e3nn, an extra, is loaded here so that the other encoders do not need it
    from hydracalc.models.mace import MACE

    return MACE(choice, choice.mace)


ENCODERS: dict[str, Callable[[EncoderChoice], nn.Module]] = {
    "dimenet": _dimenet,
    "egnn": EGNN,
    "mace": _mace,
    "painn": PaiNN,
    "pnaeq": PNAEq,
    "schnet": SchNet,
}

# fields of EncoderChoice that hold the options of the encoder of their name
OPTIONS = {"dimenet": DimeNetOptions, "mace": MACEOptions}
