"""Impressions from clicks, for data that logs what was taken and not what was shown.

Each click is shown among items that were drawn for it. How they are drawn is declared and seeded by the source alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.table import PARTS, lists
from lego.ragged import Ragged, flat_positions, offsets_of

_ROWS = 16_384
"""Rows drawn for at a time. Part of the rule: another number gives other draws from the same seed."""
_PATIENCE = 8
"""Rounds of drawing with rejection before the rest of a row is drawn exactly."""
_CELLS = 4_000_000


def draw_unseen(
    urn: NDArray[np.int32],
    owners: NDArray[np.int64],
    seen: Ragged,
    count: int,
    generator: np.random.Generator,
) -> Ragged:
    """Up to `count` different items for each row, from the urn, none of them among `seen[owner]`.

    The urn holds an item as often as its weight. Items are drawn one after the other, without putting back: each draw takes an
    item with probability proportional to its weight among those left. A row gets fewer where fewer are left to draw. `seen` is
    sorted and distinct in each row.
    """
    pool, weights = np.unique(urn, return_counts=True)
    size = int(max(urn.max(initial=0), seen.values.max(initial=0))) + 1
    keys = np.repeat(np.arange(len(seen), dtype=np.int64), seen.lengths) * size + seen.values
    known = np.zeros(size, bool)
    known[pool] = True
    outside = np.add.reduceat(np.append(known[seen.values], False).astype(np.int64), seen.offsets[:-1]) * (
        seen.lengths > 0
    )
    want = np.minimum(count, len(pool) - outside)[owners]
    drawn = np.zeros((len(owners), count), np.int32)
    for first in range(0, len(owners), _ROWS):
        rows = slice(first, first + _ROWS)
        base = owners[rows] * size
        near = keys[np.searchsorted(keys, base.min()) : np.searchsorted(keys, base.max() + size)]
        drawn[rows] = _draw_rows(urn, pool, weights, base, near, want[rows], count, generator)
    return Ragged.from_lengths(drawn[np.arange(count) < want[:, None]], want)


def _draw_rows(
    urn: NDArray[np.int32],
    pool: NDArray[np.int32],
    weights: NDArray[np.int64],
    base: NDArray[np.int64],
    keys: NDArray[np.int64],
    want: NDArray[np.int64],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.int32]:
    """(R, count), filled with 0 behind `want`. Equal to drawing without replacement: a draw that repeats is as if not made."""
    taken = np.zeros((len(base), count), np.int32)
    have = np.zeros(len(base), np.int64)
    for _ in range(_PATIENCE):
        open_rows = np.flatnonzero(have < want)
        if not len(open_rows):
            return taken
        fresh = urn[generator.integers(len(urn), size=(len(open_rows), 2 * count))]
        both = np.concatenate([taken[open_rows], fresh], axis=1)
        good = _first_of_each(both) & (both > 0)
        good[:, count:] &= ~_contains(keys, base[open_rows, None] + fresh)
        good &= np.cumsum(good, axis=1) <= want[open_rows, None]
        have[open_rows] = good.sum(1)
        line = np.zeros((len(open_rows), count), np.int32)
        line[np.arange(count) < have[open_rows, None]] = both[good]
        taken[open_rows] = line
    open_rows = np.flatnonzero(have < want)
    step = max(1, _CELLS // max(1, len(pool)))
    for first in range(0, len(open_rows), step):
        _finish(taken, open_rows[first : first + step], have, want, pool, weights, base, keys, generator)
    return taken


def _finish(
    taken: NDArray[np.int32],
    rows: NDArray[np.int64],
    have: NDArray[np.int64],
    want: NDArray[np.int64],
    pool: NDArray[np.int32],
    weights: NDArray[np.int64],
    base: NDArray[np.int64],
    keys: NDArray[np.int64],
    generator: np.random.Generator,
) -> None:
    """Fills rows whose draws are mostly rejected: the smallest of exponential waiting times come first (Efraimidis 2006)."""
    wait = generator.exponential(size=(len(rows), len(pool))) / weights
    wait[_contains(keys, base[rows, None] + pool)] = np.inf
    for slot in range(taken.shape[1]):
        used = slot < have[rows]
        column = np.searchsorted(pool, taken[rows[used], slot])
        wait[np.flatnonzero(used), column] = np.inf
    order = np.argsort(wait, axis=1, kind="stable")[:, : taken.shape[1]]
    missing = np.arange(taken.shape[1]) < (want - have)[rows, None]
    missing = missing[:, : order.shape[1]]
    line = taken[rows]
    line[(np.arange(taken.shape[1]) >= have[rows, None]) & (np.arange(taken.shape[1]) < want[rows, None])] = (
        pool[order][missing]
    )
    taken[rows] = line


def _first_of_each(table: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where a value stands for the first time in its row."""
    order = np.argsort(table, axis=1, kind="stable")
    ordered = np.take_along_axis(table, order, axis=1)
    first = np.ones(table.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    result = np.empty_like(first)
    np.put_along_axis(result, order, first, axis=1)
    return result


def _contains(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the wanted keys are among the sorted keys."""
    if not len(keys):
        return np.zeros(wanted.shape, bool)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return keys[place] == wanted


def draw_listed(
    listed: Ragged, owners: NDArray[np.int64], count: int, generator: np.random.Generator
) -> Ragged:
    """Up to `count` items of `listed[owner]` for each row, each subset of that size as likely; all where there are no more."""
    parts = []
    for first in range(0, len(owners), _ROWS):
        rows = listed.take(owners[first : first + _ROWS])
        row = np.repeat(np.arange(len(rows)), rows.lengths)
        order = np.lexsort((generator.random(len(rows.values)), row))
        parts.append(Ragged(rows.values[order], rows.offsets).head(count))
    if not parts:
        return Ragged(np.empty(0, np.int32), np.zeros(1, np.int64))
    return Ragged.from_lengths(
        np.concatenate([part.values for part in parts]), np.concatenate([part.lengths for part in parts])
    )


def show_among(
    clicks: NDArray[np.int32], others: Ragged, generator: np.random.Generator
) -> tuple[Ragged, NDArray[np.int8]]:
    """Each click at a random place among the others, so that no order can tell it; and the flat labels."""
    lengths = others.lengths + 1
    offsets = offsets_of(lengths)
    place = offsets[:-1] + generator.integers(0, lengths)
    labels = np.zeros(offsets[-1], np.int8)
    labels[place] = 1
    values = np.empty(offsets[-1], np.int32)
    values[place] = clicks
    values[labels == 0] = others.values
    return Ragged(values, offsets), labels


def split_by_share(lengths: NDArray[np.int64], dev: float, test: float) -> NDArray[np.int8]:
    """0 train, 1 dev, 2 test for each click, row by row: the last share of a row is test, that before it dev.

    Rows are in time order. A share above 0 takes at least one click of every row.
    """
    tests = _share(lengths, test)
    devs = np.minimum(_share(lengths, dev), lengths - tests)
    trains = lengths - tests - devs
    part = np.zeros(int(lengths.sum()), np.int8)
    starts = offsets_of(lengths)[:-1]
    part[flat_positions(starts + trains, devs)] = 1
    part[flat_positions(starts + trains + devs, tests)] = 2
    return part


def _share(lengths: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    # 0.29 * 100 is 28.999…: the small addition gives the 29 that was meant.
    taken = np.floor(lengths * share + 1e-9).astype(np.int64)
    return np.maximum(taken, 1) if share > 0 else taken


def impressions_of_clicks(
    history: Ragged,
    times: Ragged | None,
    part_of: NDArray[np.int8],
    draw: Callable[[NDArray[np.int64], np.random.Generator], Ragged],
    seed: int,
    before: NDArray[np.int64] | None = None,
) -> tuple[dict[str, pa.Table], int]:
    """An impression for each click of the users' histories: the parts, and how many clicks nothing could be drawn for.

    `part_of` is 0 train, 1 dev, 2 test for each click, `draw(owners, generator)` gives the other candidates of clicks of these
    users. The history of an impression is all clicks of its user before it, or the first `before` of them where that is given; a
    click of another part than these makes no impression. Each part has a stream of the seed.
    """
    owner = np.repeat(np.arange(len(history)), history.lengths)
    parts, without = {}, 0
    for number, part in enumerate(PARTS):
        generator = np.random.default_rng([seed, number])
        clicks = np.flatnonzero(part_of == number)
        others = draw(owner[clicks], generator)
        some = others.lengths > 0
        without += int((~some).sum())
        clicks, others = clicks[some], others.take(np.flatnonzero(some))
        shown, labels = show_among(history.values[clicks], others, generator)
        users = owner[clicks]
        columns = {
            "impression": pa.array(np.arange(len(clicks)), pa.int64()),
            "user": pa.array(users, pa.int32()),
            "start": pa.array(np.zeros(len(clicks)), pa.int32()),
            "stop": pa.array(
                clicks - history.offsets[users] if before is None else before[clicks], pa.int32()
            ),
        }
        if times is not None:
            columns["time"] = pa.array(times.values[clicks], pa.int64())
        columns["candidates"] = lists(shown, pa.int32())
        columns["labels"] = lists(Ragged(labels, shown.offsets), pa.int8())
        parts[part] = pa.table(columns)
    return parts, without
