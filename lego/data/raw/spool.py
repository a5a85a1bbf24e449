"""A table that is read piece by piece: in memory while it is small, else a nameless Arrow file that is mapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.raw.growing import MANY, Growing, blocks

HELD = 1 << 26
"""Bytes of a table that are in memory before it is put on disk."""


def spooled(pieces: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """The table of all pieces."""
    held: list[pa.RecordBatch] = []
    size = 0
    more = iter(pieces)
    for piece in more:
        held.append(piece)
        size += piece.nbytes
        if size > HELD:
            break
    else:
        return pa.Table.from_batches(held, schema)
    sink = _Sink()
    with pa.PythonFile(sink, "w") as stream, pa.ipc.new_file(stream, schema) as file:
        while held:
            file.write_batch(held.pop(0))
        for piece in more:
            file.write_batch(piece)
    return pa.ipc.open_file(pa.py_buffer(sink.growing.array())).read_all()


def filtered_table(table: pa.Table, mask: NDArray[np.bool_]) -> pa.Table:
    """The rows where the mask holds, on disk if they are many."""

    def pieces() -> Iterator[pa.RecordBatch]:
        for begin, end in blocks(table.num_rows, MANY):
            piece = table.slice(begin, end - begin).filter(pa.array(mask[begin:end]))
            yield from piece.combine_chunks().to_batches()

    return spooled(pieces(), table.schema)


def taken(table: pa.Table, places: NDArray[np.int64]) -> pa.Table:
    """The rows at any places, on disk if they are many; a stretch of the table at a time is looked at."""
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
