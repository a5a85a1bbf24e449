"""CSV that Arrow reads no faster than it is used: left alone it reads 32 blocks ahead, which may be the whole file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv

_AHEAD = 3
"""Blocks that are read and not yet used, at most."""
_PATIENCE = 0.1
"""Seconds in which nothing comes of the blocks that were read, before one more is read."""


@contextmanager
def paced_csv(source: IO[bytes], **options: Any) -> Iterator[Iterator[pa.RecordBatch]]:
    """The batches that `pyarrow.csv.open_csv` reads of a file with these options."""
    pace = _Pace(source)
    with pyarrow.csv.open_csv(pa.PythonFile(pace, "r"), **options) as reader:
        try:
            yield _batches(reader, pace)
        finally:
            pace.let_go()  # before the reader is closed, which waits for whoever waits for its turn
            _exhaust(reader)


def _exhaust(reader: pyarrow.csv.CSVStreamingReader) -> None:
    """What was read and is not wanted any more, so that no thread is left that an interpreter which ends may meet."""
    with suppress(StopIteration, pa.ArrowException, OSError):
        while True:
            reader.read_next_batch()


def _batches(reader: pyarrow.csv.CSVStreamingReader, pace: _Pace) -> Iterator[pa.RecordBatch]:
    while True:
        pace.wait()
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        finally:
            pace.go_on()
        yield batch


class _Pace:
    """What Arrow reads from, in a thread of its own."""

    closed = False

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._turn = threading.Condition()
        self._ahead = 0
        self._waited_for = True  # the first block says what the columns are
        self._done = False
        self._ended = threading.Event()

    def read(self, size: int = -1) -> bytes:
        """A block, once it is its turn; nothing where nobody wants it any more."""
        with self._turn:
            while self._ahead >= _AHEAD and not self._done:
                if not self._turn.wait(_PATIENCE) and self._waited_for:
                    break  # of a block without a row nothing comes
            found = b"" if self._done else self._source.read(size)
            self._ahead += 1
            if not found:
                self._ended.set()
            return found

    def wait(self) -> None:
        """Somebody waits for the next batch."""
        with self._turn:
            self._waited_for = True

    def go_on(self) -> None:
        """It is there, and so much less is ahead."""
        with self._turn:
            self._waited_for = False
            self._ahead = max(self._ahead - 1, 0)
            self._turn.notify_all()

    def let_go(self) -> None:
        """Nobody wants more. The thread that reads is waited for: it must not meet an interpreter that ends."""
        with self._turn:
            self._done = True
            self._turn.notify_all()
        self._ended.wait(_PATIENCE)

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""
