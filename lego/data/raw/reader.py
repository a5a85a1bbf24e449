"""Rows of text in a known layout → Arrow columns. What cannot be read is named by file, line and column, all of it at once.

A file, plain or gzipped, is read by Arrow, in one go or piece by piece. Only where that fails, or the caller found rows that
contradict each other, is it walked through line by line to say what is wrong.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lego.data.problems import Problems
from lego.data.progress import count
from lego.data.raw.bounded import lines_of
from lego.data.raw.json_lines import opened
from lego.errors import Problem, did_you_mean

_WHOLE = re.compile(r"\s*-?\d+\s*")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}Z")
_INT64 = 2**63
_BLOCK = 1 << 22
"""Bytes of a file that are read at a time, of which Arrow reads 32 ahead; a row has at most this many."""

DAY = pa.date32()
"""The type of a column of days, as 2020-09-16."""
MOMENT = pa.timestamp("s", "UTC")
"""The type of a column of times in UTC, as 2020-09-16T08:15:00Z."""

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
        if pa.types.is_temporal(self.type):
            return "a day like 2020-09-16" if self.type == DAY else "a time like 2020-09-16T08:15:00Z"
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
        if pa.types.is_temporal(self.type):
            return _DAY if self.type == DAY else _MOMENT
        return _WHOLE if pa.types.is_integer(self.type) else _NUMBER

    def _number(self, text: str, form: re.Pattern[str]) -> Any:
        if not form.fullmatch(text):
            return None
        if pa.types.is_temporal(self.type):
            try:
                return dt.datetime.fromisoformat(text.removesuffix("Z"))
            except ValueError:
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
    quotes: bool | None = None
    """Whether quotes enclose a value; None: where commas are between them alone."""
    escape: str | None = None
    """The character before a quote inside a value; None where such a quote is doubled."""
    breaks: bool = False
    """Whether a value in quotes may go over several lines."""

    @property
    def quoted(self) -> bool:
        """Whether quotes enclose a value."""
        return self.delimiter == "," if self.quotes is None else self.quotes


CSV = Layout()


def encoding_of(path: Path) -> str:
    """UTF-8 where the file is that throughout, else Latin-1: for files that are said to be either."""
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def read_rows(
    path: Path, columns: Sequence[Column], problems: Problems, layout: Layout = CSV
) -> pa.Table | None:
    """The columns, in the given order; None where something is wrong, which is then among the problems."""
    if not _begins(path, columns, problems, layout):
        return None
    try:
        table = _read(path, columns, layout)
        _refuse_out_of_range(table, columns)
    except (pa.ArrowInvalid, OSError) as failure:  # a zipped file may end too early
        _complain(path, columns, problems, layout, str(failure))
        return None
    if table.num_rows == 0:
        _complain_of_no_rows(path, problems, layout)
        return None
    return table


def read_pieces(
    path: Path,
    columns: Sequence[Column],
    problems: Problems,
    layout: Layout = CSV,
    odd: list[str] | None = None,
) -> Iterator[pa.Table]:
    """The columns, piece after piece. Where something is wrong it ends, and that is among the problems.

    Rows with another number of values than the others are wrong, unless `odd` is given: then they are left out, and their text is
    added to it.
    """
    if not _begins(path, columns, problems, layout):
        return
    rows = 0

    def leave_out(row: Any) -> str:
        assert odd is not None
        odd.append(row.text)
        return "skip"

    try:
        file, mark = _one_mark(path, layout)
        parse = _parse_options(mark, layout)
        if odd is not None:  # a handler is told the text of a row, which may be none
            parse.invalid_row_handler = leave_out
        reader = pyarrow.csv.open_csv(
            file,
            read_options=_read_options(layout),
            parse_options=parse,
            convert_options=_convert_options(columns),
        )
        for batch in reader:
            piece = pa.Table.from_batches([batch])
            _refuse_breaks(piece, columns, layout)
            _refuse_out_of_range(piece, columns)
            rows += piece.num_rows
            count(piece.num_rows, batch.nbytes)
            if piece.num_rows:
                yield piece
    except (pa.ArrowInvalid, OSError) as failure:  # a zipped file may end too early
        _complain(path, columns, problems, layout, str(failure), odd=odd is not None)
        return
    if not rows:
        _complain_of_no_rows(path, problems, layout)


def _begins(path: Path, columns: Sequence[Column], problems: Problems, layout: Layout) -> bool:
    """Whether there is something to read."""
    if path.stat().st_size == 0:
        problems.add(path.name, "is empty", "put the complete file in its place")
        return False
    return bool(layout.names) or _header_holds(path, columns, problems, layout)


def _complain_of_no_rows(path: Path, problems: Problems, layout: Layout) -> None:
    what = "holds no rows" if layout.names else "holds a header and no rows"
    problems.add(path.name, what, "put the complete file in its place")


def _complain(
    path: Path,
    columns: Sequence[Column],
    problems: Problems,
    layout: Layout,
    reason: str,
    *,
    odd: bool = False,
) -> None:
    before = len(problems)
    problems.extend(examine(path, columns, layout=layout, odd=odd))
    if len(problems) == before:
        problems.add(path.name, reason, "compare the file with the official one")


def read_unique(
    path: Path,
    columns: Sequence[Column],
    key: tuple[str, ...],
    what: str,
    problems: Problems,
    layout: Layout = CSV,
) -> pa.Table | None:
    """The file's columns, where no two rows have the same key; `what` says what is wrong with a later one, see `Complaint`."""
    table = read_rows(path, columns, problems, layout)
    if table is None or not refuse_repeats(table, path, columns, key, what, problems, layout):
        return None
    return table


