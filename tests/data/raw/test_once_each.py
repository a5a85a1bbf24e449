from __future__ import annotations

import pyarrow as pa
import pytest

from lego.data.problems import Problems
from lego.data.raw.once_each import complain_of_repeats, first_rows
from lego.errors import DataError

IDS = pa.chunked_array([["b", "a"], ["b", "c", "b"]])


def test_the_first_row_of_each_id():
    """In the order of the rows, not of the ids."""
    assert first_rows(IDS).tolist() == [0, 1, 3]
    assert first_rows(pa.chunked_array([["x"]])).tolist() == [0]


def test_repeats_are_named_by_line():
    """With the line that has the id first; distinct ids are no problem."""
    with pytest.raises(DataError) as caught:
        complain_of_repeats("books.json", IDS, pa.chunked_array([[1, 2, 4, 5, 6]]), "book", Problems())
    assert [(each.where, each.what) for each in caught.value.problems] == [
        ("books.json line 4", "book b is already in line 1"),
        ("books.json line 6", "book b is already in line 1"),
    ]
    complain_of_repeats("books.json", IDS.slice(0, 2), pa.chunked_array([[1, 2]]), "book", Problems())
