"""From a published dataset to shards: read, screen, split, write."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from hydracalc.errors import DataError
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.screening import Screen, ScreenConfig
from hydracalc.ingest.splitting import SplitConfig, Splitter
from hydracalc.references import References
from hydracalc.shards.writer import ShardWriter

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What is read, left out, and how it is split.

    Attributes:
        screen: what is left out.
        split: fractions and seed.
        limit: read only so many structures from the start; None reads all.

    Raises:
        ValueError: the limit is not positive.
    """

    screen: ScreenConfig = field(default_factory=ScreenConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}, expected at least 1")


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What became of a dataset.

    Attributes:
        branch: identifier of the dataset.
        path: folder of shards.
        num_structures: kept, by split.
        dropped: left out, by reason; by the adapter, the screen and the writer.
        references: energy of each element, fitted on the training split alone, eV.
        sha256: identity of the shards: equal input, settings and versions give equal ones.
    """

    branch: str
    path: Path
    num_structures: dict[str, int]
    dropped: dict[str, int]
    references: References
    sha256: str

    @property
    def num_kept(self) -> int:
        """Structures in all splits."""
        return sum(self.num_structures.values())

    @property
    def num_dropped(self) -> int:
        """Structures left out for any reason."""
        return sum(self.dropped.values())


def prepare(
    adapter: Adapter,
    raw: Path | str,
    out: Path | str,
    *,
    config: PrepareConfig | None = None,
    progress: Progress | None = None,
) -> PrepareReport:
    """Turn the published files of a dataset into a folder of shards.

    Args:
        adapter: of the dataset; one that has not read yet.
        raw: folder, or file, with the published files.
        out: folder to make.
        config: None is the default one.
        progress: called after every structure with how many were read.

    Raises:
        ValueError: the output exists, or there is no raw data.
        OSError: the output cannot be written.
        DataError: the raw data is damaged, or no structure passes.
    """
    config = config or PrepareConfig()
    screen, splitter = Screen(config.screen), Splitter(config.split)
    dropped: Counter[str] = Counter()
    with ShardWriter(out, card=adapter.card_of(Path(raw)), settings=asdict(config)) as writer:
        for count, structure in enumerate(islice(adapter.read(Path(raw)), config.limit), start=1):
            reason = screen.reason_to_drop(structure)
            if reason is None:
                writer.add(structure, split=splitter.split_of(structure))
            else:
                dropped[reason] += 1
            if progress is not None:
                progress(count)
        writer.dropped.update(dropped + adapter.dropped)
        if not writer.num_structures.total():
            raise DataError(f"{raw}: no structure is kept; dropped: {dict(writer.dropped)}")
    if writer.references is None or writer.sha256 is None:
        raise RuntimeError(f"{out}: the writer ended without publishing")
    return PrepareReport(
        branch=adapter.card.branch,
        path=Path(out),
        num_structures=dict(writer.num_structures),
        dropped={reason: n for reason, n in sorted(writer.dropped.items()) if n},
        references=writer.references,
        sha256=writer.sha256,
    )
