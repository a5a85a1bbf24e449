"""An array that grows at its end: on disk from a few megabytes on, and mapped when it is whole.

What is as long as a log is not held in memory so. The files have no name and are gone with the process, however it ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import IO, Any
from weakref import ref

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lego.home import home, written
from lego.ragged import Ragged, flat_positions, offsets_of

MANY = 1 << 20
"""Rows or values that are looked at, or made, together."""
HELD = 1 << 22
"""Bytes of an array that are in memory before it is put on disk."""
_STRETCH = 1 << 22
"""Values of an array on disk that are in memory while some of them are looked up."""
_OPEN = 10240
"""Files that the process may have open at once, where its system lets it: macOS allows no more."""

_FOLDER: ContextVar[Path | None] = ContextVar("folder", default=None)
_MAPPED: list[ref[mmap.mmap]] = []
_MAPPING = threading.Lock()


@contextmanager
def growing_in(folder: Path) -> Iterator[None]:
    """Arrays that grow or are begun meanwhile do so in this folder, and not in that of caches."""
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)


class Growing:
    """`add` puts values behind those that are there; `array` gives all of them and ends it."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._held: list[NDArray[Any]] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._begun_in = _FOLDER.get()  # of this thread: another one that adds to it begins with none

    def add(self, values: NDArray[Any]) -> None:
        """Values of any type that fits."""
        piece = np.ascontiguousarray(values, self._dtype)
        self._held.append(piece)
        self._bytes += piece.nbytes
        if self._bytes > HELD:
            self._put_away()

    def array(self, *, writeable: bool = False) -> NDArray[Any]:
        """All values; whoever writes to them gets an error, unless they are to be written to, which is done where they are."""
        if self._file is None:
            whole = np.concatenate([np.empty(0, self._dtype), *self._held])
            self._held.clear()
            whole.flags.writeable = writeable
            return whole
        self._put_away()
        with self._file as file:
            access = mmap.ACCESS_WRITE if writeable else mmap.ACCESS_READ
            with self._written():
                file.flush()
                mapped = mmap.mmap(
                    file.fileno(), 0, access=access
                )  # it opens the file once more, and keeps it open
        with _MAPPING:
            _MAPPED.append(ref(mapped))
        return np.frombuffer(mapped, self._dtype)

    def __del__(self) -> None:
        """Where something else failed before it was ended, the file goes as well."""
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def _put_away(self) -> None:
        with self._written():
            if self._file is None:
                _open_many()
                self._file = tempfile.TemporaryFile(dir=self._folder())  # noqa: SIM115 - closed when it is mapped
            try:
                for piece in self._held:
                    self._file.write(piece.data)
            except OSError:
                with suppress(OSError):  # what is left in the buffer does not fit either
                    self._file.close()
                raise
        self._held.clear()
        self._bytes = 0

    def _folder(self) -> Path:
        return _FOLDER.get() or self._begun_in or growing_folder()

    def _written(self) -> AbstractContextManager[None]:
        """RunError, with the folder and the way out, where the disk does not take it."""
        return written(self._folder())


@cache
def _open_many() -> None:
    """Lets the process have many files open: each array on disk is one, wide data have hundreds, and some systems allow 256."""
    try:
        import resource
    except ImportError:  # there is no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN if most == resource.RLIM_INFINITY else min(_OPEN, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(ValueError, OSError):  # it has to do with what there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def growing_folder() -> Path:
    """For what grows while data are read: the one that was named with `growing_in`, or that of caches.

    That of the system, which may be memory, only where the other cannot be written to.
    """
    named = _FOLDER.get()
    if named is not None:
        return named
    folder = home()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())


