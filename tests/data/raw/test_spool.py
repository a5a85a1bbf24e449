from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lego.data.raw import growing, spool
from lego.data.raw.spool import filtered_table, taken


@pytest.mark.parametrize("held", [0, 1 << 26])
def test_chunks_with_words_of_their_own_are_one_table(held, monkeypatch):
    """A file of batches takes one dictionary for a column, and so all chunks get one, in memory and on disk."""
    monkeypatch.setattr(spool, "HELD", held)
    monkeypatch.setattr(spool, "MANY", 2)
    monkeypatch.setattr(growing, "HELD", held)
    words = [["b", "a", None], ["c", "b", "c"], ["a", "d", "d"]]
    table = pa.table(
        {"word": pa.chunked_array([pa.array(each).dictionary_encode() for each in words]), "row": range(9)}
    )
    said = table["word"].to_pylist()
    mask = np.array([1, 0, 1, 1, 1, 0, 0, 1, 1], bool)
    left = filtered_table(table, mask)
    assert left["word"].to_pylist() == [said[row] for row in np.flatnonzero(mask)]
    assert left["row"].to_pylist() == np.flatnonzero(mask).tolist()
    places = np.array([8, 0, 3, 3, 2, 7])
    some = taken(table, places)
    assert some["word"].to_pylist() == [said[row] for row in places]
    assert some["row"].to_pylist() == places.tolist()


def test_one_dictionary_is_not_copied(monkeypatch):
    """Chunks that have one already, as every table that was read has, stay where they are."""
    column = pa.array(["a", "b", "a"]).dictionary_encode()
    table = pa.table({"word": pa.chunked_array([column, column.slice(1)])})
    assert spool._one_dictionary(table) is table
    assert spool._one_dictionary(table.slice(0, 0)).num_rows == 0
