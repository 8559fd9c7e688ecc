"""TFRecord files of tf.train.Example messages, written from the description of the format."""

import struct

import numpy as np

from hydracalc.readers.tfrecord import masked_checksum

BYTES, FLOATS, INTEGERS = 1, 2, 3  # kinds of lists


def varint(number):
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(**features):
    """A message; a feature is (kind of its list, content of the list)."""
    entries = [
        field(1, field(1, name.encode()) + field(2, field(kind, content)))
        for name, (kind, content) in features.items()
    ]
    return field(1, b"".join(entries))


def packed(values):
    """A feature of numbers or bytes, as `stream_examples` hands it out."""
    if isinstance(values, list):
        return BYTES, b"".join(field(1, value) for value in values)
    if np.asarray(values).dtype.kind == "f":
        return FLOATS, field(1, np.asarray(values, "<f4").tobytes())
    return INTEGERS, field(1, b"".join(varint(int(value)) for value in values))


def record(message):
    length = struct.pack("<Q", len(message))
    parts = [length, struct.pack("<I", masked_checksum(length)), message]
    return b"".join([*parts, struct.pack("<I", masked_checksum(message))])
