"""What one process does with a piece of the input: read, evaluate, write blocks."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from hydracalc.mixture import BranchChoice
from hydracalc.predictor import InferenceConfig, Predictor
from hydracalc.registry import load_model
from hydracalc.screening.block import Block, digest_of
from hydracalc.screening.evaluation import Evaluation
from hydracalc.screening.guards import own_device, writing
from hydracalc.screening.relaxing import Relaxation
from hydracalc.screening.selection import Selection
from hydracalc.screening.sources import Found, Piece, read_piece
from hydracalc.screening.storage import StoredBlock, finished_blocks, write_block
from hydracalc.simulation import RelaxConfig

# a block of large structures ends sooner, so that memory is bounded
_MOST_ATOMS = 500_000


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """The model of a screening and where it runs.

    Attributes:
        model: name or path.
        branch: None is the model's default.
        device: "auto" is one GPU for each rank where there are GPUs.
        dtype: "auto" is as stored.
        threads: that each rank computes with; None leaves them as they are.
    """

    model: str | Path = "mtl-all"
    branch: BranchChoice = None
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class ScreenConfig:
    """How structures are screened.

    Attributes:
        selection: which are kept with their atoms.
        relax: how they are relaxed first; None takes them as they are.
        block: structures written at once; a killed screening loses at most so many a rank.
        max_atoms: atoms in a batch.
        workers: threads of each rank that make neighbor lists while the model computes.
    """

    selection: Selection = field(default_factory=Selection)
    relax: RelaxConfig | None = None
    block: int = 1000
    max_atoms: int = InferenceConfig.max_atoms
    workers: int = 0

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block is {self.block}, expected at least 1")
        if self.max_atoms < 1:
            raise ValueError(f"max_atoms is {self.max_atoms}, expected at least 1")
        if self.workers < 0:
            raise ValueError(f"workers is {self.workers}, expected 0 or more")


@dataclass(frozen=True, kw_only=True)
class PieceTask:
    """All that a process needs to know.

    Attributes:
        piece: what it reads.
        folder: where blocks are written.
        choice: of the model.
        config: what is done.
    """

    piece: Piece
    folder: Path
    choice: ModelChoice
    config: ScreenConfig


def screen_piece(task: PieceTask) -> int:
    """Evaluate what is left of a piece; returns how many structures that was.

    Raises:
        ValueError: the model or a condition does not fit.
        DataError: shards are damaged.
        OSError: the folder cannot be written.
    """
    if task.choice.threads is not None:
        torch.set_num_threads(task.choice.threads)
    with writing(task.folder):
        done = finished_blocks(task.folder, task.piece.number)
        if done and done[-1].is_last:
            return 0
        skip = sum(block.num_structures for block in done)
        writer = BlockWriter(task, first=len(done))
        return writer.write(read_piece(task.piece, skip=skip))


class BlockWriter:
    """Turns structures into blocks on disk.

    Args:
        task: what is done, and where; its piece is not read here.
        first: number of the first block.
    """

    def __init__(self, task: PieceTask, *, first: int) -> None:
        self._task = task
        self._next = first
        self._predictor = predictor_of(task.choice, task.folder, task.config.max_atoms)

    def write(self, found: Iterable[Found]) -> int:
        """Evaluate and write structures until there are no more; how many there were."""
        config, count = self._task.config, 0
        selection = config.selection
        evaluation = Evaluation(self._predictor, workers=config.workers, forces=selection.forces)
        work: Evaluation | Relaxation = evaluation
        if config.relax is not None:
            work = Relaxation(evaluation, config.relax, forces=selection.forces)
        try:
            for some, is_last in blocks_of(found, config.block):
                block = Block(some, self.branches, relaxed=config.relax is not None)
                work.fill(block)
                self._write(block, is_last=is_last)
                count += len(block)
        finally:
            evaluation.close()
        return count

    @property
    def branches(self) -> tuple[str, ...]:
        """Names of the model's branches."""
        return self._predictor.mixture.names

    def _write(self, block: Block, *, is_last: bool) -> None:
        config = self._task.config
        relaxed = config.relax is not None
        conditions = config.selection.conditions(self.branches, relaxed=relaxed)
        stored = StoredBlock(
            piece=self._task.piece.number,
            number=self._next,
            counts=block.counts(),
            num_doubtful=block.num_doubtful(),
            digest=digest_of(block.found),
            is_last=is_last,
            files=None,
        )
        num_atoms = int(block.columns["num_atoms"].sum())
        write_block(
            self._task.folder, stored, block.arrays(config.selection, conditions), num_atoms
        )
        self._next += 1


def share_of_cores(ranks: int) -> int:
    """Threads for each of some ranks on this machine, together no more than its cores."""
    return max(1, min(torch.get_num_threads(), len(os.sched_getaffinity(0)) // ranks))


def blocks_of(found: Iterable[Found], size: int) -> Iterator[tuple[list[Found], bool]]:
    """Structures in portions, and whether it is the last one, which may be empty.

    Args:
        found: in their order.
        size: structures in a portion; fewer where they are large.
    """
    some: list[Found] = []
    num_atoms = 0
    for each in found:
        if len(some) >= size or num_atoms >= _MOST_ATOMS:
            yield some, False
            some, num_atoms = [], 0
        some.append(each)
        num_atoms += 0 if each.structure is None else each.structure.num_atoms
    yield some, True


def predictor_of(choice: ModelChoice, folder: Path, max_atoms: int) -> Predictor:
    """The predictor of a choice; a process loads a model once.

    Args:
        choice: of model and branch.
        folder: that the ranks share.
        max_atoms: in a batch.
    """
    branch = choice.branch if isinstance(choice.branch, str | None) else dict(choice.branch)
    return _loaded(
        replace(choice, branch=None), json.dumps(branch, sort_keys=True), folder, max_atoms
    )


@lru_cache(maxsize=1)
def _loaded(choice: ModelChoice, branch: str, folder: Path, max_atoms: int) -> Predictor:
    device = own_device(choice.device, folder)
    model = load_model(choice.model, dtype=choice.dtype, device=device).requires_grad_(False)
    chosen: Any = json.loads(branch)
    config = InferenceConfig(branch=chosen, every_branch=True, max_atoms=max_atoms)
    return Predictor(model, config)
