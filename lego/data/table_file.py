"""A table on disk as it is in memory: an uncompressed Arrow file that is mapped, so that opening it reads and holds nothing.

A list of numbers has 64-bit offsets there, and is one piece where the text beside it is less than a GiB; NaN stands for a number
in it that is missing. Histories, candidates and labels are views of the file. Before schema version 3 prepared data was Parquet,
which is decoded at opening.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lego.data.raw.growing import forget
from lego.data.table import SIGNAL, flat, lists, ragged, signal
from lego.errors import DataError, Problem

SUFFIX = ".arrow"
OLD_SUFFIX = ".parquet"
"""Before schema version 3."""

_PIECE = 1 << 24
"""Bytes that are written at a time."""
_TEXT = 1 << 30
"""Bytes of text that are at most put together in one piece, which cannot have more than 2 GiB."""


def write(table: pa.Table, path: Path) -> None:
    """The table as a file; memory grows by what its columns are in the types of the file."""
    stored = pa.table(
        [_stored(table[field.name], field) for field in table.schema],
        pa.schema([_stored_field(field) for field in table.schema]),
    )
    if sum(stored[field.name].nbytes for field in stored.schema if _is_text(field.type)) < _TEXT:
        stored = stored.unify_dictionaries().combine_chunks()
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with (
        path.open("wb") as plain,
        pa.PythonFile(_InPieces(plain), "w") as sink,
        pa.ipc.new_file(sink, stored.schema, options=options) as file,
    ):
        file.write_table(stored)
    forget()


class _InPieces:
    """A file to which a whole column is written little by little, so that what is mapped of it does not fill memory."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: pa.Buffer | bytes) -> int:
        """All of it."""
        whole = memoryview(data)
        for begin in range(0, len(whole), _PIECE):
            self._file.write(whole[begin : begin + _PIECE])
            if len(whole) > _PIECE:
                forget()
        return len(whole)

    def flush(self) -> None:
        """To the system."""
        self._file.flush()

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""


def mapped(path: Path) -> pa.Table:
    """The table of a file as it lies there; Parquet is decoded. DataError where it is damaged."""
    try:
        if path.suffix == OLD_SUFFIX:
            return pq.read_table(path, memory_map=True)
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (pa.ArrowException, OSError) as failure:
        fix = "prepare it again with: lego data prepare SOURCE RAW --out DIR"
        raise DataError([Problem(str(path), f"cannot be read: {failure}", fix)]) from failure


def as_given(table: pa.Table) -> pa.Table:
    """A table as it lies in a file, in the types of `lego.data.table`."""
    for place, field in enumerate(table.schema):
        if not pa.types.is_large_list(field.type):
            continue
        kind = field.type.value_type
        rows = ragged(table[field.name])
        column = signal(rows) if kind == SIGNAL.value_type else lists(rows, kind)
        table = table.set_column(place, field.with_type(pa.list_(kind)), column)
    return table


def _is_numbers(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) and (
        pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
    )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or (pa.types.is_list(kind) and not _is_numbers(kind))


def _stored_field(field: pa.Field) -> pa.Field:
    return field.with_type(pa.large_list(field.type.value_type)) if _is_numbers(field.type) else field


def _stored(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if _is_numbers(field.type):
        rows = ragged(column)
        values = pa.array(rows.values, type=field.type.value_type, from_pandas=False)
        return pa.chunked_array([pa.LargeListArray.from_arrays(pa.array(rows.offsets), values)])
    if column.null_count and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
        # What stands under a null is whatever was in memory, and has no place in a file.
        filled = pc.fill_null(column, 0)
        return pa.chunked_array([pa.array(flat(filled), field.type, mask=flat(column.is_null()))])
    return column
