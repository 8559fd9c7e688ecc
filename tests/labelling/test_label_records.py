"""Records survive what a kill does to a file, and numbers come back to the last bit."""

import numpy as np
import pytest
from published import make_mixture, same_bits

from hydracalc.labelling.label_records import (
    append_record,
    decode_record,
    encode_record,
    open_for_append,
    read_records,
    structure_from_record,
    structure_to_record,
)


@pytest.mark.parametrize("structure", make_mixture(), ids=lambda s: s.source)
def test_a_structure_comes_back_bit_for_bit(structure):
    record = decode_record(encode_record(structure_to_record(structure)))
    assert same_bits(structure_from_record(record), structure)


def test_any_flipped_byte_is_noticed():
    line = encode_record({"number": 3, "energy": -1.5})
    for place in range(len(line)):
        for change in (1, 0x80):
            damaged = bytearray(line)
            damaged[place] ^= change
            assert decode_record(bytes(damaged)) is None


def test_a_record_cut_anywhere_is_none_and_the_next_is_whole(tmp_path):
    path = tmp_path / "records"
    line, cut = encode_record({"number": 0}), encode_record({"number": 7})[:-1]
    for kept in range(len(cut)):
        path.write_bytes(line + cut[:kept])
        with open_for_append(path) as file:
            append_record(file, {"number": 1})
        assert list(read_records(path)) == [{"number": 0}, {"number": 1}]


def test_there_are_no_records_where_there_is_no_file(tmp_path):
    assert list(read_records(tmp_path / "nothing")) == []


def test_numbers_that_json_has_no_name_for_are_not_lost_silently():
    record = decode_record(encode_record({"positions": np.array([np.pi, 5e-324, -0.0])}))
    assert np.array(record["positions"]).tobytes() == np.array([np.pi, 5e-324, -0.0]).tobytes()
