"""How far the reading of raw files is: sources say how many rows they have read, whoever prepares listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import attrs

EVERY = 1.0
"""Seconds between what is told."""

_PACKED = {".gz", ".zip", ".bz2", ".parquet"}

Tell = Callable[[str], None]


@attrs.define(eq=False)
class Reading:
    """Rows and bytes that were read so far, told now and then with rows per second and the time that is left."""

    tell: Tell
    bytes: int
    """Of all files."""
    clock: Callable[[], float] = time.perf_counter
    began: float = attrs.field(init=False)
    told: float = attrs.field(init=False)
    rows: int = 0
    read: int = 0
    lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        """The clock runs."""
        self.began = self.told = self.clock()

    def add(self, rows: int, read: int) -> None:
        """So many more rows, made of so many more bytes of the files (0 where that is not known)."""
        with self.lock:
            self.rows += rows
            self.read += read
            now = self.clock()
            if now - self.told < EVERY:
                return
            self.told = now
            self.tell(self.line(now - self.began))

    def line(self, seconds: float) -> str:
        """`reading: 1,200,000 rows, 400,000 a second, 40 %, about 5 s left`."""
        words = f"reading: {self.rows:,} rows, {self.rows / max(seconds, 1e-9):,.0f} a second"
        share = min(1.0, self.read / self.bytes) if self.bytes else 0.0
        if share > 0:
            words += f", {share:.0%}, about {seconds * (1 - share) / share:,.0f} s left"
        return words


_NOW: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextmanager
def watched(tell: Tell, files: Sequence[Path]) -> Iterator[Reading]:
    """Around what reads: `count` is told to `tell` from here on."""
    plain = all(
        path.suffix not in _PACKED for path in files
    )  # of others it is not known how much there is to read
    reading = Reading(tell, sum(path.stat().st_size for path in files if path.is_file()) if plain else 0)
    token = _NOW.set(reading)
    try:
        yield reading
    finally:
        _NOW.reset(token)


def count(rows: int, read: int = 0) -> None:
    """Said by what reads: so many more rows, of so many more bytes; nothing happens where nobody listens."""
    reading = _NOW.get()
    if reading is not None and rows:
        reading.add(rows, read)
