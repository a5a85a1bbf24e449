"""The histories of EB-NeRD: read, without what is missing, and shared between the parts where one continues the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import (
    Catalog,
    no_rows,
    one_after_another,
)
from lego.data.problems import Problems
from lego.data.raw.growing import kept
from lego.data.raw.parquet_file import (
    Wanted,
    batches,
    complain,
    floats,
    list_values,
    owners_of,
    refuse_nulls,
    seconds,
)
from lego.data.raw.raw_file import RawFile
from lego.data.table import flat
from lego.ragged import Ragged, flat_positions

_HISTORY = {
    "user_id": Wanted("whole"),
    "article_id_fixed": Wanted("wholes"),
    "impression_time_fixed": Wanted("times"),
    "read_time_fixed": Wanted("numbers", needed=False),
    "scroll_percentage_fixed": Wanted("numbers", needed=False),
}

_SIGNALS = {"read_time": "read_time_fixed", "scroll": "scroll_percentage_fixed"}


@attrs.frozen(eq=False, kw_only=True)
class Histories:
    """A row per user: what they clicked, oldest first."""

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
        history = self.history.take(rows)
        places = flat_positions(self.history.offsets[rows], history.lengths)
        return attrs.evolve(
            self,
            user=self.user.take(pa.array(rows)),
            history=history,
            times=self.times[places],
            signals={name: values[places] for name, values in self.signals.items()},
        )

    def where(self, inside: NDArray[np.bool_]) -> Histories:
        """Some of the clicks."""
        return attrs.evolve(
            self,
            history=kept(self.history, inside),
            times=self.times[inside],
            signals={name: values[inside] for name, values in self.signals.items()},
        )

    def seen(self, row: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many clicks of the history of each row are not later than the time."""
        if not len(self.times):
            return np.zeros(len(row), np.int64)
        low, high = int(self.times.min()), int(self.times.max())
        span = high - low + 2
        owner = np.repeat(np.arange(len(self.history)), self.history.lengths)
        keys = owner * span + (self.times - low) + 1
        wanted = row * span + np.clip(time - low + 1, 0, span - 1)
        return np.searchsorted(keys, wanted, "right") - self.history.offsets[row]

    @classmethod
    def joined(cls, several: list[Histories]) -> Histories:
        """The rows of all, one after the other."""
        return cls(
            user=pa.concat_arrays([each.user for each in several]),
            history=one_after_another([each.history for each in several]),
            times=np.concatenate([each.times for each in several]),
            signals={
                name: np.concatenate([each.signals[name] for each in several]) for name in several[0].signals
            },
            moved=sum(each.moved for each in several),
        )


def read_history(file: RawFile, catalog: Catalog, problems: Problems) -> Histories | None:
    """Those of history.parquet; None where something is wrong."""
    before, base, read = len(problems), 0, []
    for batch in batches(file, _HISTORY, problems):
        made = _history(file, batch, base, catalog, problems)
        base += batch.num_rows
        if made is not None:
            read.append(made)
    if len(problems) > before or not read:
        return None
    histories = Histories.joined(read)
    codes = flat(histories.user.dictionary_encode().indices)
    _, first = np.unique(codes, return_index=True)
    again = np.flatnonzero(first[codes] != np.arange(len(codes)))
    words = [f"user {histories.user[row]} is already in row {first[codes[row]] + 1}" for row in again[:20]]
    complain(file, again, "user_id", words, problems)
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
        words = [f"{count[row]} values for {lengths[row]} articles" for row in uneven[:20]]
        complain(file, uneven + base, column, words, problems)
    for column, values, count in (
        ("article_id_fixed", ids, lengths),
        ("impression_time_fixed", moments, counts),
    ):
        wrong = owners_of(count, flat(values.is_null()))
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
    inside = [each.history.values <= known for each in histories]
    gone = sum(int((~each).sum()) for each in inside)
    return [each.where(mask) for each, mask in zip(histories, inside, strict=True)], gone


def share(
    parts: list[tuple[Histories, pa.ChunkedArray]],
) -> tuple[Histories, list[NDArray[np.int64]], NDArray[np.int64]]:
    """All histories; for each part the history of each of its impressions, whose users are given; and the length it has there.

    A history that is the beginning of another one of its user is not used where that one can be.
    """
    every: list[Histories] = []
    rows: list[NDArray[np.int64]] = []
    for history, user in parts:
        ids = pc.cast(pc.cast(user, pa.int64()).combine_chunks(), pa.int64())
        ids = pa.concat_arrays(ids.chunks) if isinstance(ids, pa.ChunkedArray) else ids
        new = pc.unique(ids.filter(pc.invert(pc.is_in(ids, value_set=history.user))))
        nobody = Histories(
            user=new,
            history=no_rows(len(new)),
            times=np.empty(0, np.int64),
            signals={name: np.empty(0, np.float32) for name in history.signals},
        )
        whole = Histories.joined([history, nobody])
        base = sum(len(each.history) for each in every)
        rows.append(flat(pc.index_in(ids, value_set=whole.user)).astype(np.int64) + base)
        every.append(whole)
    joined = Histories.joined(every)
    lengths = joined.history.lengths
    own = lengths[np.concatenate(rows)]
    if len(every) == 1:
        return joined, rows, own
    early = len(every[0].history)
    place = pc.index_in(every[1].user, value_set=every[0].user)
    second = np.flatnonzero(flat(place.is_valid()))
    first = flat(place.drop_null()).astype(np.int64)
    second = second + early
    common = np.minimum(lengths[first], lengths[second])
    here = flat_positions(joined.history.offsets[first], common)
    there = flat_positions(joined.history.offsets[second], common)
    differs = (joined.history.values[here] != joined.history.values[there]) | (
        joined.times[here] != joined.times[there]
    )
    same = np.bincount(np.repeat(np.arange(len(common)), common)[differs], minlength=len(common)) == 0
    instead = np.arange(len(lengths))
    longer = lengths[second] >= lengths[first]
    instead[first[same & longer]] = second[same & longer]
    instead[second[same & ~longer]] = first[same & ~longer]
    return joined, [instead[each] for each in rows], own
