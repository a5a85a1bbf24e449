"""Impressions as a log has them, on the way from raw files to tables: ids to rows, what is missing, one row per history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.events import counts_of
from lego.data.raw.growing import (
    MANY,
    Growing,
    blocks,
    filtered,
    forget,
    kept,
    lengths_of,
    looked_up,
    on_disk,
    one_array,
    owners_of,
    rows_of,
)
from lego.data.raw.order import sorted_rows
from lego.data.raw.spool import filtered_table, spooled, taken
from lego.data.table import flat, lists, signal
from lego.ragged import Ragged, flat_positions, offsets_of

_FEW = 1 << 13
"""Rows."""


@attrs.define(eq=False)
class Catalog:
    """The ids of the items, and those that the logs were seen to have beside them."""

    known: pa.Array
    missing: pa.Array = attrs.field(factory=lambda: pa.array([], pa.string()))

    def rows(self, ids: pa.Array) -> NDArray[np.int32]:
        """Item row of each id, counted from 1; the missing follow the known in the order they were met."""
        place = pc.index_in(ids, value_set=pa.concat_arrays([self.known, self.missing]))
        if place.null_count:
            new = pc.unique(ids.filter(place.is_null()))
            self.missing = pa.concat_arrays([self.missing, new])
            place = pc.index_in(ids, value_set=pa.concat_arrays([self.known, self.missing]))
        return (flat(place) + 1).astype(np.int32)

    def further_rows(self, ids: pa.Array) -> NDArray[np.int32]:
        """The same of ids that are not among the known."""
        beyond = Catalog(self.missing)
        rows = beyond.rows(ids) + np.int32(len(self.known))
        self.missing = pa.concat_arrays([self.missing, beyond.missing])
        return rows


@attrs.frozen(eq=False, kw_only=True)
class Log:
    """n impressions, in the order of the log; items are rows, those that are missing have rows behind the others."""

    impression: NDArray[np.int64]
    user: pa.ChunkedArray
    time: NDArray[np.int64]
    """Unix seconds; -1 where it is not known."""
    history: Ragged
    candidates: Ragged
    labels: NDArray[np.int8]
    """Flat, aligned with `candidates.values`."""
    attributes: pa.Table | None = None
    """A line for each impression, a column per attribute, of the types of `lego.data.table`."""
    signals: Mapping[str, NDArray[np.float32]] = attrs.field(factory=dict)
    """Numbers of the candidates, flat, aligned with `candidates.values`; NaN where one is missing."""
    history_signals: Mapping[str, NDArray[np.float32]] = attrs.field(factory=dict)
    """The same of the history, aligned with `history.values`."""


def join_logs(blocks: list[Log]) -> Log:
    """One log of several."""
    return Log(
        impression=one_array([block.impression for block in blocks]),
        user=users_of([block.user for block in blocks]),
        time=one_array([block.time for block in blocks]),
        history=one_after_another([block.history for block in blocks]),
        candidates=one_after_another([block.candidates for block in blocks]),
        labels=one_array([block.labels for block in blocks]),
        attributes=None
        if blocks[0].attributes is None
        else pa.concat_tables([block.attributes for block in blocks]).unify_dictionaries(),
        signals={name: one_array([block.signals[name] for block in blocks]) for name in blocks[0].signals},
        history_signals={
            name: one_array([block.history_signals[name] for block in blocks])
            for name in blocks[0].history_signals
        },
    )


def users_of(several: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Users of logs, strings or coded ones, in one chunk: coded by those there are, in the order in which they first appear."""
    users, places = Catalog(pa.array([], pa.string())), Growing(np.int32)
    for each in several:
        add_users(users, places, each)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(places.array()), users.missing)])


