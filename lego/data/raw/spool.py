"""A table that is read piece by piece: in memory while it is small, else a nameless Arrow file that is mapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.raw.growing import MANY, Growing, blocks

HELD = 1 << 26
"""Bytes of a table that are in memory before it is put on disk."""


class Spool:
    """`add` puts a piece behind those that are there; `table` gives all of them and ends it.

    A column of categories has one dictionary in all pieces: the file holds one.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._sink: _Sink | None = None
        self._file: pa.RecordBatchFileWriter | None = None

    def add(self, piece: pa.RecordBatch) -> None:
        """A piece with the columns of the schema."""
        if self._file is not None:
            self._file.write_batch(piece)
            return
        self._held.append(piece)
        self._bytes += piece.nbytes
        if self._bytes > HELD:
            self._sink = _Sink()
            self._file = pa.ipc.new_file(pa.PythonFile(self._sink, "w"), self._schema)
            while self._held:
                self._file.write_batch(self._held.pop(0))

    def table(self) -> pa.Table:
        """All pieces."""
        if self._file is None or self._sink is None:
            return pa.Table.from_batches(self._held, self._schema)
        self._file.close()
        return pa.ipc.open_file(pa.py_buffer(self._sink.growing.array())).read_all()


def spooled(pieces: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """The table of all pieces."""
    spool = Spool(schema)
    for piece in pieces:
        spool.add(piece)
    return spool.table()


def filtered_table(table: pa.Table, mask: NDArray[np.bool_]) -> pa.Table:
    """The rows where the mask holds, on disk if they are many."""
    table = _one_dictionary(table)

    def pieces() -> Iterator[pa.RecordBatch]:
        for begin, end in blocks(table.num_rows, MANY):
            piece = table.slice(begin, end - begin).filter(pa.array(mask[begin:end]))
            yield from piece.combine_chunks().to_batches()

    return spooled(pieces(), table.schema)


def taken(table: pa.Table, places: NDArray[np.int64]) -> pa.Table:
    """The rows at any places, on disk if they are many; a stretch of the table at a time is looked at."""
    table = _one_dictionary(table)
    if table.num_rows <= MANY and len(places) <= MANY:
        return table.take(pa.array(places))

    def pieces() -> Iterator[pa.RecordBatch]:
        for first, last in blocks(len(places), MANY):
            order = np.argsort(places[first:last], kind="stable")
            wanted, found = places[first:last][order], list[pa.Table]()
            for begin in range(0, table.num_rows, MANY):
                low, high = np.searchsorted(wanted, (begin, begin + MANY))
                if low < high:
                    stretch = table.slice(begin, MANY).combine_chunks()
                    found.append(stretch.take(pa.array(wanted[low:high] - begin)))
            back = np.empty(len(order), np.int64)
            back[order] = np.arange(len(order))
            piece = pa.concat_tables(found) if found else table.slice(0, 0)
            yield from piece.combine_chunks().take(pa.array(back)).combine_chunks().to_batches()

    return spooled(pieces(), table.schema)


def _one_dictionary(table: pa.Table) -> pa.Table:
    """The table with one dictionary in all chunks of a column; where that is so already nothing is copied."""
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            first, *others = [chunk.dictionary for chunk in column.chunks] or [None]
            if not all(each.equals(first) for each in others):
                return table.unify_dictionaries()
    return table


class _Sink:
    """A file of bytes that grow."""

    closed = False

    def __init__(self) -> None:
        self.growing = Growing(np.uint8)

    def write(self, data: pa.Buffer | bytes) -> int:
        """All of it."""
        self.growing.add(np.frombuffer(data, np.uint8))
        return len(memoryview(data))

    def flush(self) -> None:
        """It is written when there is enough."""

    def close(self) -> None:
        """It ends when the table is made."""
