"""The hidden folder beside the one to be made, where work can be killed and continued."""

import errno
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PLAN = "plan.json"
_LOCK = "lock"
# what a file system says that has no locks: there, nobody keeps two processes apart
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def workspace_of(out: Path) -> Path:
    """Hidden folder of an output; nothing takes it for finished shards."""
    return out.with_name(f".{out.name}.part")


@contextmanager
def workspace(out: Path, plan: Mapping[str, Any]) -> Iterator[Path]:
    """The hidden folder, reserved for this process, with what an equal earlier run left in it.

    Args:
        out: folder to be made.
        plan: what the work depends on, JSON; a folder with another plan is not continued.

    Raises:
        ValueError: the output exists, another process is at work, or the plan was another.
        OSError: the folder cannot be made.
    """
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = workspace_of(out)
    folder.mkdir(exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{out}: another process is making it") from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        _continue_or_begin(folder, json.loads(json.dumps(plan)))
        yield folder


def refuse_existing(out: Path) -> None:
    """Raise if there is something of that name.

    Raises:
        ValueError: there is.
    """
    if out.exists() or out.is_symlink():
        raise ValueError(f"{out}: exists; choose another name or remove it first")


def _continue_or_begin(folder: Path, plan: dict[str, Any]) -> None:
    path = folder / _PLAN
    if path.is_file():
        stated = json.loads(path.read_text())
        if stated == plan:
            return
        other = [key for key in plan | stated if plan.get(key) != stated.get(key)]
        raise ValueError(
            f"{folder}: was begun with other {', '.join(other)} and is not finished; "
            "remove it, or go on as it was begun"
        )
    for left in folder.iterdir():
        if left.name != _LOCK:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    unfinished = folder / f"{_PLAN}.new"
    unfinished.write_text(json.dumps(plan, indent=1))
    unfinished.rename(path)


def clear_notes(folder: Path) -> None:
    """Remove plan and lock, before the folder gets its name."""
    for name in (_PLAN, _LOCK):
        (folder / name).unlink(missing_ok=True)