def add_users(users: Catalog, places: Growing, column: pa.ChunkedArray) -> None:
    """The place of each user of the column among the missing of `users`, behind what is there."""
    if not pa.types.is_dictionary(column.type):
        for begin, end in blocks(len(column), MANY):
            coded = one_chunk(column.slice(begin, end - begin)).dictionary_encode()
            places.add((users.rows(coded.dictionary) - 1)[flat(coded.indices)])
        return
    for chunk in column.chunks:
        names, place = chunk.dictionary, np.full(len(chunk.dictionary), -1, np.int32)
        for begin, end in blocks(len(chunk), MANY):
            codes = flat(chunk.slice(begin, end - begin).indices)
            there, first = np.unique(codes, return_index=True)
            new = there[np.argsort(first)]
            new = new[place[new] < 0]
            place[new] = users.rows(names.take(pa.array(new))) - 1
            places.add(place[codes])


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def one_after_another(parts: list[Ragged]) -> Ragged:
    """The rows of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return rows_of(
        one_array([part.values for part in parts]), one_array([lengths_of(part) for part in parts])
    )


def drop_missing(
    logs: list[Log], items: int, absent: int, dropped: dict[str, int], noun: str = "items"
) -> list[Log]:
    """The logs without the items that are missing; what is left out is counted in `dropped`."""
    counts = dict.fromkeys(
        ("history_clicks", "candidates", "clicked_candidates", "impressions_without_candidates"), 0
    )
    result = []
    for log in logs:
        inside = _inside(log.history.values, items)
        history = kept(log.history, inside)
        beside_history = {name: filtered(values, inside) for name, values in log.history_signals.items()}
        counts["history_clicks"] += len(inside) - _how_many(inside)
        inside = _inside(log.candidates.values, items)
        candidates = kept(log.candidates, inside)
        counts["candidates"] += len(inside) - _how_many(inside)
        counts["clicked_candidates"] += _how_many(log.labels) - _how_many(filtered(log.labels, inside))
        lengths = lengths_of(candidates)
        left = on_disk(len(lengths), np.bool_, partial(_some, lengths))
        counts["impressions_without_candidates"] += len(left) - _how_many(left)
        # A row without candidates has no labels either.
        inside_labels, signals = filtered(log.labels, inside), log.signals
        clicks = _of_rows(history, left)
        result.append(
            Log(
                impression=filtered(log.impression, left),
                user=users_where(log.user, left),
                time=filtered(log.time, left),
                history=rows_of(filtered(history.values, clicks), filtered(lengths_of(history), left)),
                candidates=rows_of(candidates.values, filtered(lengths, left)),  # others have none
                labels=inside_labels,
                attributes=None if log.attributes is None else filtered_table(log.attributes, left),
                signals={name: filtered(values, inside) for name, values in signals.items()},
                history_signals={name: filtered(values, clicks) for name, values in beside_history.items()},
            )
        )
    dropped[f"missing_{noun}"] = absent
    dropped[f"history_clicks_of_missing_{noun}"] = counts["history_clicks"]
    dropped[f"candidates_of_missing_{noun}"] = counts["candidates"]
    dropped[f"clicked_candidates_of_missing_{noun}"] = counts["clicked_candidates"]
    dropped["impressions_without_candidates"] = counts["impressions_without_candidates"]
    return result


def _how_many(flags: NDArray[Any]) -> int:
    """The sum of flags of 0 and 1."""
    return sum(int(flags[begin:end].sum()) for begin, end in blocks(len(flags), MANY))


def _some(lengths: NDArray[np.int64], begin: int, end: int) -> NDArray[np.bool_]:
    """Which rows of a stretch have values."""
    return lengths[begin:end] > 0


def _of_rows(rows: Ragged, left: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which values are of rows of the mask."""
    return looked_up(left, owners_of(rows))


def users_where(users: pa.ChunkedArray, mask: NDArray[np.bool_]) -> pa.ChunkedArray:
    """The users of the rows of the mask."""
    coded = users_of([users]).chunk(0)
    codes = pa.array(filtered(flat(coded.indices), mask))
    return pa.chunked_array([pa.DictionaryArray.from_arrays(codes, coded.dictionary)])


def _inside(values: NDArray[np.int32], items: int) -> NDArray[np.bool_]:
    """Which values are rows of items there are."""
    return on_disk(len(values), np.bool_, lambda begin, end: values[begin:end] <= items)


def part_of_log(
    log: Log, rows: NDArray[np.int64], user: NDArray[np.int32], stop: NDArray[np.int64], *, timed: bool = True
) -> pa.Table:
    """The part of these rows of the log; without the column of times where they are not `timed`."""
    shown, labels, signals = _chosen(log, rows)
    count = len(rows)
    columns = {
        "impression": pa.array(looked_up(log.impression, rows)),
        "user": pa.array(on_disk(count, np.int32, lambda begin, end: user[begin:end])),
        "start": pa.array(on_disk(count, np.int32, lambda begin, end: np.zeros(end - begin, np.int32))),
        "stop": pa.array(on_disk(count, np.int32, lambda begin, end: stop[begin:end])),
    }
    if timed:
        columns["time"] = _moments(log.time, rows)
    return pa.table(
        {
            **columns,
            "candidates": lists(shown, pa.int32()),
            "labels": lists(Ragged(labels, shown.offsets), pa.int8()),
            **_attributes(log, rows),
            **{name: signal(Ragged(values, shown.offsets)) for name, values in signals.items()},
        }
    )


