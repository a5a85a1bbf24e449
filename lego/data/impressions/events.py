"""Who took what: the rows of a log of clicks, ratings or purchases, read in pieces and held as numbers, on disk if many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.raw.growing import MANY, Growing, blocks, filtered, forget, on_disk, permutation, turned
from lego.data.raw.order import sorted_rows
from lego.data.table import flat

HELD = 4_000_000
"""Ids of pieces, counted once per piece, that are held before those of all pieces are made one."""
_NUMBERS = {"value": pa.float32(), "time": pa.int64(), "part": pa.int8()}

_ORDER_STREAM = 10
"""Which stream of the seed draws an order; the parts have 0, 1 and 2, the users 9."""


@attrs.frozen(eq=False, kw_only=True)
class Events:
    """n rows in the order of the log: 20 bytes a row with value and time, however long the ids are; on disk if they are many."""

    user_ids: pa.Array
    """Distinct, ascending: numbers as numbers, text by code points. Strings or int64, as the log has them."""
    item_ids: pa.Array
    """The same of items, those that the log names; or all of the catalogue, once the two were brought together."""
    user: NDArray[np.int32]
    """Place in `user_ids`, counted from 0."""
    item: NDArray[np.int32]
    """Place in `item_ids`, counted from 0."""
    value: NDArray[np.float32] | None = None
    """A rating, or how often or how long; None where each row just says that it was taken."""
    time: NDArray[np.int64] | None = None
    """Unix seconds; None where the log has no times, and its order is the order of time."""
    part: NDArray[np.int8] | None = None
    """0 train, 1 dev, 2 test, where the files say it; None where a rule cuts."""

    def __len__(self) -> int:
        return len(self.user)

    def where(self, kept: NDArray[np.bool_]) -> Events:
        """The rows of a mask; the ids stay."""
        return attrs.evolve(
            self, **{name: filtered(values, kept) for name, values in self._columns().items()}
        )

    def turned(self) -> Events:
        """The last row first."""
        return attrs.evolve(self, **{name: turned(values) for name, values in self._columns().items()})

    def between(self, begin: int, end: int) -> Events:
        """A stretch of the rows."""
        return attrs.evolve(self, **{name: values[begin:end] for name, values in self._columns().items()})

    def mark(self, rule: Callable[[Events], NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """What a rule says of each row, which it is asked of a stretch of the rows at a time."""
        return on_disk(len(self), np.bool_, lambda begin, end: rule(self.between(begin, end)))

    def by_user(self) -> Events:
        """User by user, and of a user by time, then by part; what is equal stays in the order of the log."""
        return self.ordered(*(name for name in ("user", "time", "part") if getattr(self, name) is not None))

    def ordered(self, *names: str) -> Events:
        """By these columns, the first before the second; what is equal stays in the order of the log."""
        return attrs.evolve(self, **sorted_rows(self._columns(), names))

    def by_rank(self, rank: NDArray[np.int64]) -> Events:
        """Each row at the place that its rank has among the others."""
        ordered = sorted_rows({**self._columns(), "rank": rank}, ["rank"])
        del ordered["rank"]
        return attrs.evolve(self, **ordered)

    def _columns(self) -> dict[str, NDArray[Any]]:
        every = {
            "user": self.user,
            "item": self.item,
            "value": self.value,
            "time": self.time,
            "part": self.part,
        }
        return {name: values for name, values in every.items() if values is not None}


def counts_of(codes: NDArray[Any], count: int, kept: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """How often each of `count` codes is there, in the rows of the mask where there is one."""
    found = np.zeros(count, np.int64)
    for begin, end in blocks(len(codes), MANY):
        piece = codes[begin:end] if kept is None else codes[begin:end][kept[begin:end]]
        found += np.bincount(piece, minlength=count)
    return found


def all_of(first: NDArray[np.bool_], *others: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where all of the masks hold."""
    return on_disk(
        len(first),
        np.bool_,
        lambda begin, end: np.logical_and.reduce([each[begin:end] for each in (first, *others)]),
    )


def how_many(mask: NDArray[np.bool_]) -> int:
    """Rows of the mask."""
    return sum(int(mask[begin:end].sum()) for begin, end in blocks(len(mask), MANY))