def refuse_repeats(
    table: pa.Table,
    path: Path,
    columns: Sequence[Column],
    key: tuple[str, ...],
    what: str,
    problems: Problems,
    layout: Layout = CSV,
    *,
    odd: bool = False,
) -> bool:
    """Whether no two rows have the same key; the later ones are among the problems else, see `Complaint`."""
    counts = table.group_by(list(key)).aggregate([([], "count_all")])
    if counts.num_rows == table.num_rows:
        return True
    again = counts.filter(pc.greater(counts["count_all"], 1))
    values = frozenset(zip(*(again[name].to_pylist() for name in key), strict=True))
    complaint = Complaint(key, values, what, "keep one of the rows", spare_first=True)
    problems.extend(examine(path, columns, [complaint], layout, odd=odd))
    return False


def examine(
    path: Path,
    columns: Sequence[Column],
    complaints: Iterable[Complaint] = (),
    layout: Layout = CSV,
    *,
    odd: bool = False,
) -> Iterator[Problem]:
    """What is wrong in a file whose header is right, line by line; `odd` lets rows of another number of values be."""
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
            if odd:
                continue
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


def _header_holds(path: Path, columns: Sequence[Column], problems: Problems, layout: Layout = CSV) -> bool:
    records = _records(path, layout)
    header = next(((record, failure) for _, record, failure in records if record or failure), None)
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
    file, mark = _one_mark(path, layout)
    with pyarrow.csv.open_csv(
        file,
        read_options=_read_options(layout),
        parse_options=_parse_options(mark, layout),
        convert_options=_convert_options(columns),
    ) as reader:
        batches = []
        for batch in reader:
            count(batch.num_rows, batch.nbytes)
            batches.append(batch)
        table = pa.Table.from_batches(batches, reader.schema)
    _refuse_breaks(table, columns, layout)
    return table


def _one_mark(path: Path, layout: Layout) -> tuple[Any, str]:
    """What Arrow reads: it knows delimiters of one character, so one that no text has stands in for several."""
    if len(layout.delimiter) == 1:
        return path, layout.delimiter
    return pa.PythonFile(_Marked(path, layout.delimiter.encode()), "r"), "\x1f"


