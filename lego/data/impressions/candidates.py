"""Impressions from clicks, for data that logs what was taken and not what was shown.

Each click is shown among items that were drawn for it. How they are drawn is declared and seeded by the source alone. What is
drawn is much longer than the log, so it is put on disk as it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.impressions.events import counts_of
from lego.data.raw.growing import (
    HELD,
    MANY,
    Growing,
    blocks,
    filtered,
    forget,
    gathered,
    lengths_of,
    on_disk,
    rows_of,
)
from lego.data.table import PARTS, lists
from lego.ragged import Ragged, offsets_of

_ROWS = 16_384
"""Rows drawn for at a time. Part of the rule: another number gives other draws from the same seed."""
_PATIENCE = 8
"""Rounds of drawing with rejection before the rest of a row is drawn exactly."""
_AHEAD = 1 << 21
"""Draws of an urn on disk that are looked up together, at most."""


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
    size = int(max(urn.max(initial=0), seen.values.max(initial=0))) + 1
    weights = counts_of(urn, size)
    known = weights > 0
    pool, weights = np.flatnonzero(known).astype(np.int32), weights[known]
    left = np.minimum(count, len(pool) - _known_of_each(seen, known))
    want = on_disk(len(owners), np.int64, lambda first, last: left[owners[first:last]])
    drawn, hand = Growing(np.int32), _Hand(urn, generator)
    for first, last in blocks(len(owners), _ROWS):
        met = _Met(seen, owners[first:last], size)
        rows = _draw_rows(hand, pool, weights, met, want[first:last], count)
        drawn.add(rows[np.arange(count) < want[first:last, None]])
    hand.put_back()
    return rows_of(drawn.array(), want)


def _known_of_each(seen: Ragged, known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many values of each row are known."""
    found, before = np.zeros(len(seen.offsets), np.int64), 0
    for begin, end in blocks(len(seen.values), MANY):
        counts = offsets_of(known[seen.values[begin:end]])
        first, last = np.searchsorted(seen.offsets, (begin, end), "right")
        found[first:last] = before + counts[seen.offsets[first:last] - begin]
        before += int(counts[-1])
    return np.diff(found)


class _Hand:
    """Draws from the urn, one after the other. Of an urn on disk many are looked up ahead, since each time reads much of it.

    What is drawn is what the generator would give if it were asked each time. `put_back` before it is used for anything else.
    """

    def __init__(self, urn: NDArray[np.int32], generator: np.random.Generator) -> None:
        self._urn, self._generator = urn, generator
        self._held, self._used = np.empty(0, urn.dtype), 0
        self._before = generator.bit_generator.state

    def draw(self, rows: int, count: int) -> NDArray[np.int32]:
        """(rows, count)."""
        wanted = rows * count
        if self._urn.nbytes <= HELD:
            return self._urn[self._generator.integers(len(self._urn), size=(rows, count))]
        left = self._held[self._used :]
        if wanted <= len(left):
            self._used += wanted
            return left[:wanted].reshape(rows, count)
        more = wanted - len(left)
        ahead = max(more, min(2 * len(self._held), _AHEAD))
        self._before = self._generator.bit_generator.state
        self._held = gathered(self._urn, self._generator.integers(len(self._urn), size=ahead))
        self._used = more
        return np.concatenate([left, self._held[:more]]).reshape(rows, count)

    def put_back(self) -> np.random.Generator:
        """The generator, as if nothing had been drawn ahead."""
        if self._used < len(self._held):
            self._generator.bit_generator.state = self._before
            self._generator.integers(len(self._urn), size=self._used)
        self._held, self._used = np.empty(0, self._urn.dtype), 0
        return self._generator


