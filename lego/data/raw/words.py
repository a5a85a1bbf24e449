"""The words of a column that is read piece by piece, and the number of each."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


class Words:
    """The different words of a column, in the order in which they first appear."""

    def __init__(self) -> None:
        self.known = pa.array([], pa.string())

    def coded(self, values: pa.DictionaryArray) -> pa.Array:
        """The place of each value among the words, null where it is missing."""
        there = values.dictionary
        self.known = pc.unique(pa.concat_arrays([self.known, there]))
        return pc.cast(pc.index_in(there, value_set=self.known).take(values.indices), pa.int32())
