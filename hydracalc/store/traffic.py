"""How many bytes a store was asked for, and how many it moved for that."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class Traffic:
    """Counts of a store since it was opened.

    Attributes:
        structures: handed out.
        fetched_bytes: of the records of these structures.
        copied_bytes: copied, from other ranks or within this one.
        remote_bytes: of those, how many came from other ranks.
    """

    structures: int = 0
    fetched_bytes: int = 0
    copied_bytes: int = 0
    remote_bytes: int = 0