class _Met:
    """What the users of some rows have seen: looked up in one go, or, where it is much, some users at a time."""

    def __init__(self, seen: Ragged, owners: NDArray[np.int64], size: int) -> None:
        self._seen, self._size = seen, size
        self._users, self._place = np.unique(owners, return_inverse=True)
        self._stretches = _stretches(seen.offsets[self._users + 1] - seen.offsets[self._users])
        self._whole = self._keys(0, len(self._users)) if len(self._stretches) == 1 else None

    def among(self, rows: NDArray[np.int64], items: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the items of each of these rows their users have seen."""
        place = self._place[rows]
        if self._whole is not None:
            return _contains(self._whole, place[:, None] * self._size + items)
        found = np.empty((len(rows), items.shape[-1]), bool)
        items = np.broadcast_to(items, found.shape)
        for first, last in self._stretches:
            inside = (place >= first) & (place < last)
            keys = place[inside, None] * self._size + items[inside]
            found[inside] = _contains(self._keys(first, last), keys)
        return found

    def _keys(self, first: int, last: int) -> NDArray[np.int64]:
        rows = self._seen.take(self._users[first:last])
        return np.repeat(np.arange(first, last), rows.lengths) * self._size + rows.values


def _stretches(lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Begin and end of rows that are looked at together: as many as have `MANY` values, or one alone that has more."""
    ends, cuts = np.cumsum(lengths), [0]
    while cuts[-1] < len(ends):
        before = ends[cuts[-1] - 1] if cuts[-1] else 0
        cuts.append(max(int(np.searchsorted(ends, before + MANY, "right")), cuts[-1] + 1))
    return list(pairwise(cuts))


def _draw_rows(
    hand: _Hand,
    pool: NDArray[np.int32],
    weights: NDArray[np.int64],
    met: _Met,
    want: NDArray[np.int64],
    count: int,
) -> NDArray[np.int32]:
    """(R, count), filled with 0 behind `want`. Equal to drawing without replacement: a draw that repeats is as if not made."""
    taken = np.zeros((len(want), count), np.int32)
    have = np.zeros(len(want), np.int64)
    for _ in range(_PATIENCE):
        open_rows = np.flatnonzero(have < want)
        if not len(open_rows):
            return taken
        fresh = hand.draw(len(open_rows), 2 * count)
        both = np.concatenate([taken[open_rows], fresh], axis=1)
        good = _first_of_each(both) & (both > 0)
        good[:, count:] &= ~met.among(open_rows, fresh)
        good &= np.cumsum(good, axis=1) <= want[open_rows, None]
        have[open_rows] = good.sum(1)
        line = np.zeros((len(open_rows), count), np.int32)
        line[np.arange(count) < have[open_rows, None]] = both[good]
        taken[open_rows] = line
    open_rows = np.flatnonzero(have < want)
    step = max(1, MANY // max(1, len(pool)))
    for first in range(0, len(open_rows), step):
        _finish(taken, open_rows[first : first + step], have, want, pool, weights, met, hand.put_back())
    return taken


def _finish(
    taken: NDArray[np.int32],
    rows: NDArray[np.int64],
    have: NDArray[np.int64],
    want: NDArray[np.int64],
    pool: NDArray[np.int32],
    weights: NDArray[np.int64],
    met: _Met,
    generator: np.random.Generator,
) -> None:
    """Fills rows whose draws are mostly rejected: the smallest of exponential waiting times come first (Efraimidis 2006)."""
    wait = generator.exponential(size=(len(rows), len(pool))) / weights
    wait[met.among(rows, pool[None])] = np.inf
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
    drawn = Growing(np.int32)
    for begin, end in blocks(len(owners), _ROWS):
        block = owners[begin:end]
        for first, last in _stretches(listed.offsets[block + 1] - listed.offsets[block]):
            rows = listed.take(block[first:last])
            row = np.repeat(np.arange(len(rows)), rows.lengths)
            order = np.lexsort((generator.random(len(rows.values)), row))
            drawn.add(Ragged(rows.values[order], rows.offsets).head(count).values)
            forget()
    lengths = np.minimum(listed.lengths, count)
    return rows_of(
        drawn.array(), on_disk(len(owners), np.int64, lambda first, last: lengths[owners[first:last]])
    )


def show_among(
    clicks: NDArray[np.int32], others: Ragged, generator: np.random.Generator
) -> tuple[Ragged, NDArray[np.int8]]:
    """Each click at a random place among the others, so that no order can tell it; and the flat labels."""
    shown, flags = Growing(np.int32), Growing(np.int8)
    for first, last in blocks(len(clicks), _ROWS):
        lengths = np.diff(others.offsets[first : last + 1]) + 1
        offsets = offsets_of(lengths)
        place = offsets[:-1] + generator.integers(0, lengths)
        labels = np.zeros(offsets[-1], np.int8)
        labels[place] = 1
        values = np.empty(offsets[-1], np.int32)
        values[place] = clicks[first:last]
        values[labels == 0] = others.values[others.offsets[first] : others.offsets[last]]
        shown.add(values)
        flags.add(labels)
    drawn = lengths_of(others)
    every = on_disk(len(clicks), np.int64, lambda first, last: drawn[first:last] + 1)
    return rows_of(shown.array(), every), flags.array()


def split_by_share(lengths: NDArray[np.int64], dev: float, test: float) -> NDArray[np.int8]:
    """0 train, 1 dev, 2 test for each click, row by row: the last share of a row is test, that before it dev.

    Rows are in time order. A share above 0 takes at least one click of every row.
    """
    tests = _share(lengths, test)
    devs = np.minimum(_share(lengths, dev), lengths - tests)
    held_out, ends = tests + devs, offsets_of(lengths)[1:]

    def piece(first: int, last: int) -> NDArray[np.int8]:
        place = np.arange(first, last)
        owner = np.searchsorted(ends, place, "right")
        left = ends[owner] - place  # 1 is the last
        return (left <= tests[owner]).astype(np.int8) + (left <= held_out[owner])

    return on_disk(int(lengths.sum()), np.int8, piece)


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
    parts, without = {}, 0
    for number, part in enumerate(PARTS):
        generator = np.random.default_rng([seed, number])
        clicks, owners = _clicks_of(history, part_of, number)
        others = draw(owners, generator)
        clicks, owners, others, nothing = _with_others(clicks, owners, others)
        without += nothing
        parts[part] = _table(history, times, clicks, owners, others, before, generator)
    return parts, without


def _with_others(
    clicks: NDArray[np.int64], owners: NDArray[np.int64], others: Ragged
) -> tuple[NDArray[np.int64], NDArray[np.int64], Ragged, int]:
    """The clicks for which something was drawn, and how many there are for which nothing was."""
    lengths = lengths_of(others)
    drawn_for = on_disk(len(clicks), np.bool_, lambda first, last: lengths[first:last] > 0)
    nothing = sum(int((~drawn_for[first:last]).sum()) for first, last in blocks(len(drawn_for), MANY))
    if not nothing:
        return clicks, owners, others, 0
    return (
        filtered(clicks, drawn_for),
        filtered(owners, drawn_for),
        rows_of(others.values, filtered(lengths, drawn_for)),
        nothing,
    )


def _table(
    history: Ragged,
    times: Ragged | None,
    clicks: NDArray[np.int64],
    owners: NDArray[np.int64],
    others: Ragged,
    before: NDArray[np.int64] | None,
    generator: np.random.Generator,
) -> pa.Table:
    """The impressions of a part."""
    count = len(clicks)

    def stop(first: int, last: int) -> NDArray[np.int64]:
        at = clicks[first:last]
        return at - history.offsets[owners[first:last]] if before is None else before[at]

    taken = on_disk(count, np.int32, lambda first, last: history.values[clicks[first:last]])
    shown, labels = show_among(taken, others, generator)
    columns = {
        "impression": pa.array(on_disk(count, np.int64, np.arange)),
        "user": pa.array(on_disk(count, np.int32, lambda first, last: owners[first:last])),
        "start": pa.array(on_disk(count, np.int32, lambda first, last: np.zeros(last - first, np.int32))),
        "stop": pa.array(on_disk(count, np.int32, stop)),
    }
    if times is not None:
        moments = times.values
        columns["time"] = pa.array(on_disk(count, np.int64, lambda first, last: moments[clicks[first:last]]))
    columns["candidates"] = lists(shown, pa.int32())
    columns["labels"] = lists(Ragged(labels, shown.offsets), pa.int8())
    return pa.table(columns)


def _clicks_of(
    history: Ragged, part_of: NDArray[np.int8], number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the clicks of a part, and whose they are."""
    places, owners = Growing(np.int64), Growing(np.int64)
    for first, last in blocks(len(part_of), MANY):
        found = first + np.flatnonzero(part_of[first:last] == number)
        places.add(found)
        owners.add(np.searchsorted(history.offsets, found, "right") - 1)
    return places.array(), owners.array()