def blocks(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch of `count` places; between two of them what was read of arrays on disk leaves memory."""
    for begin in range(0, count, size):
        yield begin, min(begin + size, count)
        forget()


def row_stretches(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Begin and end of stretches of rows with at most `MANY` values together, or of one row that has more."""
    begin, count = 0, len(offsets) - 1
    while begin < count:
        end = int(np.searchsorted(offsets, offsets[begin] + MANY, "right")) - 1
        end = min(max(end, begin + 1), begin + MANY, count)
        yield begin, end
        forget()
        begin = end


def on_disk(count: int, dtype: DTypeLike, piece: Callable[[int, int], NDArray[Any]]) -> NDArray[Any]:
    """An array of `piece(begin, end)` for each stretch of `count` rows, one behind the other."""
    made = Growing(dtype)
    for begin, end in blocks(count, MANY):
        made.add(piece(begin, end))
    return made.array()


def one_array(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    """One array of several of one type; one that is whole is not copied."""
    if len(pieces) == 1:
        return pieces[0]
    made = Growing(pieces[0].dtype)
    for piece in pieces:
        for begin, end in blocks(len(piece), MANY):
            made.add(piece[begin:end])
    return made.array()


def rows_of(values: NDArray[Any], lengths: NDArray[Any]) -> Ragged:
    """Rows of the given lengths, one after the other; where each begins is on disk, too, if they are many."""
    offsets, before = Growing(np.int64), 0
    offsets.add(np.zeros(1, np.int64))
    for begin, end in blocks(len(lengths), MANY):
        ends = before + np.cumsum(lengths[begin:end], dtype=np.int64)
        offsets.add(ends)
        before = int(ends[-1])
    return Ragged(values, offsets.array())


def lengths_of(rows: Ragged) -> NDArray[np.int64]:
    """The length of each row."""
    return on_disk(len(rows), np.int64, lambda begin, end: np.diff(rows.offsets[begin : end + 1]))


def owners_of(rows: Ragged) -> NDArray[np.int32]:
    """The row that each value stands in."""
    return on_disk(
        len(rows.values),
        np.int32,
        lambda begin, end: np.searchsorted(rows.offsets, np.arange(begin, end), "right") - 1,
    )


def filtered(values: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """The values where the mask holds."""
    return on_disk(len(values), values.dtype, lambda begin, end: values[begin:end][mask[begin:end]])


def looked_up(values: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """The values at any places, on disk if they are many; `gathered` is for values on disk whose places are mixed."""
    return on_disk(len(places), values.dtype, lambda begin, end: values[places[begin:end]])


def places_where(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The places where the mask holds."""
    made = Growing(np.int64)
    for begin, end in blocks(len(mask), MANY):
        made.add(begin + np.flatnonzero(mask[begin:end]))
    return made.array()


def turned(values: NDArray[Any]) -> NDArray[Any]:
    """The last value first."""
    return on_disk(
        len(values),
        values.dtype,
        lambda begin, end: values[len(values) - end : len(values) - begin][::-1],
    )


def permutation(count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """0 … count - 1 in the order that `generator.permutation` draws; on disk if they are many, where they change places."""
    made = Growing(np.int64)
    for begin, end in blocks(count, MANY):
        made.add(np.arange(begin, end))
    order = made.array(writeable=True)
    generator.shuffle(order)
    order.flags.writeable = False
    return order


def gathered(values: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """The values at any places, (n,); of an array on disk no more than a stretch is in memory meanwhile, each read once."""
    if values.nbytes <= HELD:
        return np.asarray(values[places])
    found = np.empty(len(places), values.dtype)
    stretch = (places // _STRETCH).astype(np.uint16)  # numpy sorts so short numbers by counting them
    order = np.argsort(stretch, kind="stable")
    ends = np.cumsum(np.bincount(stretch, minlength=-(-len(values) // _STRETCH)))
    first = 0
    for _, last in zip(blocks(len(values), _STRETCH), ends.tolist(), strict=True):
        here = order[first:last]
        found[here] = values[places[here]]
        first = last
    return found


def rows_taken(
    offsets: NDArray[np.int64], columns: Mapping[str, NDArray[Any]], rows: NDArray[Any]
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Where each of the given rows begins among them, and their values in each of the columns, which have one for each place."""
    lengths = on_disk(
        len(rows), np.int64, lambda begin, end: offsets[rows[begin:end] + 1] - offsets[rows[begin:end]]
    )
    taken = rows_of(np.empty(0, np.int8), lengths).offsets
    made = {name: Growing(values.dtype) for name, values in columns.items()}
    for begin, end in row_stretches(taken):
        places = flat_positions(offsets[rows[begin:end]], lengths[begin:end])
        for name, values in columns.items():
            made[name].add(values[places])
    return taken, {name: each.array() for name, each in made.items()}


def kept(rows: Ragged, inside: NDArray[np.bool_]) -> Ragged:
    """The rows with only the values that are inside; on disk if they are many."""
    values, offsets = Growing(rows.values.dtype), np.zeros(len(rows.offsets), np.int64)
    before = 0
    for begin, end in blocks(len(inside), MANY):
        counts = offsets_of(inside[begin:end])  # how many values are inside before each position
        first, last = np.searchsorted(rows.offsets, (begin, end), "right")
        offsets[first:last] = before + counts[rows.offsets[first:last] - begin]
        values.add(rows.values[begin:end][inside[begin:end]])
        before += int(counts[-1])
    return Ragged(values.array(), offsets)


def forget() -> None:
    """Pages of arrays on disk leave memory, and come back when they are looked at again."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    with _MAPPING:  # another thread may map one meanwhile
        there = [(each, mapped) for each in _MAPPED if (mapped := each()) is not None]
        _MAPPED[:] = [each for each, _ in there]
    for _, mapped in there:
        mapped.madvise(mmap.MADV_DONTNEED)
