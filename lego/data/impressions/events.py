"""Who took what: the rows of a log of clicks, ratings or purchases, read in pieces and held as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.table import flat

HELD = 4_000_000
"""Ids of pieces, counted once per piece, that are held before those of all pieces are made one."""
_NUMBERS = {"value": pa.float32(), "time": pa.int64(), "part": pa.int8()}

_ORDER_STREAM = 10
"""Which stream of the seed draws an order; the parts have 0, 1 and 2, the users 9."""


@attrs.frozen(eq=False, kw_only=True)
class Events:
    """n rows in the order of the log: 20 bytes a row with value and time, however long the ids are."""

    user_ids: pa.Array
    """Distinct, ascending: numbers as numbers, text by code points. Strings or int64, as the log has them."""
    item_ids: pa.Array
    """The same of items: those that the log names."""
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

    def where(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Events:
        """The rows of a mask or at the given places; the ids stay."""
        return attrs.evolve(
            self,
            user=self.user[kept],
            item=self.item[kept],
            value=None if self.value is None else self.value[kept],
            time=None if self.time is None else self.time[kept],
            part=None if self.part is None else self.part[kept],
        )


def shuffled(events: Events, seed: int) -> Events:
    """The events in an order drawn by the seed: for logs that say neither when nor in which order."""
    return events.where(np.random.default_rng([seed, _ORDER_STREAM]).permutation(len(events)))


def gather(pieces: Iterable[pa.Table | pa.RecordBatch]) -> Events:
    """The events of tables with the columns `user`, `item`, and if there are any `value`, `time` and `part`, piece after piece.

    Ids are strings or whole numbers, of one kind in all pieces. No column has a null. A piece is let go before the next one is
    asked for. ValueError where pieces have different columns.
    """
    users, items = _Ids(), _Ids()
    numbers: dict[str, list[NDArray[Any]]] = {}
    for piece in pieces:
        if not piece.num_rows:
            continue
        users.add(piece.column("user"))
        items.add(piece.column("item"))
        for name, kind in _NUMBERS.items():
            if name in piece.schema.names:
                # A count beyond 2^24 is rounded, not refused.
                numbers.setdefault(name, []).append(flat(pc.cast(piece.column(name), kind, safe=False)))
        del piece
    user_ids, user = users.joined()
    item_ids, item = items.joined()
    joined = {name: np.concatenate(parts) for name, parts in numbers.items()}
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
        self.parts: list[tuple[pa.Array, NDArray[np.int32]]] = []
        self.held = 0

    def add(self, column: pa.ChunkedArray | pa.Array) -> None:
        """The next rows."""
        self.parts.append(_encoded(column))
        self.held += len(self.parts[-1][0])
        if self.held > HELD and len(self.parts) > 1:
            self.parts = [self.joined()]
            self.held = 0

    def joined(self) -> tuple[pa.Array, NDArray[np.int32]]:
        """The distinct ids of all rows, ascending, and the place of each row's among them."""
        return _joined(self.parts)


def _encoded(column: pa.ChunkedArray | pa.Array) -> tuple[pa.Array, NDArray[np.int32]]:
    """Distinct values, and the place of each row's value among them."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    wide = pa.int64() if pa.types.is_integer(column.type) else pa.string()
    coded = pc.cast(column, wide).dictionary_encode()
    return coded.dictionary, flat(coded.indices).astype(np.int32, copy=False)


def _joined(parts: list[tuple[pa.Array, NDArray[np.int32]]]) -> tuple[pa.Array, NDArray[np.int32]]:
    """The distinct values of all parts, ascending, and the places among them."""
    if not parts:
        return pa.array([], pa.string()), np.empty(0, np.int32)
    distinct = pc.unique(pa.chunked_array([ids for ids, _ in parts]))
    distinct = distinct.take(pc.sort_indices(distinct))
    places = [flat(pc.index_in(ids, value_set=distinct)).astype(np.int32)[codes] for ids, codes in parts]
    return distinct, np.concatenate(places)
