"""A screening from its input to a folder of results that is either whole or absent.

What is finished lies in a hidden folder beside the output; the same call continues there after a
kill at any moment, and every structure is in the results once.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Any

from hydracalc import registry
from hydracalc.checkpoint import read_header
from hydracalc.errors import DataError
from hydracalc.ingest.piece_records import origin_of
from hydracalc.ingest.workspace import clear_notes, refuse_existing, workspace
from hydracalc.inputs import StructureLike
from hydracalc.parallel.workers import Alone, Workers
from hydracalc.screening.block import digest_of
from hydracalc.screening.columns import PREDICTED, REASONS, stored_columns
from hydracalc.screening.guards import remove_locks, wait_for_writers, writing
from hydracalc.screening.piece_work import (
    BlockWriter,
    ModelChoice,
    PieceTask,
    ScreenConfig,
    screen_piece,
)
from hydracalc.screening.sources import Found, Piece, find_pieces, name_structures
from hydracalc.screening.storage import (
    FILE_NAME,
    ResultsManifest,
    StoredBlock,
    added,
    count_finished,
    finished_blocks,
    read_results,
    remove_records,
    write_results,
)
from hydracalc.shards.manifest import read_manifest

Progress = Callable[[int], None]

_LOOK_EVERY = 1.0  # seconds between counts of what is finished


@dataclass(frozen=True, kw_only=True)
class ScreenReport:
    """What became of a screening.

    Attributes:
        path: folder of results.
        counts: structures by what became of them, "predicted" or a reason.
        num_doubtful: predicted ones with a reason to doubt.
        computed: structures of this call; the others were finished before.
        seconds: of this call, from its start: reading, neighbor lists, starting ranks, writing.
        sha256: identity of the results.
    """

    path: Path
    counts: dict[str, int]
    num_doubtful: int
    computed: int
    seconds: float
    sha256: str

    @property
    def num_structures(self) -> int:
        """Structures in the results, predicted or not."""
        return sum(self.counts.values())

    @property
    def left_out(self) -> dict[str, int]:
        """Structures without numbers, by reason."""
        return {reason: n for reason, n in self.counts.items() if reason != REASONS[PREDICTED]}

    @property
    def structures_per_second(self) -> float:
        """Of this call, with everything that it did."""
        return self.computed / self.seconds


def screen_files(
    paths: Sequence[Path | str],
    out: Path | str,
    choice: ModelChoice,
    *,
    config: ScreenConfig | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> ScreenReport:
    """Screen files, folders of shards or folders of files. Collective over the workers.

    Results are the same for any number of workers. If the output is there already, made by the
    same call, nothing is done.

    Args:
        paths: of the structures.
        out: folder to make.
        choice: of the model.
        config: None is the default one.
        workers: who computes; None is this process alone.
        progress: called in the root now and then with how many structures are finished, about.

    Raises:
        ValueError: the output exists, there is no such input, model or column, or a hidden folder
            beside the output holds an unfinished screening of something else.
        OSError: the output cannot be written.
        DataError: shards are damaged, or a rank was killed.
    """
    began, out = time.perf_counter(), Path(out)
    config, workers = config or ScreenConfig(), workers or Alone()
    given = [Path(path) for path in paths]
    with ExitStack() as stack:

        def reserve() -> tuple[Path, list[Piece], dict[str, Any]] | ResultsManifest:
            pieces = find_pieces(given)
            plan = _plan(choice, config, [str(path) for path in given], _origin(pieces))
            finished = _finished_before(out, plan)
            if finished is not None:
                return finished
            folder = stack.enter_context(workspace(out, plan))
            wait_for_writers(folder)
            return folder, pieces, plan

        reserved = workers.on_root(reserve)
        if isinstance(reserved, ResultsManifest):
            return _report(out, reserved, 0, began)
        folder, pieces, plan = reserved
        tasks = [
            PieceTask(piece=piece, folder=folder, choice=choice, config=config) for piece in pieces
        ]
        with _watched(folder, config.block, progress):
            computed = sum(workers.run(screen_piece, tasks))
        manifest = workers.on_root(lambda: _publish(folder, out, plan, len(pieces)))
        return _report(out, manifest, computed, began)


def screen_structures(
    structures: Iterable[StructureLike],
    out: Path | str,
    choice: ModelChoice,
    *,
    config: ScreenConfig | None = None,
    progress: Progress | None = None,
) -> ScreenReport:
    """Screen structures as they are generated, in this process.

    To continue a screening that was killed, give the same structures again from the first on;
    those that are finished are only compared.

    Args:
        structures: ASE Atoms, pymatgen objects or AtomicStructures; any number of them.
        out: folder to make.
        choice: of the model.
        config: None is the default one.
        progress: called now and then with how many structures are finished, about.

    Raises:
        ValueError: the output exists, or there is no such model or column.
        TypeError: something else than a structure was given.
        DataError: an unfinished screening beside the output was of other structures.
        OSError: the output cannot be written.
    """
    began, out, config = time.perf_counter(), Path(out), config or ScreenConfig()
    plan = _plan(choice, config, [], "generated")
    with workspace(out, plan) as folder:
        wait_for_writers(folder)
        piece = Piece(number=0, parts=(), is_shards=False)
        task = PieceTask(piece=piece, folder=folder, choice=choice, config=config)
        done, found = finished_blocks(folder, 0), name_structures(structures)
        with _watched(folder, config.block, progress), writing(folder):
            _pass_over(found, done, out)
            is_done = bool(done) and done[-1].is_last
            computed = 0 if is_done else BlockWriter(task, first=len(done)).write(found)
        return _report(out, _publish(folder, out, plan, 1), computed, began)


def _pass_over(found: Iterator[Found], done: Sequence[StoredBlock], out: Path) -> None:
    """Compare structures with those that are finished."""
    for block in done:
        if digest_of(list(islice(found, block.num_structures))) != block.digest:
            raise DataError(
                f"{out}: the structures are not those that the unfinished screening began with"
            )


def _plan(
    choice: ModelChoice, config: ScreenConfig, paths: list[str], origin: str
) -> dict[str, Any]:
    """All that results depend on; checks what can be checked without loading the model.

    Raises:
        ValueError: there is no such model or column.
    """
    header = read_header(registry.resolve(choice.model))
    names = [branch["name"] for branch in header["branches"]]
    config.selection.conditions(names, relaxed=config.relax is not None)
    settings = asdict(config)
    del settings["workers"]
    plan = {
        "hydracalc_version": version("hydracalc"),
        "model": registry.full_name(choice.model),
        "model_sha256": header["sha256"],
        "branches": names,
        "branch": choice.branch if isinstance(choice.branch, str | None) else dict(choice.branch),
        "dtype": choice.dtype,
        "settings": settings,
        "input": paths,
        "origin": origin,
    }
    plain: dict[str, Any] = json.loads(json.dumps(plan))  # as it is read back
    return plain


def _origin(pieces: Sequence[Piece]) -> str:
    """Hash of the input: files with size and time, shards by their own hash."""
    folders = {piece.parts[0].path for piece in pieces if piece.is_shards}
    shards = sorted(read_manifest(folder).sha256 for folder in folders)
    return origin_of([part for piece in pieces for part in piece.parts]) + "".join(shards)


def _finished_before(out: Path, plan: dict[str, Any]) -> ResultsManifest | None:
    """Results of the same call; None where there is no output yet.

    Raises:
        ValueError: there is another output.
    """
    if not (out / FILE_NAME).is_file():
        refuse_existing(out)
        return None
    manifest = read_results(out)
    if manifest.plan != plan:
        refuse_existing(out)
    _clean(out)  # killed right after the folder got its name
    return manifest


def _publish(folder: Path, out: Path, plan: dict[str, Any], num_pieces: int) -> ResultsManifest:
    """Describe all blocks and give the folder its name.

    Raises:
        DataError: a piece is not finished.
    """
    numbers = range(num_pieces)
    blocks = [block for number in numbers for block in finished_blocks(folder, number)]
    ended = [block.piece for block in blocks if block.is_last]
    if ended != list(numbers):
        raise DataError(f"{folder}: pieces {sorted(set(numbers) - set(ended))} are not finished")
    columns = stored_columns(relaxed=plan["settings"]["relax"] is not None)
    manifest = ResultsManifest(
        plan=plan,
        branches=tuple(plan["branches"]),
        units={name: column.unit for name, column in columns.items()},
        counts=added([block.counts for block in blocks]),
        num_doubtful=sum(block.num_doubtful for block in blocks),
        blocks=tuple(blocks),
    )
    write_results(folder, manifest)
    folder.chmod(0o755)
    folder.rename(out)
    _clean(out)
    return manifest


def _clean(out: Path) -> None:
    remove_records(out)
    remove_locks(out)
    clear_notes(out)


@contextmanager
def _watched(folder: Path, block: int, progress: Progress | None) -> Iterator[None]:
    """Tell now and then how many structures are finished, whoever does it."""
    if progress is None:
        yield
        return
    ended = Event()

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY):
            progress(count_finished(folder) * block)

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _report(out: Path, manifest: ResultsManifest, computed: int, began: float) -> ScreenReport:
    return ScreenReport(
        path=out,
        counts=manifest.counts,
        num_doubtful=manifest.num_doubtful,
        computed=computed,
        seconds=time.perf_counter() - began,
        sha256=manifest.sha256,
    )