def _moments(time: NDArray[np.int64], rows: NDArray[np.int64]) -> pa.ChunkedArray:
    """The time of each of these rows; null where it is not known."""
    schema = pa.schema([("time", pa.int64())])

    def pieces() -> Iterator[pa.RecordBatch]:
        for begin, end in blocks(len(rows), MANY):
            here = time[rows[begin:end]]
            yield pa.RecordBatch.from_arrays([pa.array(here, pa.int64(), mask=here < 0)], schema=schema)

    return spooled(pieces(), schema)["time"]


def _chosen(
    log: Log, rows: NDArray[np.int64]
) -> tuple[Ragged, NDArray[np.int8], dict[str, NDArray[np.float32]]]:
    """Candidates of these rows, and what stands beside them."""
    if len(rows) == len(log.candidates) and all(
        (rows[begin:end] == np.arange(begin, end)).all() for begin, end in blocks(len(rows), MANY)
    ):
        return log.candidates, log.labels, dict(log.signals)
    columns = {"": log.candidates.values, "labels": log.labels, **log.signals}
    made = {name: Growing(values.dtype) for name, values in columns.items()}
    every = Growing(np.int64)
    for begin, end in blocks(len(rows), _FEW):
        places, lengths = _candidates_of(log, rows[begin:end])
        every.add(lengths)
        for name, values in columns.items():
            made[name].add(values[places])
    whole = {name: each.array() for name, each in made.items()}
    shown = rows_of(whole.pop(""), every.array())
    return shown, whole.pop("labels"), whole


