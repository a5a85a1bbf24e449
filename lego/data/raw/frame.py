"""A table that a user has, from CSV, TSV, JSON lines, Parquet or Arrow: columns as they are, and the line of each row.

A file is read by Arrow in one go. Only where that fails, or a value is complained of, is it walked through line by line to say
where. Every column of a CSV is text. Tables in memory are written to Parquet first, see `kept`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.progress import count
from lego.data.raw.growing import blocks
from lego.data.raw.raw_file import BROKEN
from lego.data.raw.spool import spooled
from lego.data.table import PARTS
from lego.errors import Problem, SpecError
from lego.home import home
from lego.spec import Choice

_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
FORMATS = "CSV, TSV, JSON lines, Parquet, or Arrow (.csv, .tsv, .jsonl, .parquet, .arrow, .feather; .csv.gz, .jsonl.gz)"
_BLOCK = 1 << 26
"""Bytes that a row may have at most, and that are read at a time."""
_PIECE = 1 << 22
"""Bytes of a CSV that are read at a time where no row has more: Arrow reads 32 times as many ahead."""
_BUFFER = 1 << 20
"""Bytes of a column of Parquet that are read at a time."""
_KEPT = "tables"
_AS_UTF8 = "save the file as UTF-8; one of Windows is often Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW"
_ROWS = 1 << 19
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
        for begin, end in blocks(self.table.num_rows, _ROWS):
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
            found = _csv_records(self.path, self.delimiter)
            return [line for line, fields, problem in found if fields or problem][1:]
        if self.format == "json":
            return [line for line, _ in _json_lines(self.path)]
        return range(1, self.table.num_rows + 1)


def table_files(path: str | os.PathLike[str], option: str, problems: Problems) -> list[Path]:
    """The file, or the Parquet parts of a folder in the order of their names; none, and a problem, where it is not there."""
    file = Path(path).expanduser()
    if file.is_file():
        return [file]
    if file.is_dir():
        return _parts(file, problems)
    if file.parent == home() / _KEPT:
        what, fix = "the copy of it under LEGO_HOME is gone", "run the script that gives it again"
    else:
        what, fix = (
            "there is no such file",
            f"name the file of {option}; a relative path in a script starts at the script",
        )
    problems.add(str(file), what, fix)
    return []


def _parts(folder: Path, problems: Problems) -> list[Path]:
    """What a folder holds, but for the marks that whoever wrote it left there."""
    there = sorted(each for each in folder.iterdir() if not each.name.startswith((".", "_")))
    parts = [each for each in there if each.is_file() and _FORMATS.get(each.suffix.lower()) == "parquet"]
    others = [each.name for each in there if each not in parts and (each.is_dir() or _is_table(each))]
    if others:
        what = f"is a folder that holds {', '.join(others[:3])}{' …' if len(others) > 3 else ''}"
        fix = "name a folder of nothing but Parquet parts, or one file"
        problems.add(str(folder), what, fix)
        return []
    if not parts:
        fix = f"name a folder of Parquet parts (.parquet), or one file: {FORMATS}"
        problems.add(str(folder), "is a folder without a Parquet file", fix)
    return parts


def _is_table(file: Path) -> bool:
    return any(each.lower() in _FORMATS for each in file.suffixes)


def read_frame(path: str | os.PathLike[str], option: str, problems: Problems) -> Frame | None:
    """The table in a file or in a folder of parts; None where it cannot be read, which is then among the problems."""
    file = Path(path).expanduser()
    files = table_files(file, option, problems)
    if not files:
        return None
    name = f"{option} (a table in memory)" if file.parent == home() / _KEPT else file.name
    if file.is_dir():
        return _read_folder(file, files, problems)
    suffix = Path(file.stem).suffix if file.suffix == ".gz" else file.suffix
    form = _FORMATS.get(suffix.lower())
    if form is None or (file.suffix == ".gz" and form not in {"csv", "json"}):
        problems.add(
            str(file), f"{''.join(file.suffixes) or 'no suffix'} is no format that is read", f"give {FORMATS}"
        )
        return None
    if file.stat().st_size == 0:
        problems.add(name, "is empty", "put the complete file in its place")
        return None
    if other := _other_kind(file, form):
        what = f"is {other}, and no {suffix} file, whatever its name says"
        problems.add(name, what, "unpack or export it, and name the file that this makes by its format")
        return None
    read = {"csv": _read_csv, "json": _read_json, "parquet": _read_arrow, "arrow": _read_arrow}[form]
    try:
        frame = read(file, name, form, problems)
    except (OSError, EOFError, zlib.error) as failure:  # an archive that is cut short, a disk that fails
        problems.add(name, f"cannot be read: {failure}", "put the complete file in its place")
        return None
    if frame is not None and frame.table.num_rows == 0:
        problems.add(name, "holds no rows", "put the complete file in its place")
        return None
    if frame is not None:
        count(frame.table.num_rows, file.stat().st_size)
    return frame


_BEGINNINGS = (
    (b"PK\x03\x04", "a zip"),
    (b"\x1f\x8b", "gzipped"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard"),
    (b"SQLite format 3", "a database of SQLite"),
)
"""How files of other kinds begin."""


def _other_kind(file: Path, form: str) -> str | None:
    """What a file is that its first bytes show to be something else; None where they do not."""
    with file.open("rb") as opened:
        head = opened.read(16)
    kind = next((each for begin, each in _BEGINNINGS if head.startswith(begin)), None)
    if kind == "gzipped" and file.suffix == ".gz":
        with suppress(OSError, EOFError, zlib.error), gzip.open(file) as packed:
            head = packed.read(16)
            kind = next((each for begin, each in _BEGINNINGS if head.startswith(begin)), None)
            return None if kind is None else f"{kind}, gzipped"
        return None
    if kind in {"a Parquet file", "an Arrow file"} and form == kind.split()[1].lower():
        return None
    if kind == "a zip":
        with suppress(*BROKEN), zipfile.ZipFile(file) as archive:
            if "[Content_Types].xml" in archive.namelist():
                return (
                    "an Excel workbook (.xlsx)"
                    if "xl/workbook.xml" in archive.namelist()
                    else "an Office document"
                )
    return kind


def _of_names(name: str, names: list[str], problems: Problems) -> bool:
    """Whether no column is there twice."""
    again = sorted({each for each in names if names.count(each) > 1 and each})
    for column in again:
        problems.add(name, f"the column {column} is there twice", "take one of them out, or rename it")
    return not again


# --- CSV ----------------------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _delimiter(path: Path) -> str:
    """A tab in .tsv; else what the first line has most of, a comma unless there is none."""
    if ".tsv" in path.suffixes[-2:]:
        return "\t"
    with _opened(path) as file:
        head = file.readline().decode("utf-8-sig", "replace")
    return "," if "," in head else next((mark for mark in "\t;" if mark in head), ",")


def _read_csv(path: Path, name: str, form: str, problems: Problems) -> Frame | None:
    delimiter = _delimiter(path)
    head = next(
        (
            (fields, problem)
            for _, fields, problem in _csv_records(path, delimiter, name)
            if fields or problem
        ),
        None,
    )
    if head is None:
        problems.add(name, "is empty", "put the complete file in its place")
        return None
    names, problem = head
    if problem is not None or names is None:
        problems.extend([problem] if problem is not None else [])
        return None
    if not _of_names(name, names, problems):
        return None
    try:
        try:
            table = _spooled_csv(path, names, delimiter, min(_PIECE, _BLOCK))
        except pa.ArrowInvalid:  # a row may be longer
            table = _spooled_csv(path, names, delimiter, _BLOCK)
        # A quote that is never closed swallows the lines behind it, and Arrow does not mind.
        sound = not any(_is_odd(table[each]) for each in table.column_names)
        reason = "a quote is opened and not closed"
    except pa.ArrowInvalid as failure:
        sound, reason = False, str(failure)
    if sound or not _wrong_csv(path, name, delimiter, problems):
        if not sound and reason != "a quote is opened and not closed":
            problems.add(name, reason, "save the table anew")
            return None
        return Frame(name, table, path, form, delimiter)
    return None


def _spooled_csv(path: Path, names: list[str], delimiter: str, size: int) -> pa.Table:
    """The rows, all of them as text, read so many bytes at a time."""
    with pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=size),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[each for each in names if each],  # an index that was saved along has no name
            null_values=[],
        ),
    ) as reader:
        return spooled(reader, reader.schema)


def _is_odd(column: pa.ChunkedArray) -> bool:
    """Whether a value has a line break or a NUL byte in it."""
    return any(
        bool(pc.any(pc.match_substring(column.slice(begin, end - begin), mark), min_count=0).as_py())
        for begin, end in blocks(len(column), _ROWS)
        for mark in ("\n", "\0")
    )


def _wrong_csv(path: Path, name: str, delimiter: str, problems: Problems) -> int:
    """How many lines are wrong, each of which is then among the problems."""
    before, width = len(problems), 0
    for line, fields, problem in _csv_records(path, delimiter, name):
        if problem is not None:
            problems.extend([problem])
        elif fields and not width:
            width = len(fields)
        elif fields and len(fields) != width:
            what = f"{width} columns are expected, {len(fields)} found"
            fix = "put quotes around a value that holds the delimiter or a line break"
            problems.add(f"{name} line {line}", what, fix)
    return len(problems) - before


def _csv_records(
    path: Path, delimiter: str, name: str | None = None
) -> Iterator[tuple[int, list[str] | None, Problem | None]]:
    """The line a record begins in, counted from 1, its fields, or what is wrong. An empty line is a record without fields."""
    name = path.name if name is None else name
    undecoded: list[Problem] = []

    def lines() -> Iterator[str]:
        with _opened(path) as file:
            for number, raw in enumerate(file, 1):
                coding = "utf-8-sig" if number == 1 else "utf-8"
                if b"\0" in raw:
                    what = f"byte {raw.index(0) + 1} of the line is NUL, which no text has"
                    fix = "save the table anew as text: the file is damaged, or no CSV"
                    undecoded.append(Problem(f"{name} line {number}", what, fix))
                    yield raw.decode(coding, "replace").replace("\0", " ")
                    continue
                try:
                    yield raw.decode(coding)
                except UnicodeDecodeError as failure:
                    what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                    undecoded.append(Problem(f"{name} line {number}", what, _AS_UTF8))
                    yield raw.decode(coding, "replace")

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            fields, problem = next(reader), None
        except StopIteration:
            return
        except csv.Error as failure:
            what = "a quote is opened and not closed" if "end of data" in str(failure) else str(failure)
            fix = "put quotes around the whole value, and double a quote that is part of it"
            fields, problem = None, Problem(f"{name} line {line}", what, fix)
        if undecoded:
            for each in undecoded:
                yield line, None, each
            undecoded.clear()
        else:
            yield line, fields, problem
        line = reader.line_num + 1


# --- JSON ---------------------------------------------------------------------------------------------------------------------


def _json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with _opened(path) as file:
        for number, raw in enumerate(file, 1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if line.strip():
                yield number, line


def _read_json(path: Path, name: str, form: str, problems: Problems) -> Frame | None:
    with _opened(path) as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] == b"[":
        return _read_array(path, name, problems)
    try:
        table = _spooled_json(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as failure:
        if not _wrong_json(path, name, problems):
            problems.add(
                name,
                str(failure).splitlines()[0],
                "write one object a line, with values of one type for a name",
            )
        return None
    return Frame(name, table, path, form)


def _spooled_json(path: Path) -> pa.Table:
    """The objects of all lines: what their types are in all of them is looked at first where they are many."""
    whole: pa.Table | None = None
    schema = pa.schema([])
    for count_before, data in enumerate(_json_blocks(path)):
        read = _json_table(data, None)
        schema = _either_schema(schema, read.schema)
        whole = read if not count_before else None
    if whole is not None:
        return whole

    def pieces() -> Iterator[pa.RecordBatch]:
        for data in _json_blocks(path):
            yield from _json_table(data, schema).select(schema.names).cast(schema).to_batches()

    return spooled(pieces(), schema)


def _json_blocks(path: Path) -> Iterator[bytes]:
    """Lines, as many as are read at a time."""
    with _opened(path) as file:
        data = file.read(3).removeprefix(b"\xef\xbb\xbf")
        while more := file.read(_BLOCK) + file.readline():
            data += more
            if data.strip():
                yield data
            data = b""
        if data.strip():
            yield data


def _json_table(data: bytes, schema: pa.Schema | None) -> pa.Table:
    table = pyarrow.json.read_json(
        pa.BufferReader(data),
        read_options=pyarrow.json.ReadOptions(block_size=_BLOCK),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
    )
    table.validate(full=True)  # Arrow reads bytes that are no UTF-8
    return table


def _either_schema(first: pa.Schema, second: pa.Schema) -> pa.Schema:
    """Types that hold the values of both, as Arrow takes them within a file; ArrowInvalid where there are none."""
    found = {field.name: field.type for field in first}
    for field in second:
        found[field.name] = _either(found.get(field.name, field.type), field.type, field.name)
    return pa.schema(list(found.items()))


def _either(one: pa.DataType, other: pa.DataType, name: str) -> pa.DataType:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_timestamp(one) and pa.types.is_string(other):
        return other
    if pa.types.is_string(one) and pa.types.is_timestamp(other):
        return one
    if pa.types.is_list(one) and pa.types.is_list(other):
        return pa.list_(_either(one.value_type, other.value_type, name))
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        return pa.struct(list(_either_schema(pa.schema(list(one)), pa.schema(list(other)))))
    raise pa.ArrowInvalid(f"JSON parse error: Column(/{name}) changed from {one} to {other}")


def _read_array(path: Path, name: str, problems: Problems) -> Frame | None:
    """A file that is one array of objects."""
    try:
        with _opened(path) as file:
            rows = json.loads(file.read().decode("utf-8-sig"))
        return Frame(name, pa.Table.from_pylist(rows), path, "array")
    except (ValueError, pa.ArrowException, AttributeError, TypeError) as failure:
        problems.add(
            name, f"is not an array of objects: {failure}", "write one object a line instead (.jsonl)"
        )
        return None


def _wrong_json(path: Path, name: str, problems: Problems) -> int:
    before = len(problems)
    first: dict[str, tuple[type, int]] = {}
    for number, raw in _json_lines(path):
        where = f"{name} line {number}"
        try:
            row = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError as failure:
            what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
            problems.add(where, what, _AS_UTF8)
            continue
        except ValueError as failure:
            problems.add(where, f"is not JSON: {failure}", "write one object a line")
            continue
        if not isinstance(row, dict):
            problems.add(
                where, f"one object is expected, {_kind(type(row))} found", "write one object a line"
            )
            continue
        for column, value in row.items():
            kind = float if type(value) is int else type(value)
            if value is None:
                continue
            known, line = first.setdefault(column, (kind, number))
            if kind is not known:
                what = f"{_kind(known)} is expected as in line {line}, {_kind(kind)} found"
                problems.add(f"{where}, column {column}", what, "write values of one type for a name")
    return len(problems) - before


def _kind(kind: type) -> str:
    known = {
        str: "a text",
        float: "a number",
        int: "a number",
        bool: "true or false",
        list: "a list",
        dict: "an object",
    }
    return known.get(kind, kind.__name__)


# --- Parquet and Arrow --------------------------------------------------------------------------------------------------------


def _read_arrow(path: Path, name: str, form: str, problems: Problems) -> Frame | None:
    try:
        table = _read_parquet(path) if form == "parquet" else _read_ipc(path)
    except (pa.ArrowException, OSError) as failure:
        kind = "a Parquet" if form == "parquet" else "an Arrow"
        problems.add(name, f"is not {kind} file that can be read: {failure}", "write it again")
        return None
    names = [each for each in table.column_names if not each.startswith("__index_level_")]
    return Frame(name, table.select(names), path, form) if _of_names(name, names, problems) else None


def _read_folder(folder: Path, files: list[Path], problems: Problems) -> Frame | None:
    """The rows of all parts, one part behind the other; each has the columns of the first, in any order."""
    name, before = folder.name, len(problems)
    kinds: list[tuple[str, pa.Schema, int]] = []
    for file in files:
        try:
            with pq.ParquetFile(file) as opened:
                kinds.append((f"{name}/{file.name}", opened.schema_arrow, opened.metadata.num_rows))
        except (pa.ArrowException, OSError) as failure:
            what = f"is not a Parquet file that can be read: {failure}"
            problems.add(f"{name}/{file.name}", what, "write it again")
    if len(problems) > before:
        return None
    first, schema, _ = kinds[0]
    columns = [each for each in schema.names if not each.startswith("__index_level_")]
    if not _of_names(first, columns, problems):
        return None
    wanted = schema = _plain_schema(schema, columns)
    for part, found, _ in kinds[1:]:
        names = [each for each in found.names if not each.startswith("__index_level_")]
        lacking, more = sorted(set(columns) - set(names)), sorted(set(names) - set(columns))
        fix = "write all parts with the same columns"
        if lacking or more or len(names) != len(columns):
            told = [f"lacks {', '.join(lacking)}"] * bool(lacking) + [f"has {', '.join(more)}"] * bool(more)
            what = f"its columns are not those of {first}: it {' and '.join(told) or 'has one twice'}"
            problems.add(part, what, fix)
            continue
        try:
            wanted = pa.unify_schemas([wanted, _plain_schema(found, columns)], promote_options="permissive")
        except pa.ArrowException:
            other = _plain_schema(found, columns)
            wrong = next((each for each in columns if _cannot_join(schema, other, each)), columns[0])
            what = f"is {other.field(wrong).type}, in other parts {wanted.field(wrong).type}"
            problems.add(f"{part}, column {wrong}", what, fix)
    if len(problems) > before:
        return None
    rows = [each for _, _, each in kinds]
    if not sum(rows):
        problems.add(name, "holds no rows", "put the complete files in its place")
        return None

    def pieces() -> Iterator[pa.RecordBatch]:
        for file, (_, found, _) in zip(files, kinds, strict=True):
            with pq.ParquetFile(file, read_dictionary=[], buffer_size=_BUFFER, pre_buffer=False) as opened:
                for batch in opened.iter_batches(_ROWS, columns=_top(found, columns)):
                    yield from pa.Table.from_batches([batch]).select(columns).cast(wanted).to_batches()

    table = spooled(pieces(), wanted)
    count(table.num_rows, sum(file.stat().st_size for file in files))
    ends = np.cumsum(rows).tolist()
    return Frame(
        name, table, folder, "parquet", parts=tuple(zip([each for each, _, _ in kinds], ends, strict=True))
    )


def _top(schema: pa.Schema, columns: list[str]) -> list[str]:
    """The columns to read, in the order they stand in the part."""
    return [each for each in schema.names if each in columns]


def _plain_schema(schema: pa.Schema, columns: list[str]) -> pa.Schema:
    """These columns without what was written beside them; what is coded in one part as its own values is those values."""
    fields = (schema.field(each) for each in columns)
    return pa.schema(
        [
            (each.name, each.type.value_type if pa.types.is_dictionary(each.type) else each.type)
            for each in fields
        ]
    )


def _cannot_join(one: pa.Schema, other: pa.Schema, column: str) -> bool:
    try:
        pa.unify_schemas(
            [pa.schema([each.field(column)]) for each in (one, other)], promote_options="permissive"
        )
    except pa.ArrowException:
        return True
    return False


def _read_parquet(path: Path) -> pa.Table:
    """In pieces, but where it holds dictionaries, which differ from piece to piece."""
    with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
        schema = file.schema_arrow
        if _coded(schema):
            return file.read()
        return spooled(file.iter_batches(_ROWS), schema)


def _read_ipc(path: Path) -> pa.Table:
    """Mapped as it is; in pieces where it is packed, but where it holds dictionaries, which may differ from piece to piece."""
    mapped = pa.memory_map(str(path))
    try:
        with pa.ipc.open_file(mapped) as file:
            if not _coded(file.schema):
                return spooled((file.get_batch(n) for n in range(file.num_record_batches)), file.schema)
    except pa.ArrowInvalid:  # the stream form has no footer
        with suppress(pa.ArrowInvalid), pa.ipc.open_stream(mapped) as stream:
            return stream.read_all() if _coded(stream.schema) else spooled(stream, stream.schema)
    return pyarrow.feather.read_table(path)


def _coded(schema: pa.Schema) -> bool:
    return any(pa.types.is_dictionary(field.type) for field in schema)


# --- tables in memory ---------------------------------------------------------------------------------------------------------


def kept(value: Any, option: str) -> Any:
    """What a field of a spec holds: a path as text, or `{part: path}`.

    A table in memory (Arrow, pandas or whatever gives Arrow, a list of dicts, a dict of columns) is written to Parquet under
    LEGO_HOME, named by its content. SpecError where it is none of these.
    """
    if isinstance(value, Choice):
        return Choice(tuple(kept(each, option) for each in value.values), tied=value.tied)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping) and value and set(value) <= set(PARTS):
        return {part: kept(each, option) for part, each in value.items()}
    table = _as_table(value, option)
    return None if table is None else str(_written(table))


def _as_table(value: Any, option: str) -> pa.Table | None:
    pandas = sys.modules.get("pandas")  # who has a data frame has imported it
    try:
        if isinstance(value, pa.Table):
            return value
        if isinstance(value, pa.RecordBatch):
            return pa.Table.from_batches([value])
        if pandas is not None and isinstance(value, pandas.DataFrame):
            return pa.Table.from_pandas(value, preserve_index=False)
        if hasattr(value, "__arrow_c_stream__"):
            return pa.table(value)
        if isinstance(value, Mapping) and value and not any(isinstance(each, str) for each in value.values()):
            return pa.table({str(name): list(column) for name, column in value.items()})
        if isinstance(value, list | tuple) and value and all(isinstance(row, Mapping) for row in value):
            return pa.Table.from_pylist([dict(row) for row in value])
    except (pa.ArrowException, TypeError, ValueError) as failure:
        raise SpecError(
            f"Tables({option}=…): the table cannot be made Arrow: {failure}. Give each column values of one type."
        ) from failure
    kind = f"a {type(value).__name__}"
    if isinstance(value, Mapping):
        kind = f"a dict of {', '.join(map(str, value))}"
    raise SpecError(
        f"Tables({option}=…): {option} must be a path, a table of Arrow or pandas, a list of dicts, a dict of columns, "
        f"or a dict of parts ({', '.join(PARTS)}), was {kind}."
    )


def _written(table: pa.Table) -> Path:
    """The Parquet file of a table, named by its content."""
    plain = table.replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    path = home() / _KEPT / f"{hashlib.sha256(sink.getvalue()).hexdigest()[:32]}.parquet"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(plain, aside, compression="zstd")
        aside.replace(path)
    return path
