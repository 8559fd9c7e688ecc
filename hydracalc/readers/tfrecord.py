"""TFRecord files of tf.train.Example messages, *.tfrecord-00000-of-00100, without TensorFlow.

A record is its length (8 bytes), a checksum of that (4 bytes), the message, and a checksum of the
message (4 bytes); checksums are CRC32C, masked. A message maps the name of each feature to a list
of bytes, of 32-bit floats or of 64-bit integers: tfds writes booleans and all integers as the last,
and 64-bit floats rounded to 32 bits.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import google_crc32c
import numpy as np

from hydracalc.readers.damage import reading

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_LARGEST_RECORD = 2**31  # bytes; a message of protocol buffers is never larger

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_LISTS = {1: "bytes", 2: "floats", 3: "integers"}  # fields of a feature

Feature = list[bytes] | np.ndarray


def stream_examples(path: Path) -> Iterator[Mapping[str, Feature]]:
    """Examples of a file, one at a time, name of each feature to its values.

    Values are float32 or int64, (n,), or a list of bytes; a feature without values is empty.

    Raises:
        DataError: the file is truncated, a checksum is wrong or a message is malformed; the
            message names the record.
    """
    with reading(path), path.open("rb") as file:
        number = 0
        while True:
            with reading(path, f"record {number}"):
                message = _record(file)
                if message is None:
                    break
                example = parse_example(message)
            yield example
            number += 1
        if number == 0:
            raise ValueError("there is no record in it")


def masked_checksum(content: bytes) -> int:
    """CRC32C of bytes, rotated and shifted as TFRecord stores it."""
    checksum = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def parse_example(message: bytes) -> dict[str, Feature]:
    """Features of a serialized tf.train.Example.

    Raises:
        ValueError: the message is malformed.
    """
    features: dict[str, Feature] = {}
    for field, content in _fields(message):
        if field == 1:
            for entry, pair in _fields(_as_bytes(content)):
                if entry == 1:
                    name, feature = _entry(_as_bytes(pair))
                    features[name] = feature
    return features


def _record(file: IO[bytes]) -> bytes | None:
    """The next message of a file; None at its end."""
    head = file.read(_LENGTH.size + _CHECKSUM.size)
    if not head:
        return None
    if len(head) < _LENGTH.size + _CHECKSUM.size:
        raise ValueError("the file ends inside the record's length")
    (length,) = _LENGTH.unpack_from(head)
    _verify(head[: _LENGTH.size], head[_LENGTH.size :], "length")
    if length > _LARGEST_RECORD:
        raise ValueError(f"the record has {length} bytes, at most {_LARGEST_RECORD} are possible")
    content = file.read(length + _CHECKSUM.size)
    if len(content) < length + _CHECKSUM.size:
        raise ValueError("the file ends inside the record")
    message = content[:length]
    _verify(message, content[length:], "content")
    return message


def _verify(content: bytes, stored: bytes, what: str) -> None:
    if masked_checksum(content) != _CHECKSUM.unpack(stored)[0]:
        raise ValueError(f"the checksum of the record's {what} is wrong")


def _entry(pair: bytes) -> tuple[str, Feature]:
    """Name and values of one feature of the map."""
    name, feature = "", b""
    for field, content in _fields(pair):
        if field == 1:
            name = _as_bytes(content).decode()
        elif field == 2:
            feature = _as_bytes(content)
    values: Feature = []
    for field, content in _fields(feature):
        if field in _LISTS:
            values = _values(_LISTS[field], _as_bytes(content))
    return name, values


def _values(kind: str, content: bytes) -> Feature:
    """Values of a list; numbers may be packed into one field or have a field each."""
    fields = [value for field, value in _fields(content) if field == 1]
    if kind == "bytes":
        return [_as_bytes(value) for value in fields]
    if kind == "floats":
        return np.frombuffer(b"".join(map(_as_bytes, fields)), "<f4")
    whole = [
        number
        for value in fields
        for number in (_packed(value) if isinstance(value, bytes) else (value,))
    ]
    # negative numbers are stored as their two's complement
    return np.array(whole, np.uint64).astype(np.int64)


def _packed(content: bytes) -> list[int]:
    numbers, position = [], 0
    while position < len(content):
        number, position = _varint(content, position)
        numbers.append(number)
    return numbers


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and content of each field of a message: an int for varints, bytes for the rest."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            number, position = _varint(message, position)
            yield field, number
            continue
        if wire == _BYTES:
            length, position = _varint(message, position)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} is none of tf.train.Example")
        if position + length > end:
            raise ValueError(f"field {field} reaches beyond its message")
        yield field, message[position : position + length]
        position += length


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, and the position after it."""
    byte = content[position]
    if byte < 128:
        return byte, position + 1
    number, shift = byte & 127, 7
    while byte >= 128:
        position += 1
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
        byte = content[position]
        number |= (byte & 127) << shift
        shift += 7
    return number & 0xFFFFFFFFFFFFFFFF, position + 1


def _as_bytes(content: bytes | int) -> bytes:
    if isinstance(content, int):
        raise ValueError("a number stands where a message or a list is expected")
    return content
