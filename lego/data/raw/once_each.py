"""Ids that must be distinct: what is said of those that are not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.table import flat
from lego.errors import Problem


def first_rows(ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """The row that has each id first, ascending."""
    codes = flat(pc.index_in(ids, value_set=pc.unique(ids)))
    return np.asarray(np.unique(codes, return_index=True)[1], np.int64)


def complain_of_repeats(
    name: str, ids: pa.ChunkedArray, lines: pa.ChunkedArray, what: str, problems: Problems
) -> None:
    """DataError that names each line of the file `name` whose id stands in an earlier one already."""
    codes, known = flat(pc.index_in(ids, value_set=pc.unique(ids))), flat(lines)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(codes)))

    def worded(place: int) -> Problem:
        row = int(again[place])
        told = f"{what} {ids[row].as_py()} is already in line {known[first[inverse[row]]]}"
        return Problem(f"{name} line {known[row]}", told, "keep one of the lines")

    problems.add_each(len(again), worded)
    problems.raise_any()
