"""The most recent rows of each user of a log that is too large to hold: what is older is let go while the log is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.raw.columns import one
from lego.data.table import flat

_ROWS = 4_000_000
"""Rows that are read before old ones are let go."""


def most_recent(
    pieces: Iterable[pa.Table], count: int, dropped: dict[str, int], name: str, *, newest_first: bool = False
) -> Iterator[pa.Table]:
    """The `count` rows of each user with the latest `time`, in the order of the log; the others are counted in `dropped[name]`.

    Of rows with one time the one behind is the later one, or the one before where the log has the `newest_first`. Memory is
    bounded by what is kept.
    """
    kept: list[pa.Table] = []
    rows = before = lost = 0
    for piece in pieces:
        kept.append(piece)
        rows += piece.num_rows
        if rows - before >= _ROWS:
            kept, gone = _pruned(kept, count, newest_first=newest_first)
            lost += gone
            rows = before = rows - gone
    if kept:
        kept, gone = _pruned(kept, count, newest_first=newest_first)
        lost += gone
    dropped[name] = lost
    yield from kept


def _pruned(pieces: list[pa.Table], count: int, *, newest_first: bool) -> tuple[list[pa.Table], int]:
    table = pa.concat_tables(pieces)
    user = flat(one(table["user"]).dictionary_encode().indices)
    place = np.arange(len(user))
    order = np.lexsort((-place if newest_first else place, flat(table["time"]), user))
    lengths = np.bincount(user)
    ends = np.repeat(np.cumsum(lengths), lengths)
    kept = np.zeros(len(user), bool)
    kept[order[_within(ends, count)]] = True
    return [table.filter(pa.array(kept))], int((~kept).sum())


def _within(ends: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(ends)) >= ends - count)
