"""A table that is read piece by piece: in memory while it is small, else a nameless Arrow file that is mapped."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from lego.data.raw.growing import Growing

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
