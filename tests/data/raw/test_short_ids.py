from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.raw.short_ids import LONGEST, ShortIds, numbers_of, texts_at


def number_of(*texts):
    data = "".join(texts).encode() + bytes(LONGEST)
    lengths = np.array([len(each) for each in texts])
    return numbers_of(data, np.cumsum(lengths) - lengths, lengths)


def test_ids_find_their_rows():
    """Each of many ids its own row, whatever shares its hash; what is unknown, a beginning or an end of one, none."""
    ids = [f"N{row}" for row in range(50_000)] + ["12345678", "a", "toolongforthis"]
    known = ShortIds.of(pa.array(ids))
    assert len(known.levels) > 1
    asked = [*ids[:-1], "N", "N50000", "1234567", "b"]
    wanted = pc.fill_null(pc.add(pc.index_in(pa.array(asked), pa.array(ids)), 1), 0)
    np.testing.assert_array_equal(known.rows(number_of(*asked)), wanted.to_numpy())
    assert known.rows(number_of("toolongf")).tolist() == [0]


def test_a_slice_of_ids_is_read_as_it_is():
    """Row 1 is the first of the slice."""
    known = ShortIds.of(pa.array(["x", "y", "z"]).slice(1))
    assert known.rows(number_of("x", "y", "z")).tolist() == [0, 1, 2]


def test_without_ids_all_are_unknown():
    """Row 0 for each."""
    assert ShortIds.of(pa.array([], pa.string())).rows(number_of("x", "y")).tolist() == [0, 0]


def test_texts_are_cut_out():
    """Those that stand at the positions."""
    data = np.frombuffer(b"one two three", np.uint8)
    assert texts_at(data, np.array([4, 0, 8]), np.array([3, 0, 5])).to_pylist() == ["two", "", "three"]
