"""Whatever goes wrong while a published file is read becomes one message that names the file."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ijson

from hydracalc.errors import DataError

# what h5py, ijson, NumPy, ASE and the decompressors raise on damaged or foreign files
_SYMPTOMS = (
    OSError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
    ijson.JSONError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


@contextmanager
def reading(path: Path, record: str = "") -> Iterator[None]:
    """Report a failure inside the block as damage of a file.

    Args:
        path: file that is read.
        record: entry of the file that is read, where known.

    Raises:
        DataError: anything failed; the message names the file, the record and what is wrong.
        FileNotFoundError: the file does not exist.
    """
    try:
        yield
    except (DataError, FileNotFoundError, PermissionError):
        raise
    except _SYMPTOMS as error:
        where = f"{path}, {record}" if record else str(path)
        raise DataError(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The error in words; a bare key or an empty message says too little."""
    text = str(error).strip()
    if isinstance(error, KeyError) and "object" not in text:
        return f"{text} is missing"
    return f"damaged or not in the published layout ({text or type(error).__name__})"
