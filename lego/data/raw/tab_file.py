"""Tab separated text with a header and without quoting, block by block; where that fails, line by line to say what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs
import pyarrow as pa

from lego.data.problems import Problems
from lego.data.raw.bounded import first_line, lines_of
from lego.data.raw.guess import plain
from lego.data.raw.raw_file import BROKEN, RawFile, broken
from lego.data.raw.tab_blocks import tab_blocks
from lego.errors import Problem

_COMPARE = "compare the line with the official file, which is tab separated and has no quoting"

Complaints = Callable[[Mapping[str, str]], Iterable[tuple[str, str]]]
"""Of a line, its values by column: each column that is wrong, and what is wrong there."""


class MalformedError(Exception):
    """A block holds something else than it should."""


@attrs.frozen
class TabFile:
    """A file and the columns that its header must have, in any order; letters and digits alone are compared."""

    file: RawFile
    columns: tuple[str, ...]

    def read(
        self,
        take: Callable[[pa.RecordBatch], object],
        problems: Problems,
        complaints: Complaints,
        unique: str | None = None,
    ) -> bool:
        """Hands the columns to `take`, block by block; whether all went well, or else what is wrong is among the problems.

        `take` raises MalformedError where a block is wrong; `complaints` then says what is wrong in a line.
        """
        before = len(problems)
        try:
            places = self._places(problems)
            if places is None:
                return False
            some = False
            for block in self._blocks(places):
                some = some or block.num_rows > 0
                take(block)
        except (pa.ArrowInvalid, MalformedError) as failure:
            self.complain(problems, complaints, unique)
            if len(problems) == before:
                problems.add(self.file.label, str(failure), "compare the file with the official one")
        except BROKEN as failure:
            broken(self.file, failure, problems)
        else:
            if not some:
                problems.add(
                    self.file.label, "holds a header and no rows", "put the complete file in its place"
                )
        return len(problems) == before

    def complain(self, problems: Problems, complaints: Complaints, unique: str | None = None) -> None:
        """Adds what is wrong in the lines, where more than one block was needed to see it."""
        try:
            problems.extend(self._wrong(complaints, unique))
        except BROKEN as failure:  # what is wrong stands before the place where it breaks off
            broken(self.file, failure, problems)

    def records(self) -> Iterator[tuple[int, dict[str, str] | Problem]]:
        """Number of each line that is not empty, and its values, or what is wrong with it as a line."""
        header: list[str] = []
        places: dict[str, int] = {}
        with self.file.open() as opened:
            for number, raw in enumerate(lines_of(opened), 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as failure:
                    what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                    yield (
                        number,
                        Problem(f"{self.file.label} line {number}", what, "save the file as UTF-8"),
                    )
                    continue
                fields = line.split("\t")
                if number == 1:
                    header = fields
                    places = self._found(fields)
                elif line and len(fields) != len(header):
                    what = f"{len(header)} columns are expected, {len(fields)} found"
                    yield number, Problem(f"{self.file.label} line {number}", what, _COMPARE)
                elif line:
                    yield number, {name: fields[place] for name, place in places.items()}

    def _wrong(self, complaints: Complaints, unique: str | None) -> Iterator[Problem]:
        first: dict[str, int] = {}
        for number, row in self.records():
            if isinstance(row, Problem):
                yield row
                continue
            where = f"{self.file.label} line {number}, column "
            for column, what in complaints(row):
                yield Problem(where + column, what, _COMPARE)
            if unique is not None and (line := first.setdefault(row[unique], number)) < number:
                what = f"{row[unique]} is already in line {line}"
                yield Problem(where + unique, what, "keep one of the lines")

    def _places(self, problems: Problems) -> list[str] | None:
        """A name for each column of the file: the official one where it is wanted, its number where not."""
        with self.file.open() as opened:
            raw = first_line(opened)
        if not raw.strip():
            problems.add(self.file.label, "is empty", "put the complete file in its place")
            return None
        try:
            header = raw.decode("utf-8-sig").rstrip("\r\n").split("\t")
        except UnicodeDecodeError as failure:
            what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
            problems.add(f"{self.file.label} line 1", what, "save the file as UTF-8")
            return None
        found = self._found(header)
        missing = [name for name in self.columns if name not in found]
        if missing:
            what = f"the header lacks {', '.join(missing)}; it has {', '.join(header)[:200]}"
            fix = f"use the official file, whose first line names its columns: {', '.join(self.columns)}"
            problems.add(f"{self.file.label} line 1", what, fix)
            return None
        taken = {place: name for name, place in found.items()}
        return [taken.get(place, f"{place}") for place in range(len(header))]

    def _found(self, header: list[str]) -> dict[str, int]:
        wanted = {plain(name): name for name in self.columns}
        return {
            wanted[plain(name)]: place
            for place, name in reversed(list(enumerate(header)))
            if plain(name) in wanted
        }

    def _blocks(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        with self.file.open() as opened:
            first_line(opened)
            yield from tab_blocks(opened, names, dict.fromkeys(self.columns, pa.string()))


def ensure(holds: bool, reason: str) -> None:  # noqa: FBT001 - it reads as a sentence
    """MalformedError where it does not hold."""
    if not holds:
        raise MalformedError(reason)
