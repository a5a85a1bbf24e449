"""A table that a user has: its columns as they are, and the line of each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.raw.csv_rows import csv_records
from lego.data.raw.growing import blocks
from lego.data.raw.json_rows import json_rows
from lego.errors import Problem

ROWS = 1 << 19
"""Rows of a piece."""


@attrs.define(eq=False, slots=False)
class Frame:
    """A table and where it came from."""

    name: str
    """What messages call it."""
    table: pa.Table
    path: Path
    format: str
    delimiter: str = ","
    before: int = 0
    """Rows of the table that this is a piece of, before the piece."""
    whole: Frame | None = None
    """That table."""
    parts: tuple[tuple[str, int], ...] = ()
    """The parts of a folder: what messages call each, and how many rows there are up to its end."""

    def pieces(self) -> Iterator[Frame]:
        """Stretches of its rows; what is complained of names the line in the file."""
        for begin, end in blocks(self.table.num_rows, ROWS):
            table = self.table.slice(begin, end - begin)
            yield attrs.evolve(self, table=table, before=self.before + begin, whole=self.whole or self)

    @property
    def columns(self) -> list[str]:
        """The columns there are."""
        return list(self.table.column_names)

    def where(self, row: int, column: str | None = None) -> str:
        """`clicks.csv line 7, column label`; rows count from 0, lines from 1, and a header is one."""
        place = self.line(row) if self.parts else f"{self.name} {self.line(row)}"
        return place if column is None else f"{place}, column {column}"

    def line(self, row: int) -> str:
        """`line 7`, or `row 6` where the format has no lines; in a folder with the part it is of."""
        if self.parts:
            place, begin = self.before + row, 0
            for name, end in self.parts:
                if place < end:
                    return f"{name} row {place - begin + 1}"
                begin = end
        return f"{'line' if self.format in {'csv', 'json'} else 'row'} {(self.whole or self).lines[self.before + row]}"

    def complain(
        self, wrong: NDArray[np.bool_], column: str, what: Callable[[int], str], fix: str, problems: Problems
    ) -> None:
        """A problem for each row that is wrong; those behind the limit are counted without being worded."""
        rows = np.flatnonzero(wrong)

        def worded(place: int) -> Problem:
            row = int(rows[place])
            return Problem(self.where(row, column), what(row), fix)

        problems.add_each(len(rows), worded)

    @cached_property
    def lines(self) -> Any:
        """The line that each row begins in."""
        if self.format == "csv":
            found = csv_records(self.path, self.delimiter)
            return [line for line, fields, problem in found if fields or problem][1:]
        if self.format == "json":
            return [line for line, _ in json_rows(self.path)]
        return range(1, self.table.num_rows + 1)


def named_once(name: str, names: list[str], problems: Problems) -> bool:
    """Whether no column is there twice."""
    again = sorted({each for each in names if names.count(each) > 1 and each})
    for column in again:
        problems.add(name, f"the column {column} is there twice", "take one of them out, or rename it")
    return not again
