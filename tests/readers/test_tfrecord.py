"""TFRecord files against bytes written down from the format's description, not by our reader."""

import struct

import numpy as np
import pytest
from tfrecords import example, field, record, varint

from hydracalc.errors import DataError
from hydracalc.readers.tfrecord import masked_checksum, parse_example, stream_examples


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.tfrecord-00000-of-00001"
    messages = [example(i=(3, field(1, varint(number)))) for number in (5, -7, 2**40)]
    path.write_bytes(b"".join(record(message) for message in messages))
    return path


def test_the_checksum_is_that_of_the_format():
    """CRC32C of "123456789" is e3069283; masking is a rotation by 15 bits and an offset."""
    crc = 0xE3069283
    rotated = int(f"{crc:032b}"[-15:] + f"{crc:032b}"[:-15], 2)
    assert masked_checksum(b"123456789") == (rotated + 0xA282EAD8) % 2**32


def test_packed_and_single_numbers_are_read():
    floats = struct.pack("<3f", 1.5, -2.0, 1e-30)
    packed, single = field(1, floats), b"".join(b"\x0d" + floats[i : i + 4] for i in (0, 4, 8))
    integers = [0, 1, 127, 128, -1, 2**63 - 1, -(2**63)]
    parsed = parse_example(
        example(
            packed_floats=(2, packed),
            single_floats=(2, single),
            packed_integers=(3, field(1, b"".join(varint(i) for i in integers))),
            single_integers=(3, b"".join(b"\x08" + varint(i) for i in integers)),
            names=(1, field(1, b"one") + field(1, b"") + field(1, b"\xff")),
        )
    )
    assert parsed["packed_floats"].dtype == np.float32
    for name in ("packed_floats", "single_floats"):
        assert parsed[name].tolist() == np.array([1.5, -2.0, 1e-30], np.float32).tolist()
    for name in ("packed_integers", "single_integers"):
        assert parsed[name].dtype == np.int64
        assert parsed[name].tolist() == integers
    assert parsed["names"] == [b"one", b"", b"\xff"]


def test_a_message_written_by_hand_is_read():
    message = bytes.fromhex(
        "0a1b"  # features, 27 bytes
        "0a19"  # an entry of the map, 25 bytes
        "0a0169"  # its name, "i"
        "1214"  # a feature, 20 bytes
        "1a12"  # a list of integers, 18 bytes
        "0a0c"  # 12 bytes of them packed
        "ffffffffffffffffff01"  # -1 in two's complement
        "ac02"  # 300
        "0801"  # one that is not packed
        "0800"  # and another
    )
    assert parse_example(message)["i"].tolist() == [-1, 300, 1, 0]


def test_empty_features_and_messages_are_empty():
    assert parse_example(b"") == {}
    parsed = parse_example(example(floats=(2, b""), integers=(3, b""), names=(1, b"")))
    assert [len(values) for values in parsed.values()] == [0, 0, 0]


def test_unknown_fields_are_passed_over():
    known = example(i=(3, field(1, varint(3))))
    extra = varint(9 << 3 | 0) + varint(4) + varint(10 << 3 | 1) + b"\0" * 8
    assert parse_example(extra + known + extra)["i"].tolist() == [3]


def test_records_are_read_in_order(file):
    assert [parsed["i"].item() for parsed in stream_examples(file)] == [5, -7, 2**40]


def test_every_truncation_is_damaged_data(file):
    content = file.read_bytes()
    ends, position = [], 0
    while position < len(content):
        position += 16 + struct.unpack_from("<Q", content, position)[0]
        ends.append(position)
    for size in range(len(content)):
        file.write_bytes(content[:size])
        if size in ends:
            assert len(list(stream_examples(file))) == ends.index(size) + 1
            continue
        with pytest.raises(DataError, match="tfrecord-00000-of-00001"):
            list(stream_examples(file))


def test_every_changed_byte_is_damaged_data_named_by_its_record(file):
    content = file.read_bytes()
    first = 16 + struct.unpack_from("<Q", content)[0]
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x10
        file.write_bytes(bytes(changed))
        number = 0 if position < first else "[12]"
        with pytest.raises(DataError, match=f"record {number}: .*checksum"):
            list(stream_examples(file))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x0a\x7f", "reaches beyond its message"),
        (b"\x0a", "out of range"),
        (b"\x0b", "wire type 3"),
        (b"\x08\x01", "a number stands where"),
        (b"\xff" * 11, "more than 64 bits"),
        (example(f=(2, field(1, b"abc"))), "multiple of element size"),
        (example(i=(3, field(1, b"\x80"))), "out of range"),
    ],
)
def test_a_malformed_message_is_damaged_data(file, message, reason):
    file.write_bytes(record(example(i=(3, b""))) + record(message))
    with pytest.raises(DataError, match=f"record 1: .*{reason}"):
        list(stream_examples(file))


def test_an_impossible_length_is_not_allocated(file):
    length = struct.pack("<Q", 2**60)
    file.write_bytes(length + struct.pack("<I", masked_checksum(length)))
    with pytest.raises(DataError, match="at most 2147483648 are possible"):
        list(stream_examples(file))


@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>\n" * 100])
def test_what_is_no_tfrecord_is_damaged_data(file, content):
    file.write_bytes(content)
    with pytest.raises(DataError, match="tfrecord-00000-of-00001"):
        list(stream_examples(file))
