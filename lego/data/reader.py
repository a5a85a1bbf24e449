"""Rows of text in a known layout → Arrow columns. What cannot be read is named by file, line and column, all of it at once.

A file is read by Arrow in one go. Only where that fails, or the caller found rows that contradict each other, is it walked
through line by line to say what is wrong.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lego.data.problems import Problems
from lego.errors import Problem, did_you_mean

_WHOLE = re.compile(r"\s*-?\d+\s*")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_INT64 = 2**63

Row = Mapping[str, Any]


@attrs.frozen
class Column:
    """A column that must be there: what it holds, and for numbers the closed range it is in."""

    name: str
    type: pa.DataType = attrs.field(factory=pa.string)
    low: float = float("-inf")
    high: float = float("inf")

    @property
    def expected(self) -> str:
        """In words."""
        kind = "a whole number" if pa.types.is_integer(self.type) else "a number"
        if self.low == float("-inf"):
            return kind
        return (
            f"{kind} from {self.low:g} to {self.high:g}"
            if self.high < float("inf")
            else f"{kind}, {self.low:g} or more"
        )

    def value(self, text: str) -> Any:
        """The value that a field holds, None where it is not what is expected."""
        return text if self.form is None else self._number(text, self.form)

    @cached_property
    def form(self) -> re.Pattern[str] | None:
        """How the number is written; None for text."""
        if pa.types.is_string(self.type):
            return None
        return _WHOLE if pa.types.is_integer(self.type) else _NUMBER

    def _number(self, text: str, form: re.Pattern[str]) -> float | None:
        if not form.fullmatch(text):
            return None
        value = int(text) if form is _WHOLE else float(text)
        return value if self.low <= value <= self.high and -_INT64 <= value < _INT64 else None


@attrs.frozen
class Complaint:
    """What a caller has against rows that can be read: those whose values of `columns` are among `values`."""

    columns: tuple[str, ...]
    values: frozenset[tuple[Any, ...]]
    what: str
    """A sentence with `{columns}`-like names of the columns in braces, and `{first}` for the line that has them first."""
    fix: str
    spare_first: bool = False
    """The first row with these values is right, those behind it are wrong."""


@attrs.frozen
class Layout:
    """How rows are written."""

    names: tuple[str, ...] = ()
    """The columns where there is no header; with a header it says them."""
    delimiter: str = ","
    encoding: str = "utf-8"

    @property
    def quoted(self) -> bool:
        """Whether quotes enclose a value: in CSV alone."""
        return self.delimiter == ","


CSV = Layout()


def read_rows(
    path: Path, columns: Sequence[Column], problems: Problems, layout: Layout = CSV
) -> pa.Table | None:
    """The columns, in the given order; None where something is wrong, which is then among the problems."""
    if path.stat().st_size == 0:
        problems.add(path.name, "is empty", "put the complete file in its place")
        return None
    if not layout.names and not _header_holds(path, columns, problems):
        return None
    try:
        table = _read(path, columns, layout)
    except pa.ArrowInvalid as failure:
        reason = str(failure)
    else:
        if table.num_rows == 0:
            what = "holds no rows" if layout.names else "holds a header and no rows"
            problems.add(path.name, what, "put the complete file in its place")
            return None
        if _in_range(table, columns):
            return table
        reason = "a value is out of range"
    before = len(problems)
    problems.extend(examine(path, columns, layout=layout))
    if len(problems) == before:
        problems.add(path.name, reason, "compare the file with the official one")
    return None


def examine(
    path: Path, columns: Sequence[Column], complaints: Iterable[Complaint] = (), layout: Layout = CSV
) -> Iterator[Problem]:
    """What is wrong in a file whose header is right, line by line."""
    complaints = tuple(complaints)
    first: dict[tuple[int, tuple[Any, ...]], int] = {}
    fields, places = (
        len(layout.names),
        [layout.names.index(column.name) for column in columns if layout.names],
    )
    for number, record, failure in _records(path, layout):
        if failure is not None:
            yield failure
        elif not record:
            continue
        elif fields == 0:
            fields, places = len(record), [record.index(column.name) for column in columns]
        elif len(record) != fields:
            what = f"{fields} columns are expected, {len(record)} found"
            fix = (
                "put quotes around a value with commas in it"
                if layout.quoted
                else "repair the line, or take it out"
            )
            yield Problem(f"{path.name} line {number}", what, fix)
        else:
            row = {}
            for column, place in zip(columns, places, strict=True):
                row[column.name] = value = column.value(record[place])
                if value is None:
                    where = f"{path.name} line {number}, column {column.name}"
                    what = f"{column.expected} is expected, {record[place]!r} found"
                    yield Problem(where, what, "correct the value, or take the row out")
            for index, complaint in enumerate(complaints):
                key = tuple(row[name] for name in complaint.columns)
                if key not in complaint.values:
                    continue
                line = first.setdefault((index, key), number)
                if line < number or not complaint.spare_first:
                    where = f"{path.name} line {number}, column {complaint.columns[-1]}"
                    yield Problem(where, complaint.what.format(**row, first=line), complaint.fix)


def _header_holds(path: Path, columns: Sequence[Column], problems: Problems) -> bool:
    header = next(((record, failure) for _, record, failure in _records(path) if record or failure), None)
    if header is None:
        problems.add(path.name, "is empty", "put the complete file in its place")
        return False
    names, failure = header
    if failure is not None or names is None:
        problems.extend([failure] if failure is not None else [])
        return False
    for column in columns:
        if column.name not in names:
            problems.add(
                f"{path.name} line 1",
                f"the column {column.name} is missing; there are {', '.join(names)}. {did_you_mean(column.name, names)}".strip(),
                "put the header of the official file in the first line",
            )
        elif names.count(column.name) > 1:
            problems.add(
                f"{path.name} line 1", f"the column {column.name} is there twice", "take one of them out"
            )
    return all(names.count(column.name) == 1 for column in columns)


def _read(path: Path, columns: Sequence[Column], layout: Layout) -> pa.Table:
    file: Any = path
    mark = layout.delimiter
    if len(mark) > 1:  # Arrow knows delimiters of one character: one that no text has stands in
        file, mark = pa.BufferReader(path.read_bytes().replace(mark.encode(), b"\x1f")), "\x1f"
    table = pyarrow.csv.read_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(
            column_names=list(layout.names) or None, encoding=layout.encoding
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=mark, quote_char='"' if layout.quoted else False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={column.name: column.type for column in columns},
            include_columns=[column.name for column in columns],
            null_values=[],
        ),
    )
    for column in columns:
        # A quote that is never closed swallows the lines behind it; no data set here has line breaks inside a value.
        if pa.types.is_string(column.type) and pc.any(pc.match_substring(table[column.name], "\n")).as_py():
            raise pa.ArrowInvalid(f"a value of {column.name} holds a line break")
    return table


def _in_range(table: pa.Table, columns: Sequence[Column]) -> bool:
    return all(
        pc.all(
            pc.and_(
                pc.greater_equal(table[column.name], column.low),
                pc.less_equal(table[column.name], column.high),
            )
        ).as_py()
        for column in columns
        if not pa.types.is_string(column.type)
    )


def _records(path: Path, layout: Layout = CSV) -> Iterator[tuple[int, list[str] | None, Problem | None]]:
    """Line number, its fields or None, and what is wrong with the line as such."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                marked = number == 1 and layout.encoding == "utf-8"
                line = raw.decode("utf-8-sig" if marked else layout.encoding).rstrip("\r\n")
                if layout.quoted and '"' in line:
                    fields = next(csv.reader([line], strict=True), [])
                else:
                    fields = line.split(layout.delimiter) if line else []
            except UnicodeDecodeError as failure:
                what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                yield number, None, Problem(f"{path.name} line {number}", what, "save the file as UTF-8")
            except csv.Error as failure:
                what = "a quote is opened and not closed" if "end of data" in str(failure) else str(failure)
                fix = "quote a value as the CSV of the official file does"
                yield number, None, Problem(f"{path.name} line {number}", what, fix)
            else:
                yield number, fields, None
