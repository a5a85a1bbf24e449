"""One row of users for histories of which one is the beginning of the other, however many impressions have one of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import Log, join_logs, users_of
from lego.data.raw.growing import MANY, Growing, blocks, lengths_of, one_array, rows_of, rows_taken
from lego.data.raw.spool import Spool
from lego.data.table import TEXT, flat, lists
from lego.ragged import Ragged, flat_positions, offsets_of

_FEW = 1 << 13
"""Rows that are looked at at a time: so few stay in the caches of the processor."""
_PENDING = 1 << 24
"""Bytes of histories that are looked at before those that were there before are left out."""
_SHARED = 1 << 26
"""Bytes of the histories of all impressions of the users that are looked at together, or those of one user that has more."""


def share_histories(logs: list[Log]) -> tuple[pa.Table, NDArray[np.int32], NDArray[np.int64]]:
    """The users; and of each impression, log after log, its row of users and the length of its history.

    User and history of an impression, written as big-endian numbers one after the other, are sorted as bytes. So users stand
    in the order in which they first appear, and a history that others of its user continue stands right before one of these.
    Some users at a time are looked at: the log is walked through once for these, and what is made of it is on disk if it is much.
    """
    encoded = users_of([log.user for log in logs]).chunk(0)
    user, histories = flat(encoded.indices), [log.history for log in logs]
    lengths = one_array([lengths_of(history) for history in histories])
    names, items, every = Spool(pa.schema([("user_id", TEXT)])), Growing(np.int32), Growing(np.int64)
    row, done = _nothing(len(user)), 0
    for low, high in _groups(user, lengths, len(encoded.dictionary)):
        code, keys = _coded(_keys_of(user, histories, low, high))
        order = flat(pc.sort_indices(keys)).astype(np.int64)
        distinct = _numbers(keys.take(pa.array(order)))
        last = ~_begins_next(distinct)
        place = np.empty(len(order), np.int32)
        place[order] = done + np.cumsum(last) - last  # a key that another continues has the row of that one
        _fill(row, user, low, high, place, code)
        kept = distinct.take(np.flatnonzero(last))
        inside = np.ones(len(kept.values), bool)
        inside[kept.offsets[:-1]] = False
        owners = encoded.dictionary.take(pa.array(kept.values[kept.offsets[:-1]]))
        names.add(pa.RecordBatch.from_arrays([owners], names=["user_id"]))
        items.add(kept.values[inside])
        every.add(kept.lengths - 1)
        done += len(kept)
    history = rows_of(items.array(), every.array())
    return names.table().append_column("history", lists(history, pa.int32())), row, lengths


def signals_of_shared(logs: list[Log], row: NDArray[np.int32]) -> dict[str, Ragged]:
    """Numbers of the histories as `share_histories` shares them: those of the impression that has seen most of each."""
    log = join_logs(logs)
    longest = np.full(
        max((int(row[begin:end].max()) + 1 for begin, end in blocks(len(row), MANY)), default=0), -1
    )
    seen_by = np.zeros(len(longest), np.int64)
    for begin, end in blocks(len(row), MANY):
        here, length = row[begin:end], np.diff(log.history.offsets[begin : end + 1])
        order = np.lexsort((length, here))
        last = order[np.append(np.diff(here[order]) > 0, True)]
        last = last[length[last] >= longest[here[last]]]  # of several the one that stands last
        longest[here[last]] = length[last]
        seen_by[here[last]] = begin + last
    offsets, taken = rows_taken(log.history.offsets, log.history_signals, seen_by)
    return {name: Ragged(values, offsets) for name, values in taken.items()}


def _groups(user: NDArray[np.int32], lengths: NDArray[np.int64], count: int) -> Iterator[tuple[int, int]]:
    """The first user of each group, and the one behind the last."""
    size = np.zeros(count)
    for begin, end in blocks(len(user), MANY):
        size += np.bincount(user[begin:end], 4.0 * lengths[begin:end] + 12, minlength=count)
    ends, low = np.cumsum(size), 0
    while low < count:
        before = ends[low - 1] if low else 0.0
        high = max(int(np.searchsorted(ends, before + _SHARED, "right")), low + 1)
        yield low, high
        low = high


def _nothing(count: int) -> NDArray[np.int32]:
    """Zeros that are written to, on disk if they are many."""
    made = Growing(np.int32)
    for begin, end in blocks(count, MANY):
        made.add(np.zeros(end - begin, np.int32))
    return made.array(writeable=True)


def _fill(
    row: NDArray[np.int32],
    user: NDArray[np.int32],
    low: int,
    high: int,
    place: NDArray[np.int32],
    code: NDArray[np.int32],
) -> None:
    """The place of the code of each impression of these users."""
    done = 0
    for begin, end in blocks(len(user), MANY):
        here = begin + np.flatnonzero((user[begin:end] >= low) & (user[begin:end] < high))
        row[here] = place[code[done : done + len(here)]]
        done += len(here)


def _keys_of(
    user: NDArray[np.int32], histories: list[Ragged], low: int, high: int
) -> Iterator[pa.LargeBinaryArray]:
    """The big-endian bytes of user and history of the impressions of these users, some at a time."""
    before = 0
    for history in histories:
        for begin, end in blocks(len(history), _FEW):
            first, offsets = user[before + begin : before + end], history.offsets[begin : end + 1]
            some = np.flatnonzero((first >= low) & (first < high))
            if len(some) == len(first):
                yield _keys(first, history.values[offsets[0] : offsets[-1]], np.diff(offsets))
            elif len(some):
                lengths = offsets[some + 1] - offsets[some]
                yield _keys(first[some], history.values[flat_positions(offsets[some], lengths)], lengths)
        before += len(history)


def _keys(
    first: NDArray[np.int32], items: NDArray[np.int32], lengths: NDArray[np.int64]
) -> pa.LargeBinaryArray:
    """The bytes of some rows of items, each with a number before it."""
    offsets = offsets_of(lengths + 1)
    inside = np.ones(len(items) + len(first), bool)
    inside[offsets[:-1]] = False
    values = np.empty(len(inside), ">u4")
    values[offsets[:-1]] = first
    values[inside] = items
    buffers = [None, pa.py_buffer(4 * offsets), pa.py_buffer(values)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(first), buffers)


def _coded(pieces: Iterable[pa.LargeBinaryArray]) -> tuple[NDArray[np.int32], pa.LargeBinaryArray]:
    """Each key only once; and which of them each row has."""
    codes = Growing(np.int32)
    distinct, pending, size = pa.array([], pa.large_binary()), list[pa.LargeBinaryArray](), 0

    def settle() -> None:
        nonlocal distinct, size
        coded = pa.concat_arrays([distinct, *pending]).dictionary_encode()
        codes.add(flat(coded.indices)[len(distinct) :])
        distinct, size = coded.dictionary, 0
        pending.clear()

    for keys in pieces:
        pending.append(keys)
        size += keys.nbytes
        if size > max(_PENDING, distinct.nbytes // 2):
            settle()
    settle()
    return codes.array(), distinct


def _numbers(keys: pa.LargeBinaryArray) -> Ragged:
    """What is written in them."""
    _, offsets, data = keys.buffers()
    ends = np.frombuffer(offsets, np.int64)[keys.offset : keys.offset + len(keys) + 1] // 4
    values = np.frombuffer(data, ">u4")[ends[0] : ends[-1]] if data is not None else np.empty(0, ">u4")
    return Ragged(values.astype(np.int32), ends - ends[0])


def _begins_next(rows: Ragged) -> NDArray[np.bool_]:
    """Which rows, all different, are the beginning of the row behind them."""
    begins = np.zeros(len(rows), bool)
    lengths = rows.lengths
    short = np.flatnonzero(lengths[:-1] < lengths[1:])
    here = rows.values[flat_positions(rows.offsets[short], lengths[short])]
    there = rows.values[flat_positions(rows.offsets[short + 1], lengths[short])]
    other = np.bincount(np.repeat(np.arange(len(short)), lengths[short])[here != there], minlength=len(short))
    begins[short] = other == 0
    return begins
