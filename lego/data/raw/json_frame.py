"""A table in JSON lines, or in an array of JSON: read by Arrow, and walked through only where that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.json_rows import json_rows
from lego.data.raw.spool import spooled
from lego.data.raw.text_bytes import AS_UTF8, BLOCK, unpacked


def read_json(path: Path, name: str, form: str, problems: Problems) -> Frame | None:
    """The table; None where it cannot be read, which is then among the problems."""
    with unpacked(path) as file:
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
    with unpacked(path) as file:
        data = file.read(3).removeprefix(b"\xef\xbb\xbf")
        while more := file.read(BLOCK) + file.readline():
            data += more
            if data.strip():
                yield data
            data = b""
        if data.strip():
            yield data


def _json_table(data: bytes, schema: pa.Schema | None) -> pa.Table:
    table = pyarrow.json.read_json(
        pa.BufferReader(data),
        read_options=pyarrow.json.ReadOptions(block_size=BLOCK),
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
        with unpacked(path) as file:
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
    for number, raw in json_rows(path):
        where = f"{name} line {number}"
        try:
            row = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError as failure:
            what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
            problems.add(where, what, AS_UTF8)
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
