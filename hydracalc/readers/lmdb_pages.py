"""Values of an LMDB file by key, read page by page.

The lmdb package maps a file into memory and trusts the numbers in it: on a truncated file, or one
with a wrong byte in a page's table, the process is killed (SIGBUS), which no `try` can catch. Here
every number is checked before it is used, so a damaged file ends in an error. Only what is needed
to look up values is read: the two headers, branch and leaf pages, and values with pages of their
own. Layout: `struct MDB_page`, `MDB_node` and `MDB_meta` of LMDB 0.9, 64 bits, little-endian.
"""

import struct
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_PAGE = struct.Struct("<QHHHH")  # number, padding, flags, end of the table, start of the nodes
_NODE = struct.Struct("<HHHH")  # low and high half of the size or child, flags, length of the key
_META = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TREE = struct.Struct("<IHHQQQQQ")  # page size, flags, depth, 3 counts of pages, entries, root
_LAST = struct.Struct("<QQ")  # last page, transaction
_TREES_AT = _PAGE.size + _META.size  # of the first header; the second tree is the one with values
_LAST_AT = _TREES_AT + 2 * _TREE.size
_HEADER = _LAST_AT + _LAST.size

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_IS_BIG, _IS_OTHER = 0x01, 0x06  # value on pages of its own; sub-database or several values
_NO_PAGE = 2**64 - 1
_MAX_DEPTH = 32
_CACHED_PAGES = 512  # some MB: all branches and the leaves around


@dataclass(frozen=True, kw_only=True)
class _Header:
    page_size: int
    depth: int
    num_entries: int
    root: int
    num_pages: int
    transaction: int


@dataclass(frozen=True, kw_only=True)
class _Page:
    """Keys of a branch or leaf in order, where each node begins, and the bytes."""

    is_leaf: bool
    keys: list[bytes]
    nodes: tuple[int, ...]
    content: bytes


class LmdbFile:
    """One LMDB file, open for reading; use it in a `with` block.

    Attributes:
        num_entries: keys in it.

    Raises:
        ValueError: it is no LMDB file, or shorter than its header says.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._size = path.stat().st_size
        self._file: BinaryIO = path.open("rb")
        try:
            self._header = self._read_header()
        except BaseException:
            self._file.close()
            raise
        self.num_entries = self._header.num_entries
        self._pages: OrderedDict[int, _Page] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def value(self, key: bytes) -> bytes | None:
        """What is stored under a key; None if there is none.

        Raises:
            ValueError: a page that leads there is damaged.
        """
        number = self._header.root
        if number == _NO_PAGE:
            return None
        for _ in range(self._header.depth):
            page = self._page(number)
            place = bisect_right(page.keys, key) - 1
            if page.is_leaf:
                found = place >= 0 and page.keys[place] == key
                return self._value_of(page, page.nodes[place]) if found else None
            low, high, flags, _ = _NODE.unpack_from(page.content, page.nodes[max(place, 0)])
            number = low | high << 16 | flags << 32
        raise ValueError(f"no leaf within {self._header.depth} pages of the root")

    def _value_of(self, page: _Page, node: int) -> bytes:
        low, high, flags, key_length = _NODE.unpack_from(page.content, node)
        start, length = node + _NODE.size + key_length, low | high << 16
        if flags & _IS_OTHER:
            raise ValueError("a key holds several values or a database of its own")
        stored = 8 if flags & _IS_BIG else length
        if start + stored > len(page.content):
            raise ValueError("a value leaves its page")
        if not flags & _IS_BIG:
            return page.content[start : start + length]
        number = int.from_bytes(page.content[start : start + 8], "little")
        return self._read(number, _PAGE.size, length, flags=_OVERFLOW)

    def _page(self, number: int) -> _Page:
        if number in self._pages:
            self._pages.move_to_end(number)
            return self._pages[number]
        content = self._read(number, 0, self._header.page_size, flags=_BRANCH | _LEAF)
        page = self._pages[number] = _parse(content)
        if len(self._pages) > _CACHED_PAGES:
            self._pages.popitem(last=False)
        return page

    def _read(self, number: int, start: int, length: int, *, flags: int) -> bytes:
        """Bytes of a page, or of one and those that follow, if it is of the expected kind."""
        if not 2 <= number < self._header.num_pages:
            raise ValueError(f"page {number} is asked for, there are {self._header.num_pages}")
        offset = number * self._header.page_size
        if offset + start + length > self._size:
            raise ValueError(f"{length} bytes on page {number} go beyond the end of the file")
        self._file.seek(offset)
        content = self._file.read(start + length)
        if len(content) < max(start + length, _PAGE.size):
            raise ValueError(f"page {number} ends early")
        own_number, _, kind, *_ = _PAGE.unpack_from(content)
        if own_number != number or not kind & flags:
            raise ValueError(f"page {number} is damaged: number {own_number}, flags {kind:#x}")
        return content[start:]

    def _read_header(self) -> _Header:
        first = self._header_at(0)
        second = self._header_at(first.page_size)
        newest = max(first, second, key=lambda header: header.transaction)
        expected = newest.num_pages * newest.page_size
        if self._size < expected:
            raise ValueError(f"it has {self._size} bytes, its header says {expected}: truncated")
        return newest

    def _header_at(self, offset: int) -> _Header:
        self._file.seek(offset)
        content = self._file.read(_HEADER)
        if len(content) < _HEADER:
            raise ValueError("too short for an LMDB file")
        magic, version, *_ = _META.unpack_from(content, _PAGE.size)
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError("no LMDB file")
        page_size, *_ = _TREE.unpack_from(content, _TREES_AT)
        values = _TREE.unpack_from(content, _TREES_AT + _TREE.size)
        _, _, depth, _, _, _, num_entries, root = values
        last, transaction = _LAST.unpack_from(content, _LAST_AT)
        if not 512 <= page_size <= 65536 or depth > _MAX_DEPTH or last >= 2**48:
            raise ValueError("its header is damaged")
        return _Header(
            page_size=page_size,
            depth=depth,
            num_entries=num_entries,
            root=root,
            num_pages=last + 1,
            transaction=transaction,
        )


def _parse(content: bytes) -> _Page:
    """Keys and nodes of a page.

    Raises:
        ValueError: the table of nodes does not fit the page.
    """
    _, _, kind, end, _ = _PAGE.unpack_from(content)
    count = (end - _PAGE.size) // 2
    if count <= 0 or end > len(content):
        raise ValueError("the table of a page is damaged")
    nodes = struct.unpack_from(f"<{count}H", content, _PAGE.size)
    keys = []
    for node in nodes:
        if not end <= node <= len(content) - _NODE.size:
            raise ValueError("a node leaves its page")
        *_, length = _NODE.unpack_from(content, node)
        keys.append(content[node + _NODE.size : node + _NODE.size + length])
    is_leaf = bool(kind & _LEAF)
    if not is_leaf:
        keys[0] = b""  # a branch's first child holds all that is smaller
    return _Page(is_leaf=is_leaf, keys=keys, nodes=nodes, content=content)