class _Marked(io.RawIOBase):
    """The bytes of a file with another mark between values, read as they are asked for."""

    def __init__(self, path: Path, mark: bytes) -> None:
        self._file = path.open("rb")
        self._mark = mark
        self._read = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes; a mark is never cut, because a line is not."""
        if not self._read:
            more = self._file.read(max(size, _BLOCK)) + self._file.readline()
            self._read = more.replace(self._mark, b"\x1f")
        size = len(self._read) if size < 0 else size
        found, self._read = self._read[:size], self._read[size:]
        return found

    def close(self) -> None:
        """And the file."""
        self._file.close()
        super().close()


def _read_options(layout: Layout) -> pyarrow.csv.ReadOptions:
    return pyarrow.csv.ReadOptions(
        column_names=list(layout.names) or None, encoding=layout.encoding, block_size=_BLOCK
    )


def _parse_options(mark: str, layout: Layout) -> pyarrow.csv.ParseOptions:
    return pyarrow.csv.ParseOptions(
        delimiter=mark,
        quote_char='"' if layout.quoted else False,
        double_quote=layout.escape is None,
        escape_char=layout.escape or False,
        newlines_in_values=layout.breaks,
    )


def _convert_options(columns: Sequence[Column]) -> pyarrow.csv.ConvertOptions:
    return pyarrow.csv.ConvertOptions(
        column_types={column.name: column.type for column in columns},
        include_columns=[column.name for column in columns],
        null_values=[],
    )


def _refuse_breaks(table: pa.Table, columns: Sequence[Column], layout: Layout) -> None:
    """A quote that is never closed swallows the lines behind it: wrong, unless values may go over several lines."""
    if layout.breaks:
        return
    for column in columns:
        if pa.types.is_string(column.type) and pc.any(pc.match_substring(table[column.name], "\n")).as_py():
            raise pa.ArrowInvalid(f"a value of {column.name} holds a line break")


def _refuse_out_of_range(table: pa.Table, columns: Sequence[Column]) -> None:
    if not _in_range(table, columns):
        raise pa.ArrowInvalid("a value is out of range")


def _in_range(table: pa.Table, columns: Sequence[Column]) -> bool:
    return all(
        pc.all(
            pc.and_(
                pc.greater_equal(table[column.name], column.low),
                pc.less_equal(table[column.name], column.high),
            ),
            min_count=0,
        ).as_py()
        for column in columns
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    )


def _records(path: Path, layout: Layout = CSV) -> Iterator[tuple[int, list[str] | None, Problem | None]]:
    """Line number, its fields or None, and what is wrong with the line as such, or with a zipped file behind it."""
    number = 0
    try:
        with opened(path) as file:
            for number, raw in _whole(lines_of(file), layout):
                yield number, *_record(f"{path.name} line {number}", number, raw, layout)
    except (OSError, EOFError, zlib.error) as failure:
        problem = Problem(path.name, f"cannot be read: {failure}", "put the complete file in its place")
        yield number + 1, None, problem


def _record(where: str, number: int, raw: bytes, layout: Layout) -> tuple[list[str] | None, Problem | None]:
    try:
        marked = number == 1 and layout.encoding == "utf-8"
        line = raw.decode("utf-8-sig" if marked else layout.encoding).rstrip("\r\n")
        return values_of(line, layout), None
    except UnicodeDecodeError as failure:
        what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
        return None, Problem(where, what, "save the file as UTF-8")
    except csv.Error as failure:
        what = "a quote is opened and not closed" if "end of data" in str(failure) else str(failure)
        return None, Problem(where, what, "quote a value as the CSV of the official file does")


def _whole(file: Iterable[bytes], layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; those that a value in quotes holds together are one, with the number of the first."""
    kept, begun = b"", 1
    for number, raw in enumerate(file, 1):
        if not kept:
            begun = number
        kept += raw
        if layout.breaks and kept.count(b'"') % 2:
            continue
        yield begun, kept
        kept = b""
    if kept:
        yield begun, kept


def values_of(line: str, layout: Layout) -> list[str]:
    """The values of a line; csv.Error where its quotes are not closed."""
    if not (layout.quoted and '"' in line):
        return line.split(layout.delimiter) if line else []
    found = csv.reader(
        line.splitlines(keepends=True) if layout.breaks else [line],
        delimiter=layout.delimiter,
        doublequote=layout.escape is None,
        escapechar=layout.escape,
        strict=True,
    )
    return next(found, [])