def stretches(user: NDArray[np.int32]) -> Iterator[tuple[int, int]]:
    """Begin and end of stretches of rows that are user by user; those of one user are never apart.

    A stretch with more than `MANY` rows is one user alone.
    """
    begin = 0
    while begin < len(user):
        last = user[min(begin + MANY, len(user)) - 1]
        first, end = (int(np.searchsorted(user, last, side)) for side in ("left", "right"))
        if end - begin > MANY and first > begin:
            end = first
        yield begin, end
        forget()
        begin = end


def shuffled(events: Events, seed: int) -> Events:
    """The events in an order drawn by the seed: for logs that say neither when nor in which order.

    The row that comes at each place is drawn on disk, and sorted for the place of each row, by which the rows are sorted then.
    """
    rows = permutation(len(events), np.random.default_rng([seed, _ORDER_STREAM]))
    places = on_disk(len(rows), np.int64, np.arange)
    drawn = sorted_rows({"row": rows, "place": places}, ["row"])["place"]
    return events.by_rank(drawn)


def gather(pieces: Iterable[pa.Table | pa.RecordBatch]) -> Events:
    """The events of tables with the columns `user`, `item`, and if there are any `value`, `time` and `part`, piece after piece.

    Ids are strings or whole numbers, of one kind in all pieces. No column has a null. A piece is let go before the next one is
    asked for. ValueError where pieces have different columns.
    """
    users, items = _Ids(), _Ids()
    numbers: dict[str, Growing] = {}
    for piece in pieces:
        if not piece.num_rows:
            continue
        users.add(piece.column("user"))
        items.add(piece.column("item"))
        for name, kind in _NUMBERS.items():
            if name in piece.schema.names:
                # A count beyond 2^24 is rounded, not refused.
                column = numbers.setdefault(name, Growing(np.dtype(kind.to_pandas_dtype())))
                column.add(flat(pc.cast(piece.column(name), kind, safe=False)))
        del piece
    user_ids, user = users.joined()
    item_ids, item = items.joined()
    joined = {name: column.array() for name, column in numbers.items()}
    for name, values in joined.items():
        if len(values) != len(user):
            raise ValueError(f"some pieces of the log have the column {name}, and others do not")
    return Events(
        user_ids=user_ids,
        item_ids=item_ids,
        user=user,
        item=item,
        value=joined.get("value"),
        time=joined.get("time"),
        part=joined.get("part"),
    )


class _Ids:
    """Ids piece by piece: the distinct ones of each, and the place of each row's among them."""

    def __init__(self) -> None:
        self.parts: list[tuple[pa.Array, int]] = []
        """Distinct ids of a piece, and how many rows it has."""
        self.codes = Growing(np.int32)
        self.held = 0

    def add(self, column: pa.ChunkedArray | pa.Array) -> None:
        """The next rows."""
        ids, codes = _encoded(column)
        self.parts.append((ids, len(codes)))
        self.codes.add(codes)
        self.held += len(ids)
        if self.held > HELD and len(self.parts) > 1:
            ids, codes = self.joined()
            self.parts, self.codes, self.held = [(ids, len(codes))], Growing(np.int32), 0
            for begin, end in blocks(len(codes), MANY):
                self.codes.add(codes[begin:end])

    def joined(self) -> tuple[pa.Array, NDArray[np.int32]]:
        """The distinct ids of all rows, ascending, and the place of each row's among them."""
        if not self.parts:
            return pa.array([], pa.string()), np.empty(0, np.int32)
        distinct = pc.unique(pa.chunked_array([ids for ids, _ in self.parts]))
        distinct = distinct.take(pc.sort_indices(distinct))
        codes, places, before = self.codes.array(), Growing(np.int32), 0
        for ids, rows in self.parts:
            place = flat(pc.index_in(ids, value_set=distinct)).astype(np.int32)
            for begin, end in blocks(rows, MANY):
                places.add(place[codes[before + begin : before + end]])
            before += rows
        return distinct, places.array()


def _encoded(column: pa.ChunkedArray | pa.Array) -> tuple[pa.Array, NDArray[np.int32]]:
    """Distinct values, and the place of each row's value among them."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    wide = pa.int64() if pa.types.is_integer(column.type) else pa.string()
    coded = pc.cast(column, wide).dictionary_encode()
    return coded.dictionary, flat(coded.indices).astype(np.int32, copy=False)
