"""The histories of EB-NeRD: read, without what is missing, and shared between the parts where one continues the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import Catalog, no_rows, one_after_another, users_of
from lego.data.problems import LIMIT, Problems
from lego.data.raw.growing import (
    MANY,
    Growing,
    blocks,
    filtered,
    kept,
    looked_up,
    on_disk,
    one_array,
    row_stretches,
    rows_of,
    rows_taken,
)
from lego.data.raw.order import sorted_rows
from lego.data.raw.parquet_file import (
    Wanted,
    batches,
    complain,
    floats,
    list_values,
    refuse_nulls,
    seconds,
)
from lego.data.raw.parquet_file import owners_of as lists_with
from lego.data.raw.raw_file import RawFile
from lego.data.raw.repeats import Repeats
from lego.data.table import flat
from lego.ragged import Ragged, flat_positions, offsets_of

_HISTORY = {
    "user_id": Wanted("whole"),
    "article_id_fixed": Wanted("wholes"),
    "impression_time_fixed": Wanted("times"),
    "read_time_fixed": Wanted("numbers", needed=False),
    "scroll_percentage_fixed": Wanted("numbers", needed=False),
}

_SIGNALS = {"read_time": "read_time_fixed", "scroll": "scroll_percentage_fixed"}


_ROWS = 1 << 12
"""Rows that are read at a time: each has hundreds of clicks."""


@attrs.frozen(eq=False, kw_only=True)
class Histories:
    """A row per user: what they clicked, oldest first; on disk if it is much."""

    user: pa.Array
    """int64."""
    history: Ragged
    times: NDArray[np.int64]
    """Flat, as are the signals."""
    signals: Mapping[str, NDArray[np.float32]]
    moved: int = 0
    """Rows that were not in the order of time, and are now."""

    def take(self, rows: NDArray[Any]) -> Histories:
        """Some of the rows."""
        columns = {"": self.history.values, "times": self.times, **self.signals}
        offsets, taken = rows_taken(self.history.offsets, columns, rows)
        return attrs.evolve(
            self,
            user=self.user.take(pa.array(rows)),
            history=Ragged(taken.pop(""), offsets),
            times=taken.pop("times"),
            signals=taken,
        )

    def where(self, inside: NDArray[np.bool_]) -> Histories:
        """Some of the clicks."""
        return attrs.evolve(
            self,
            history=kept(self.history, inside),
            times=filtered(self.times, inside),
            signals={name: filtered(values, inside) for name, values in self.signals.items()},
        )

    def seen(self, row: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many clicks of the history of each row are not later than the time."""
        if not len(self.times):
            return on_disk(len(row), np.int64, lambda begin, end: np.zeros(end - begin, np.int64))
        spans = [
            (int(self.times[begin:end].min()), int(self.times[begin:end].max()))
            for begin, end in blocks(len(self.times), MANY)
        ]
        low = min(least for least, _ in spans)
        span = max(most for _, most in spans) - low + 2
        offsets = self.history.offsets
        ordered = sorted_rows(
            {"row": row, "time": time, "place": on_disk(len(row), np.int64, np.arange)}, ["row"]
        )
        found = Growing(np.int64)
        # Rows and their impressions side by side: no click is looked at twice.
        for begin, end in row_stretches(offsets):
            first, last = (int(each) for each in np.searchsorted(ordered["row"], (begin, end)))
            clicks = self.times[offsets[begin] : offsets[end]]
            owner = np.repeat(np.arange(begin, end), np.diff(offsets[begin : end + 1]))
            keys = owner * span + (clicks - low) + 1
            for some, more in blocks(last - first, MANY):
                here = ordered["row"][first + some : first + more]
                moment = np.clip(ordered["time"][first + some : first + more] - low + 1, 0, span - 1)
                until = offsets[begin] + np.searchsorted(keys, here * span + moment, "right")
                found.add(until - offsets[here])
        return sorted_rows({"place": ordered["place"], "seen": found.array()}, ["place"])["seen"]

    @classmethod
    def joined(cls, several: list[Histories]) -> Histories:
        """The rows of all, one after the other."""
        return cls(
            user=pa.concat_arrays([each.user for each in several]),
            history=one_after_another([each.history for each in several]),
            times=one_array([each.times for each in several]),
            signals={
                name: one_array([each.signals[name] for each in several]) for name in several[0].signals
            },
            moved=sum(each.moved for each in several),
        )


class _Growing:
    """Histories that are read piece by piece."""

    def __init__(self) -> None:
        self.users: list[pa.Array] = []
        self.moved = 0
        self.items, self.lengths, self.times = Growing(np.int32), Growing(np.int64), Growing(np.int64)
        self.signals = {name: Growing(np.float32) for name in _SIGNALS}

    def add(self, piece: Histories) -> None:
        """Rows behind those that are there."""
        self.users.append(piece.user)
        self.items.add(piece.history.values)
        self.lengths.add(piece.history.lengths)
        self.times.add(piece.times)
        for name, values in piece.signals.items():
            self.signals[name].add(values)
        self.moved += piece.moved

    def all(self) -> Histories:
        """All rows."""
        return Histories(
            user=pa.concat_arrays(self.users),
            history=rows_of(self.items.array(), self.lengths.array()),
            times=self.times.array(),
            signals={name: grown.array() for name, grown in self.signals.items()},
            moved=self.moved,
        )


