"""The encoders by name: the six between which the campaigns of arXiv:2604.15380 choose.

Installed packages add more by entry points of the group "hydracalc.encoders": a function of an
EncoderChoice that gives a module with the contract of `models/encoder.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from hydracalc import plugins
from hydracalc.errors import unknown
from hydracalc.models.dimenet import DimeNetOptions, DimeNetPlusPlus
from hydracalc.models.egnn import EGNN
from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.mace_options import MACEOptions
from hydracalc.models.painn import PaiNN
from hydracalc.models.pnaeq import PNAEq
from hydracalc.models.schnet import SchNet


@dataclass(frozen=True, kw_only=True)
class EncoderChoice(EncoderConfig):
    """Which encoder, its size, and what only some encoders have.

    Attributes:
        encoder: "dimenet", "egnn", "mace", "painn", "pnaeq", "schnet", or one that an installed
            package adds.
        dimenet: of DimeNet++; says nothing of other encoders.
        mace: of MACE; says nothing of other encoders.
    """

    encoder: str = "painn"
    dimenet: DimeNetOptions = field(default_factory=DimeNetOptions)
    mace: MACEOptions = field(default_factory=MACEOptions)


def build_encoder(choice: EncoderChoice) -> nn.Module:
    """A new encoder with random weights.

    Raises:
        ValueError: no encoder has that name, in hydracalc or in an installed package, or the
            encoder refuses the choice.
        ImportError: it needs an extra that is not installed, or the package that adds it cannot be
            loaded or gives no encoder.
    """
    if choice.encoder in ENCODERS:
        return ENCODERS[choice.encoder](choice)
    added = plugins.names(plugins.ENCODERS)
    if choice.encoder not in added:
        raise ValueError(unknown("encoder", choice.encoder, [*ENCODERS, *added]))
    return _added(choice)


def _added(choice: EncoderChoice) -> nn.Module:
    """An encoder of another package, with what the rest of a model asks of it."""
    make = plugins.load(plugins.ENCODERS, choice.encoder)
    where = plugins.owner(plugins.ENCODERS, choice.encoder)
    try:
        encoder = make(choice)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    except Exception as error:  # code of others may raise anything
        raise ImportError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(encoder, nn.Module):
        raise ImportError(f"{where} gives {type(encoder).__name__}, expected a torch.nn.Module")
    for name, kind in _ASKED.items():
        if not isinstance(getattr(encoder, name, None), kind):
            raise ImportError(
                f"{where}: its {name} is {getattr(encoder, name, None)!r}, expected "
                f"{kind.__name__} (hydracalc.models.encoder says what an encoder has)"
            )
    return encoder


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

# what a model asks of its encoder beyond the features of a graph
_ASKED = {"num_channels": int, "num_vectors": int, "embedding": AtomEmbedding}
