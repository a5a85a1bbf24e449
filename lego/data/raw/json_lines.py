"""Files of one object a line, in JSON or as Python literals, plain or gzipped → Arrow tables of declared columns, piece by piece.

A piece of JSON is read by Arrow in one go. Only where that fails, or a value breaks a rule of its column, is it walked through
line by line to say what is wrong. Python literals, which some data sets are written in, are always walked through, and are parsed
as literals: nothing in a file is ever executed.
"""

from __future__ import annotations

import ast
import gzip
import json
import math
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Protocol

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.progress import count

_PIECE = 1 << 24
"""Bytes that are read at a time."""
_PARSED = 1 << 20
"""Bytes that one thread of Arrow parses at a time; a longer line is walked through."""
_LONGEST = 1 << 28
"""Bytes that a line may have: more is no line of any data set, and would fill the memory."""

LINE = "line"
"""The column that says which line a row stands in, counted from 1."""


class File(Protocol):
    """What is read: a `Path`, or a member of an archive (`zipfile.Path`). A name that ends in `.gz` is unzipped on the way."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def open(self, mode: str, /) -> Any:
        """A stream of bytes with "rb"."""
        ...


@attrs.frozen
class Field:
    """A value that objects hold under a name, and what it must be. Other names are passed over."""

    name: str
    type: pa.DataType = attrs.field(factory=pa.string)
    """Text, whole number, number, bool, list, struct (an object with these names) or map (an object with any names)."""
    required: bool = False
    """Whether each object has it, neither null nor an empty text. What is not required may be missing, which is null."""
    low: float = float("-inf")
    high: float = float("inf")
    """The closed range that a number is in."""
    otherwise: Callable[[Any], Any] | None = None
    """Makes a value of this type, or None, of a value of another type; what it gives back as it is is an error, as without it."""

    @property
    def expected(self) -> str:
        """In words."""
        words = _words(self.type)
        if self.low > float("-inf"):
            upper = f" to {self.high:g}" if self.high < float("inf") else " up"
            words += f" from {self.low:g}{upper}"
        return words


def read_json_lines(
    file: File,
    fields: Sequence[Field],
    problems: Problems,
    *,
    literal: bool = False,
    lines: bool = False,
    piece: int = _PIECE,
) -> Iterator[pa.Table]:
    """Tables of the fields, in the order of the file, of the rows that are right; what is wrong is added to `problems`.

    `literal=True` reads Python literals. `lines=True` adds the column `line`. Blank lines are passed over, and so is a mark of
    the byte order at the start. Half of a surrogate pair, which is no character, becomes U+FFFD. `piece` is how many bytes are
    read at a time.
    """
    schema = pa.schema([pa.field(field.name, field.type) for field in fields])
    fast = not literal and not any(pa.types.is_map(field.type) for field in fields)
    rows, before = 0, len(problems)
    try:
        for first, block in whole_lines(file, problems, piece):
            read = _by_arrow(block, first, fields, schema) if fast else None
            if read is None:
                read = _by_line(file.name, block, first, fields, _literal if literal else _json, problems)
            table, numbers = read
            rows += table.num_rows
            count(table.num_rows, len(block))
            if table.num_rows:
                yield table.append_column(LINE, pa.array(numbers)) if lines else table
    except (OSError, EOFError, zlib.error, tarfile.TarError) as failure:
        problems.add(file.name, f"cannot be read: {failure}", "put the complete file in its place")
        return
    if not rows and len(problems) == before:
        problems.add(file.name, "holds no rows", "put the complete file in its place")


def complain_of_values(
    file: File,
    field: Field,
    values: pa.Array,
    what: str,
    fix: str,
    problems: Problems,
    *,
    literal: bool = False,
) -> None:
    """A problem for each row whose field is among `values`; `what` has `{}` where the value stands."""
    for table in read_json_lines(file, [field], Problems(), literal=literal, lines=True):
        for row in table.filter(pc.is_in(table[field.name], value_set=values)).to_pylist():
            where = f"{file.name} line {row[LINE]}, column {field.name}"
            problems.add(where, what.format(row[field.name]), fix)


@contextmanager
def opened(file: File) -> Iterator[IO[bytes]]:
    """The bytes of a file, unzipped where its name says that it is zipped."""
    with file.open("rb") as stream:
        zipped: Any = gzip.GzipFile(fileobj=stream)
        yield zipped if file.name.endswith(".gz") else stream


def whole_lines(file: File, problems: Problems, size: int = _PIECE) -> Iterator[tuple[int, bytes]]:
    """Whole lines of about `size` bytes, and the number of the first."""
    number, kept = 1, b""
    with opened(file) as stream:
        while chunk := stream.read(size):
            end = chunk.rfind(b"\n") + 1
            if not end:
                kept += chunk
                if len(kept) > _LONGEST:
                    what = f"is longer than {_LONGEST >> 20} MiB"
                    problems.add(f"{file.name} line {number}", what, "write one object a line")
                    return
                continue
            block, kept = kept + chunk[:end], chunk[end:]
            yield number, block.removeprefix(b"\xef\xbb\xbf") if number == 1 else block
            number += block.count(b"\n")
    if kept:
        yield number, kept.removeprefix(b"\xef\xbb\xbf") if number == 1 else kept


# --- by Arrow -----------------------------------------------------------------------------------------------------------------


def _by_arrow(
    block: bytes, first: int, fields: Sequence[Field], schema: pa.Schema
) -> tuple[pa.Table, NDArray[np.int64]] | None:
    """The rows and their lines; None where there is anything to look at more closely."""
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(block),
            read_options=pyarrow.json.ReadOptions(block_size=_PARSED),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        )
        table.validate(full=True)  # Arrow reads bytes that are no UTF-8
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if not all(_holds(table[field.name], field) for field in fields):
        return None
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if lines == table.num_rows == block.count(b"\n{") + block.startswith(b"{"):
        return table, np.arange(first, first + lines)
    there = [place for place, line in enumerate(block.split(b"\n")) if line.strip()]
    # Arrow also takes an object over several lines, and several in one.
    return (table, np.array(there) + first) if len(there) == table.num_rows else None


def _holds(column: pa.ChunkedArray, field: Field) -> bool:
    """Whether the column keeps the rules of its field."""
    text = pa.types.is_string(field.type)
    if field.required and (column.null_count or (text and pc.any(pc.equal(column, ""), min_count=0).as_py())):
        return False
    if pa.types.is_floating(field.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
        return False
    if field.low > float("-inf") or field.high < float("inf"):
        inside = pc.and_(pc.greater_equal(column, field.low), pc.less_equal(column, field.high))
        return bool(pc.all(inside, min_count=0).as_py())
    return True


# --- line by line -------------------------------------------------------------------------------------------------------------


def _by_line(
    name: str,
    block: bytes,
    first: int,
    fields: Sequence[Field],
    parse: Callable[[str], dict[str, Any]],
    problems: Problems,
) -> tuple[pa.Table, NDArray[np.int64]]:
    columns: list[list[Any]] = [[] for _ in fields]
    numbers = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a backslash of no meaning stays one
        warnings.simplefilter("ignore", DeprecationWarning)
        for number, raw in enumerate(block.split(b"\n"), first):
            if not raw.strip():
                continue
            try:
                row = parse(raw.decode("utf-8").strip())
            except UnicodeDecodeError as failure:
                what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                problems.add(f"{name} line {number}", what, "save the file as UTF-8")
                continue
            except _UnreadableError as failure:
                problems.add(f"{name} line {number}", str(failure), "write one object a line")
                continue
            values = []
            for field in fields:
                try:
                    values.append(_admitted(row.get(field.name), field))
                except _UnfitError as failure:
                    where = f"{name} line {number}, column {field.name}"
                    problems.add(where, str(failure), "correct the value, or take the line out")
            if len(values) == len(fields):
                numbers.append(number)
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.table(arrays, [field.name for field in fields]), np.array(numbers, np.int64)


class _UnreadableError(ValueError):
    """A line is not what it should be, as a whole."""


class _UnfitError(ValueError):
    """A value is not what its field says."""


def _json(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text, parse_constant=_no_number, object_pairs_hook=_each_once)
    except _UnreadableError:
        raise
    except (ValueError, RecursionError) as failure:
        raise _UnreadableError(f"is not JSON: {failure}") from failure
    return _object(row)


def _no_number(text: str) -> Any:
    raise _UnreadableError(f"is not JSON: {text} is no number")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for name in names if names.count(name) > 1)
        raise _UnreadableError(f"the name {again!r} is there twice in one object")
    return row


def _literal(text: str) -> dict[str, Any]:
    try:
        row = ast.literal_eval(text)
    except SyntaxError as failure:
        raise _UnreadableError(f"is not a Python literal: {failure.msg}") from failure
    except (ValueError, TypeError, MemoryError, RecursionError) as failure:
        raise _UnreadableError("is not a Python literal") from failure
    return _object(row)


def _object(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise _UnreadableError(f"one object is expected, {_kind(row)} found")
    return row


def _admitted(value: Any, field: Field) -> Any:
    """The value as its column takes it; _UnfitError where it cannot."""
    try:
        made = _made(value, field.type)
    except _UnfitError:
        try:
            made = _made(value if field.otherwise is None else field.otherwise(value), field.type)
        except _UnfitError:
            raise _UnfitError(f"{field.expected} is expected, {_shown(value)} found") from None
    if field.required and (made is None or made == ""):
        found = "null" if made is None else "an empty text"
        raise _UnfitError(f"{field.expected} is expected, nothing or {found} found")
    if isinstance(made, int | float) and not field.low <= made <= field.high:
        raise _UnfitError(f"{field.expected} is expected, {made!r} found")
    return made


def _made(value: Any, form: pa.DataType) -> Any:
    """The value as Arrow takes it for a type; _UnfitError where it is of another one."""
    if value is None:
        return None
    kind = type(value)
    if pa.types.is_string(form) and kind is str:
        return value if value.isascii() else _characters(value)
    if pa.types.is_boolean(form) and kind is bool:
        return value
    if pa.types.is_integer(form) and kind is int and -(2**63) <= value < 2**63:
        return value
    if pa.types.is_floating(form) and (kind is float or kind is int) and abs(value) < 2**1023:
        if math.isfinite(value):
            return float(value)
    elif pa.types.is_map(form) and kind is dict:
        return [(_made(key, form.key_type), _made(each, form.item_type)) for key, each in value.items()]
    elif pa.types.is_struct(form) and kind is dict:
        return {field.name: _made(value.get(field.name), field.type) for field in form}
    elif pa.types.is_list(form) and (kind is list or kind is tuple):
        return [_made(each, form.value_type) for each in value]
    raise _UnfitError


def _characters(text: str) -> str:
    """Text without halves of surrogate pairs; whole ones that were escaped by halves become their character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _words(form: pa.DataType) -> str:
    if pa.types.is_string(form):
        return "a text"
    if pa.types.is_boolean(form):
        return "true or false"
    if pa.types.is_integer(form):
        return "a whole number"
    if pa.types.is_floating(form):
        return "a number"
    if pa.types.is_list(form):
        inner = form.value_type
        plural = "texts" if pa.types.is_string(inner) else "objects" if pa.types.is_struct(inner) else "lists"
        return f"a list of {plural}"
    return "an object"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    words = {
        dict: "an object",
        list: "a list",
        tuple: "a list",
        str: "a text",
        int: "a number",
        float: "a number",
    }
    return words.get(type(value), "null")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
