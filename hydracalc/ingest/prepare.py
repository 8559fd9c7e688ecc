"""From a published dataset to shards: read, screen, split, write; by one process or many."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from hydracalc.errors import DataError
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.merging import MergePlan, amend, plan_merge
from hydracalc.ingest.piece_records import (
    PieceSummary,
    has_summaries,
    origin_of,
    read_summary,
    remove_records,
)
from hydracalc.ingest.pieces import PieceTask, make_pieces, read_piece
from hydracalc.ingest.screening import ScreenConfig
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.ingest.workspace import clear_notes, refuse_existing, workspace
from hydracalc.parallel.workers import Alone, Workers
from hydracalc.readers.parts import Part
from hydracalc.references import References
from hydracalc.shards.folder import publish
from hydracalc.shards.manifest import Manifest, StoredShard, field_table

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What is read, left out, and how it is split.

    Attributes:
        screen: what is left out.
        split: fractions and seed.
        limit: read only so many structures from the start; None reads all.
        piece_bytes: raw data that one process reads at a time, about; shards follow from it.

    Raises:
        ValueError: the limit or the size is not positive.
    """

    screen: ScreenConfig = field(default_factory=ScreenConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    limit: int | None = None
    piece_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}, expected at least 1")
        if self.piece_bytes < 1:
            raise ValueError(f"piece_bytes is {self.piece_bytes}, expected at least 1")


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What became of a dataset.

    Attributes:
        branch: identifier of the dataset.
        path: folder of shards.
        num_structures: kept, by split.
        dropped: left out, by reason; by the adapter, the screen and the references.
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
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> PrepareReport:
    """Turn the published files of a dataset into a folder of shards.

    Shards are the same for any number of workers. What a killed preparation has finished is kept
    in a hidden folder beside the output, and the same call continues there.

    Args:
        adapter: of the dataset.
        raw: folder, or file, with the published files.
        out: folder to make.
        config: None is the default one.
        workers: who reads; None is this process alone.
        progress: called in the root with how many structures were read so far.

    Raises:
        ValueError: the output exists, there is no raw data, or a hidden folder beside the output
            holds an unfinished preparation of something else.
        OSError: the output cannot be written.
        DataError: the raw data is damaged, or no structure passes.
    """
    config, workers = config or PrepareConfig(), workers or Alone()
    raw, out = Path(raw), Path(out)
    refuse_existing(out)
    with ExitStack() as stack:

        def reserve() -> tuple[Path, list[Part]]:
            parts = adapter.parts(raw)
            plan = _plan(adapter, raw, config)
            return stack.enter_context(workspace(out, plan)), parts

        folder, parts = workers.on_root(reserve)
        reader = adapter if workers.is_here else adapter.folder or adapter
        tasks = _tasks(reader, folder, parts, config)
        counter = _Counter(progress)
        try:
            _read(tasks, config.limit, workers, counter)
        except BaseException:
            if workers.is_root and not has_summaries(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            return _finish(_Work(adapter, raw, out, folder, config), len(tasks), workers)
        except (ValueError, OSError):  # what was read cannot become shards: nothing to continue
            if workers.is_root:
                shutil.rmtree(folder, ignore_errors=True)
            raise


@dataclass(frozen=True)
class _Work:
    """What is made of what."""

    adapter: Adapter
    raw: Path
    out: Path
    folder: Path
    config: PrepareConfig

    @property
    def settings(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self.config)


class _Counter:
    """Adds up what pieces report."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._before = 0

    def within(self, read: int) -> None:
        """So many structures of the piece at hand were read."""
        if self._progress is not None:
            self._progress(self._before + read)

    def done(self, read: int) -> None:
        """A piece of so many structures is finished."""
        self.within(read)
        self._before += read


def _plan(adapter: Adapter, raw: Path, config: PrepareConfig) -> dict[str, Any]:
    """Everything that the result depends on, beside the files of each piece."""
    return {
        "version": version("hydracalc"),
        "card": adapter.card_of(raw).model_dump(mode="json"),
        "settings": asdict(config),
    }


def _tasks(
    adapter: Adapter | Path, folder: Path, parts: list[Part], config: PrepareConfig
) -> list[PieceTask]:
    return [
        PieceTask(
            number=number,
            parts=piece,
            adapter=adapter,
            folder=folder,
            screen=config.screen,
            split=config.split,
        )
        for number, piece in enumerate(make_pieces(parts, config.piece_bytes))
    ]


def _read(tasks: list[PieceTask], limit: int | None, workers: Workers, counter: _Counter) -> None:
    """Read the pieces that are not finished."""
    if limit is not None:  # how much a piece may read depends on those before it
        workers.on_root(lambda: _read_some(tasks, limit, counter))
        return
    finished = workers.on_root(lambda: [_summary_of(task) for task in tasks])
    for summary in finished:
        counter.done(0 if summary is None else summary.num_read)
    left = [task for task, summary in zip(tasks, finished, strict=True) if summary is None]
    function = partial(read_piece, progress=counter.within) if workers.is_here else read_piece
    workers.run(function, left, counter.done)


def _summary_of(task: PieceTask) -> PieceSummary | None:
    return read_summary(task.folder, task.number, origin_of(task.parts))


def _read_some(tasks: list[PieceTask], limit: int, counter: _Counter) -> None:
    for task in tasks:
        summary = _summary_of(task)
        if summary is None:
            count = read_piece(replace(task, limit=limit), counter.within)
        else:
            count = summary.num_read
        counter.done(count)
        limit -= count
        if limit == 0:
            return


def _finish(work: _Work, num_pieces: int, workers: Workers) -> PrepareReport:
    """Make shards of the pieces together."""
    plan = workers.on_root(lambda: _merge(work, num_pieces))
    rewrite = partial(amend, work.folder, work.adapter.card.branch)
    changed = [amendment for amendment in plan.amendments if amendment.is_needed]
    amended = iter(workers.run(rewrite, changed))
    shards = [next(amended) if a.is_needed else a.shard for a in plan.amendments]
    return workers.on_root(
        lambda: _publish(work, plan, tuple(shard for shard in shards if shard is not None))
    )


def _merge(work: _Work, num_pieces: int) -> MergePlan:
    """Decide on everything that was read.

    Raises:
        ValueError: nothing is left to train.
        DataError: nothing is left at all, or published splits divide a group.
    """
    summaries = [read_summary(work.folder, number) for number in range(num_pieces)]
    plan = plan_merge(
        work.folder,
        work.adapter.card.branch,
        [summary for summary in summaries if summary is not None],
        work.config.split,
        duplicates=work.config.screen.duplicates,
    )
    if not any(plan.num_structures.values()):
        raise DataError(f"{work.raw}: no structure is kept; dropped: {plan.dropped}")
    if plan.references is None:
        counts = {name: n for name, n in plan.num_structures.items() if n}
        raise ValueError(f"{work.out}: no structure in the training split, only {counts}")
    return plan


def _publish(work: _Work, plan: MergePlan, shards: tuple[StoredShard, ...]) -> PrepareReport:
    references = cast(References, plan.references)  # checked by _merge
    manifest = Manifest(
        hydracalc_version=version("hydracalc"),
        card=work.adapter.card_of(work.raw),
        fields=field_table(),
        num_structures=plan.num_structures,
        num_atoms=sum(shard.num_atoms for shard in shards),
        dropped=plan.dropped,
        references_eV=references.to_json(),
        references_from="training split",
        settings=work.settings,
        shards=shards,
    )
    remove_records(work.folder)
    clear_notes(work.folder)
    return PrepareReport(
        branch=work.adapter.card.branch,
        path=work.out,
        num_structures=plan.num_structures,
        dropped=plan.dropped,
        references=references,
        sha256=publish(work.folder, work.out, manifest),
    )
