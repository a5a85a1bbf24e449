"""Numbers that must be distinct: which of them are not, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.data.problems import LIMIT
from lego.data.raw.growing import MANY, Growing, blocks, on_disk
from lego.data.raw.order import sorted_rows


@attrs.frozen(eq=False)
class Repeats:
    """Rows whose number stands in an earlier row."""

    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    """Ascending."""

    @classmethod
    def of(cls, numbers: NDArray[np.int64]) -> Repeats:
        """Those among the numbers of all rows; they are sorted on disk, and not where they ascend already."""
        if _ascend(numbers):
            return cls(numbers, np.empty(0, np.int64))
        ordered = sorted_rows(
            {"number": numbers, "row": on_disk(len(numbers), np.int64, np.arange)}, ["number"]
        )
        again = Growing(np.int64)
        for begin, end in blocks(len(numbers) - 1, MANY):
            here = ordered["number"][begin : end + 1]
            again.add(ordered["row"][begin + 1 : end + 1][here[1:] == here[:-1]])
        return cls(numbers, np.sort(again.array()))

    def shown(self) -> Iterator[tuple[int, int]]:
        """The first of these rows, as many as are complained of one by one, each with the row that its number stands in first."""
        for row in self.rows[:LIMIT].tolist():
            number = self.numbers[row]
            for begin, end in blocks(len(self.numbers), MANY):
                found = np.flatnonzero(self.numbers[begin:end] == number)
                if len(found):
                    yield row, begin + int(found[0])
                    break


def _ascend(numbers: NDArray[np.int64]) -> bool:
    return all(
        bool((np.diff(numbers[begin : end + 1]) > 0).all()) for begin, end in blocks(len(numbers) - 1, MANY)
    )