def read_history(file: RawFile, catalog: Catalog, problems: Problems) -> Histories | None:
    """Those of history.parquet; None where something is wrong."""
    before, base, read = len(problems), 0, _Growing()
    for batch in batches(file, _HISTORY, problems, _ROWS):
        made = _history(file, batch, base, catalog, problems)
        base += batch.num_rows
        if made is not None:
            read.add(made)
    if len(problems) > before or not read.users:
        return None
    histories = read.all()
    again = Repeats.of(flat(histories.user))
    words = [f"user {histories.user[row]} is already in row {first + 1}" for row, first in again.shown()]
    complain(file, again.rows, "user_id", words, problems)
    return histories


def _history(
    file: RawFile, batch: pa.RecordBatch, base: int, catalog: Catalog, problems: Problems
) -> Histories | None:
    before = len(problems)
    refuse_nulls(file, batch, ("user_id",), base, problems)
    ids, lengths = list_values(batch["article_id_fixed"])
    moments, counts = list_values(batch["impression_time_fixed"])
    columns = {"impression_time_fixed": counts}
    signals = {}
    for name, column in _SIGNALS.items():
        if column in batch.schema.names:
            values, columns[column] = list_values(batch[column])
            signals[name] = floats(values)
        else:
            signals[name] = np.full(len(ids), np.nan, np.float32)
    for column, count in columns.items():
        uneven = np.flatnonzero(count != lengths)
        words = [f"{count[row]} values for {lengths[row]} articles" for row in uneven[:LIMIT]]
        complain(file, uneven + base, column, words, problems)
    for column, values, count in (
        ("article_id_fixed", ids, lengths),
        ("impression_time_fixed", moments, counts),
    ):
        wrong = lists_with(count, flat(values.is_null()))
        complain(file, np.flatnonzero(wrong) + base, column, "a value inside the list is missing", problems)
    if len(problems) > before:
        return None
    times = flat(seconds(moments))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((np.arange(len(times)), times, owner))
    moved = len(np.unique(owner[order != np.arange(len(order))]))
    return Histories(
        user=pc.cast(batch["user_id"], pa.int64()),
        history=Ragged.from_lengths(catalog.rows(pc.cast(ids, pa.int64()))[order], lengths),
        times=times[order],
        signals={name: values[order] for name, values in signals.items()},
        moved=moved,
    )


def without_missing(histories: list[Histories], known: int) -> tuple[list[Histories], int]:
    """Histories without the items that are missing, and how many clicks that were."""
    left, gone = [], 0
    for each in histories:
        items = each.history.values
        inside = on_disk(len(items), np.bool_, partial(_up_to, items, known))
        left.append(each.where(inside))
        gone += len(items) - len(left[-1].times)
    return left, gone


def _up_to(items: NDArray[np.int32], known: int, begin: int, end: int) -> NDArray[np.bool_]:
    return items[begin:end] <= known


def share(
    parts: list[tuple[Histories, pa.ChunkedArray]],
) -> tuple[Histories, NDArray[np.int64], NDArray[np.int64]]:
    """All histories; the history of each impression of the parts, whose users are given; and the length it has there.

    A history that is the beginning of another one of its user is not used where that one can be.
    """
    every: list[Histories] = []
    places: list[
        tuple[NDArray[np.int64], NDArray[np.int32]]
    ] = []  # of the users of a part, and which it is of each impression
    for history, user in parts:
        coded = users_of([user]).chunk(0)
        ids = pc.cast(coded.dictionary, pa.int64())
        new = ids.filter(pc.invert(pc.is_in(ids, value_set=history.user)))
        nobody = Histories(
            user=new,
            history=no_rows(len(new)),
            times=np.empty(0, np.int64),
            signals={name: np.empty(0, np.float32) for name in history.signals},
        )
        whole = Histories.joined([history, nobody])
        base = sum(len(each.history) for each in every)
        place = flat(pc.index_in(ids, value_set=whole.user)).astype(np.int64) + base
        places.append((place, flat(coded.indices)))
        every.append(whole)
    joined = Histories.joined(every)
    lengths = joined.history.lengths
    own = one_array([looked_up(lengths[place], codes) for place, codes in places])
    instead = _instead(joined, every)
    rows = one_array([looked_up(instead[place], codes) for place, codes in places])
    return joined, rows, own


def _instead(joined: Histories, every: list[Histories]) -> NDArray[np.int64]:
    """The row that is used for each row of several parts: one that continues it, where there is one."""
    lengths = joined.history.lengths
    begins = np.cumsum([0, *(len(each.history) for each in every)])
    instead = np.arange(len(lengths))
    for early, late in combinations(range(len(every)), 2):
        place = pc.index_in(every[late].user, value_set=every[early].user)
        second = np.flatnonzero(flat(place.is_valid())) + begins[late]
        first = flat(place.drop_null()).astype(np.int64) + begins[early]
        same, longer = _continued(joined, first, second), lengths[second] >= lengths[first]
        instead[first[same & longer]] = second[same & longer]
        instead[second[same & ~longer]] = first[same & ~longer]
    while (instead[instead] != instead).any():  # what stands for another one may have one that stands for it
        instead = instead[instead]
    return instead


def _continued(joined: Histories, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of which pairs of rows the shorter one is the beginning of the longer."""
    offsets, lengths = joined.history.offsets, joined.history.lengths
    common = np.minimum(lengths[first], lengths[second])
    same = np.ones(len(common), bool)
    for begin, end in row_stretches(offsets_of(common)):
        length = common[begin:end]
        here, there = (flat_positions(offsets[each[begin:end]], length) for each in (first, second))
        differs = (joined.history.values[here] != joined.history.values[there]) | (
            joined.times[here] != joined.times[there]
        )
        owner = np.repeat(np.arange(len(length)), length)
        same[begin:end] = np.bincount(owner[differs], minlength=len(length)) == 0
    return same
