"""A table in Parquet or Arrow: a file, or a folder of Parquet parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from lego.data.problems import Problems
from lego.data.progress import count
from lego.data.raw.frame import ROWS, Frame, named_once
from lego.data.raw.spool import spooled

_BUFFER = 1 << 20
"""Bytes of a column of Parquet that are read at a time."""


def read_arrow(path: Path, name: str, form: str, problems: Problems) -> Frame | None:
    """The table; None where it cannot be read, which is then among the problems."""
    try:
        table = _read_parquet(path) if form == "parquet" else _read_ipc(path)
    except (pa.ArrowException, OSError) as failure:
        kind = "a Parquet" if form == "parquet" else "an Arrow"
        problems.add(name, f"is not {kind} file that can be read: {failure}", "write it again")
        return None
    names = [each for each in table.column_names if not each.startswith("__index_level_")]
    return Frame(name, table.select(names), path, form) if named_once(name, names, problems) else None


def read_folder(folder: Path, files: list[Path], problems: Problems) -> Frame | None:
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
    if not named_once(first, columns, problems):
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
                for batch in opened.iter_batches(ROWS, columns=_top(found, columns)):
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
        return spooled(file.iter_batches(ROWS), schema)


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
