"""Who took what: the rows of a log of clicks, ratings or purchases, read in pieces and held as numbers."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.table import flat


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
        )


def gather(pieces: Iterable[pa.Table | pa.RecordBatch]) -> Events:
    """The events of tables with the columns `user`, `item`, and if there are any `value` and `time`, piece after piece.

    Ids are strings or whole numbers, of one kind in all pieces. No column has a null. A piece is let go before the next one is
    asked for.
    """
    users, items, values, times = [], [], [], []
    for piece in pieces:
        if not piece.num_rows:
            continue
        users.append(_encoded(piece.column("user")))
        items.append(_encoded(piece.column("item")))
        if "value" in piece.schema.names:
            values.append(flat(pc.cast(piece.column("value"), pa.float32())))
        if "time" in piece.schema.names:
            times.append(flat(pc.cast(piece.column("time"), pa.int64())))
    user_ids, user = _joined(users)
    item_ids, item = _joined(items)
    return Events(
        user_ids=user_ids,
        item_ids=item_ids,
        user=user,
        item=item,
        value=np.concatenate(values) if values else None,
        time=np.concatenate(times) if times else None,
    )


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