def _candidates_of(log: Log, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of the candidates of these rows, and how many each has."""
    starts = log.candidates.offsets[rows]
    lengths = log.candidates.offsets[rows + 1] - starts
    return flat_positions(starts, lengths), lengths


def _attributes(log: Log, rows: NDArray[np.int64]) -> dict[str, pa.ChunkedArray]:
    if log.attributes is None:
        return {}
    chosen = taken(log.attributes, rows)
    return {name: chosen[name] for name in chosen.column_names}


def one_class(log: Log, rows: NDArray[np.int64]) -> dict[str, int]:
    """How many of these impressions have candidates of one class only."""
    found = {"no_click": 0, "only_clicks": 0}
    for begin, end in blocks(len(rows), _FEW):
        places, lengths = _candidates_of(log, rows[begin:end])
        before = offsets_of(log.labels[places] != 0)
        ends = offsets_of(lengths)
        clicks = before[ends[1:]] - before[ends[:-1]]
        found["no_click"] += int((clicks == 0).sum())
        found["only_clicks"] += int((clicks == lengths).sum())
    return found


# --- clicks ------------------------------------------------------------------------------------------------------------------


@attrs.define(eq=False, kw_only=True)
class Clicks:
    """Rows of a log that are clicks, or items that were met without a click; on disk if they are many."""

    names: pa.Array
    """Users, in the order in which they first appear."""
    user: NDArray[np.int32]
    """Place in `names`."""
    item: NDArray[np.int32]
    click: NDArray[np.bool_]
    time: NDArray[np.int64]
    part: NDArray[np.int8]
    attributes: pa.Table | None = None
    """A line for each row, a column per attribute of the impression that a click makes."""
    signals: Mapping[str, NDArray[np.float32]] = attrs.field(factory=dict)
    """Numbers of each row, which stand beside it in histories."""

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def joined(cls, logs: list[Clicks]) -> Clicks:
        """One log of several."""
        if len(logs) == 1:
            return logs[0]
        names = pc.unique(pa.concat_arrays([each.names for each in logs]))
        places = [flat(pc.index_in(each.names, value_set=names)) for each in logs]
        made = {
            name: one_array([getattr(each, name) for each in logs])
            for name in ("item", "click", "time", "part")
        }
        return cls(
            names=names,
            user=one_array([looked_up(place, each.user) for each, place in zip(logs, places, strict=True)]),
            **made,
            attributes=None
            if logs[0].attributes is None
            else pa.concat_tables([each.attributes for each in logs]).unify_dictionaries(),
            signals={name: one_array([each.signals[name] for each in logs]) for name in logs[0].signals},
        )

    def where(self, mask: NDArray[np.bool_]) -> Clicks:
        """Some of the rows, and the users that have some."""
        user = filtered(self.user, mask)
        first = np.full(len(self.names), len(user))  # the row in which each user appears first
        for begin, end in blocks(len(user), MANY):
            who, where = np.unique(user[begin:end], return_index=True)
            first[who] = np.minimum(first[who], begin + where)
        there = np.argsort(first, kind="stable")[: int((first < len(user)).sum())]
        place = np.zeros(len(self.names), np.int32)
        place[there] = np.arange(len(there))
        return Clicks(
            names=self.names.take(pa.array(there)),
            user=looked_up(place, user),
            item=filtered(self.item, mask),
            click=filtered(self.click, mask),
            time=filtered(self.time, mask),
            part=filtered(self.part, mask),
            attributes=None if self.attributes is None else filtered_table(self.attributes, mask),
            signals={name: filtered(values, mask) for name, values in self.signals.items()},
        )


def no_rows(count: int) -> Ragged:
    """Rows without values."""
    return Ragged(np.empty(0, np.int32), np.zeros(count + 1, np.int64))


def side_by_side(first: Ragged, second: Ragged) -> Ragged:
    """Each row of the first with that of the second behind it."""
    if not len(first.values):
        return second
    offsets = offsets_of(first.lengths + second.lengths)
    values, begin = Growing(second.values.dtype), 0
    while begin < len(second):
        end = max(int(np.searchsorted(offsets, offsets[begin] + MANY, "right")) - 1, begin + 1)
        pair = [Ragged(each.values, each.offsets[begin : end + 1]) for each in (first, second)]
        whole = np.empty(offsets[end] - offsets[begin], second.values.dtype)
        starts = offsets[begin:end] - offsets[begin]
        for rows in pair:
            whole[flat_positions(starts, rows.lengths)] = rows.values[rows.offsets[0] : rows.offsets[-1]]
            starts = starts + rows.lengths
        values.add(whole)
        forget()
        begin = end
    return Ragged(values.array(), offsets)


def behind(before: Ragged, filler: float, rows: Ragged) -> Ragged:
    """The rows, with the filler in place of what is before them."""
    return side_by_side(Ragged(np.full(len(before.values), filler, rows.values.dtype), before.offsets), rows)


def sorted_sets(owner: NDArray[np.int32], item: NDArray[np.int32], count: int) -> Ragged:
    """The different items of each owner, ascending."""
    rows = sorted_rows({"owner": owner, "item": item}, ("owner", "item"))
    values, lengths, last = Growing(np.int32), np.zeros(count, np.int64), (-1, -1)
    for begin, end in blocks(len(owner), MANY):
        owners, items = rows["owner"][begin:end], rows["item"][begin:end]
        new = np.ones(len(items), bool)
        new[0] = (int(owners[0]), int(items[0])) != last
        new[1:] = (owners[1:] != owners[:-1]) | (items[1:] != items[:-1])
        values.add(items[new])
        lengths += np.bincount(owners[new], minlength=count)
        last = int(owners[-1]), int(items[-1])
    return Ragged.from_lengths(values.array(), lengths)


def clicks_before(
    log: Log, part: NDArray[np.int8], user: NDArray[np.int32], before: Ragged, *, timed: bool
) -> tuple[Ragged, Ragged | None, NDArray[np.int64]]:
    """History of each user with all clicks behind what was before; their times; how much of it each impression has seen."""
    count = len(user)
    time = log.time if timed else np.broadcast_to(np.int64(0), count)
    labels = log.labels
    clicked = on_disk(len(labels), np.bool_, lambda begin, end: labels[begin:end] == 1)
    row = filtered(owners_of(log.candidates), clicked)
    columns: dict[str, NDArray[Any]] = {"user": user, "time": time, "part": part}
    keys = ("user", "time", "part")
    of_clicks = {name: looked_up(values, row) for name, values in columns.items()}
    made = sorted_rows({**of_clicks, "item": filtered(log.candidates.values, clicked)}, keys)
    clicks = Ragged.from_lengths(made["item"], counts_of(made["user"], len(before)))
    ordered = sorted_rows(
        {
            **columns,
            "row": on_disk(count, np.int64, np.arange),
            "clicks": on_disk(
                count, np.int64, lambda begin, end: np.diff(np.searchsorted(row, np.arange(begin, end + 1)))
            ),
        },
        keys,
    )
    lengths, stops, done = before.lengths, Growing(np.int64), 0
    for begin, end in blocks(count, MANY):
        ends, who = done + np.cumsum(ordered["clicks"][begin:end]), ordered["user"][begin:end]
        stops.add(ends - ordered["clicks"][begin:end] - clicks.offsets[who] + lengths[who])
        done = int(ends[-1])
    stop = sorted_rows({"row": ordered["row"], "stop": stops.array()}, ["row"])["stop"]
    times = Ragged(made["time"], clicks.offsets) if timed and not len(before.values) else None
    return side_by_side(before, clicks), times, stop
