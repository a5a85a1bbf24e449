"""Which candidates a training row holds: negatives for each positive, or whole impressions dealt into short rows.

Negatives are drawn without replacement by inverting a distribution from which the items that may not be drawn are cut
out, so nothing is drawn twice and thrown away: a draw ends even where a user has clicked nearly everything. Row 0, never
an item, fills what is short.

A part is looked at piece by piece, and what is drawn is written to where it is kept: beside the rows there is nothing as long as
the candidates of the part are many. The generator is asked turn by turn, the whole part in each, so that pieces do not change
what it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.table import flat
from lego.errors import SpecError
from lego.ragged import Ragged, flat_positions, offsets_of

if TYPE_CHECKING:
    from lego.contract import Candidates
    from lego.data.store import Impressions, Users

Ints = NDArray[np.int64]

SOURCES = ("impression", "user", "uniform", "popularity", "batch")
"""Where negatives may come from."""

EXCLUDED = ("positives", "history")
"""What negatives from elsewhere than the impression may not be: the user's clicks in the part, or those before, too."""

_TOGETHER = 1 << 13
"""Impressions that are looked at together: their candidates stay in the caches of the processor."""

_MANY = 1 << 16
"""Rows that are looked at together; and eight times as many candidates, where impressions have many."""

WIDEST = 8
"""Candidates in a row where whole impressions are dealt out: enough to share the user's vector, too few for much padding."""


@attrs.frozen(eq=False)
class Rows:
    """Training rows: R of them, C candidates each."""

    impression: Ints
    """(R,) which impression of the part."""
    items: NDArray[np.int32]
    """(R, C) item rows, real ones first; 0 where there is none."""
    labels: NDArray[np.float32]
    """(R, C) 1.0 clicked, 0.0 not, and 0.0 where there is no item; one row for all of them where all are alike."""
    left_out: Mapping[str, int] = attrs.field(factory=dict)
    """Impressions that gave no row at all, counted by reason."""
    offsets: NDArray[np.float32] | None = None
    """(items + 1,) what is added to the score of each item before the loss; None where nothing is."""
    shared: Shared | None = None
    """Where the rows of a batch are each other's negatives; a row then holds its positive alone."""

    def __len__(self) -> int:
        return len(self.impression)


def draw(
    impressions: Impressions,
    want: Candidates,
    users: Users,
    item_count: int,
    generator: np.random.Generator,
    real_items: int | None = None,
) -> Rows:
    """The rows of one pass over a part, in its order; the same state of `generator` gives the same rows.

    `want.negatives=K`: a row for each positive, which stands first, and up to K different negatives from `want.source`:

    - `impression`: the same impression's candidates that were not clicked.
    - `user`: what the user was shown in any impression of the part and did not click.
    - `uniform`: all items (rows 1 to `real_items`, `item_count` unless given) alike; those behind are generated.
    - `popularity`: items clicked in the part, in proportion to their clicks.

    The last three never give an item that the user clicked in the part; nor, unless `want.exclude` is `positives`, one of the
    history as it stands at the user's last impression of the part (what comes later belongs to another part). All rows of a user
    id are one user. Where fewer than K are left, a row holds fewer.

    With `batch` a row is its positive alone, and `beside` finds its negatives once the batch is known.

    `want.negatives=None`: every candidate of every impression once, dealt in random order into rows of at most `WIDEST`, as
    even as can be; with `batch`, all that `beside` finds.
    """
    if want.negatives is None and want.source != "batch":
        return _dealt(impressions, item_count, generator)
    if want.source not in SOURCES:
        raise SpecError.wrong_value(
            "Candidates", "source", want.source, "one of " + ", ".join(map(repr, SOURCES))
        )
    if want.exclude not in EXCLUDED:
        raise SpecError.wrong_value(
            "Candidates", "exclude", want.exclude, "one of " + ", ".join(map(repr, EXCLUDED))
        )
    batch = want.source == "batch"
    clicks = _clicks(impressions, item_count, 0 if batch else want.negatives or 0)
    needed = want.correction is not None or want.source == "popularity"
    counts = _counts(clicks.items[:, 0], item_count + 1) if needed else np.empty(0, np.int64)
    if want.source == "impression":
        _of_impressions(clicks, impressions, item_count, generator)
        return _finished(clicks, want, counts, len(impressions))
    taken = _clicked_by_user(impressions, users, clicks, item_count, history=want.exclude == "history")
    if batch:
        without = {"impressions without a click": len(impressions) - _different(clicks.impression)}
        alone = Rows(clicks.impression, clicks.items, _alike(clicks.items), without)
        return attrs.evolve(
            alone,
            offsets=_offsets(want, alone, counts, int(clicks.negative.sum())),
            shared=Shared(taken, want.negatives),
        )

    def user(rows: slice) -> Ints:
        return taken.who[impressions.user[clicks.impression[rows]]]

    if want.source == "user":
        _from_pool(clicks.items[:, 1:], _shown_by_user(impressions, taken, item_count), user, generator)
    else:
        weights = np.ones(item_count + 1, np.int64) if want.source == "uniform" else counts.copy()
        weights[0] = 0
        weights[1 + (item_count if real_items is None else real_items) :] = 0
        _from_all(clicks.items[:, 1:], weights, taken, user, generator)
    return _finished(clicks, want, counts, len(impressions))


# --- a part, piece by piece ---------------------------------------------------------------------------------------------------


def _slices(count: int) -> Iterator[slice]:
    """Rows that are looked at together."""
    return (slice(begin, min(begin + _MANY, count)) for begin in range(0, count, _MANY))


def _pieces(offsets: Ints) -> Iterator[tuple[int, int]]:
    """First and last of the lists that are looked at together; `offsets` say how long they are."""
    begin, count = 0, len(offsets) - 1
    while begin < count:
        fitting = int(np.searchsorted(offsets, offsets[begin] + 8 * _MANY, side="right")) - 1
        end = min(max(fitting, begin + 1), begin + _TOGETHER, count)
        yield begin, end
        begin = end


def _cut(array: NDArray[Any], length: int) -> None:
    """Gives back what lies behind the first `length` lines of an array that owns its memory, and that nobody else looks at."""
    if length < len(array):
        array.resize((length, *array.shape[1:]), refcheck=False)


def _keep(array: NDArray[Any], kept: NDArray[np.bool_]) -> None:
    """Moves the lines that are kept to the front, and cuts the rest."""
    if kept.all():
        return
    at = 0
    for rows in _slices(len(array)):
        left = array[rows][kept[rows]]
        array[at : at + len(left)] = left
        at += len(left)
    _cut(array, at)


def _different(ascending: Ints) -> int:
    """How many different numbers there are."""
    return int(np.count_nonzero(ascending[1:] != ascending[:-1])) + bool(len(ascending))


def _counts(items: NDArray[np.int32], length: int) -> Ints:
    """How often each item occurs."""
    counts = np.zeros(length, np.int64)
    for rows in _slices(len(items)):
        np.add.at(counts, items[rows], 1)
    return counts


@attrs.frozen(eq=False)
class _Clicks:
    """The R candidates of a part that were clicked, in order, each with room for its negatives."""

    impression: Ints
    items: NDArray[np.int32]
    """(R, C) the clicked item, then 0."""
    negative: NDArray[np.int32]
    """How many candidates of each impression were not clicked."""
    distinct: list[bool]
    """Of each piece: whether no candidate is repeated within an impression."""


def _clicks(impressions: Impressions, item_count: int, negatives: int) -> _Clicks:
    pieces = list(_pieces(impressions.candidates.offsets))
    bounds = [slice(*impressions.candidates.offsets[[begin, end]].tolist()) for begin, end in pieces]
    most = sum(int(np.count_nonzero(impressions.labels[each] > 0)) for each in bounds)
    impression, items = np.empty(most, np.int64), np.zeros((most, 1 + negatives), np.int32)
    negative, distinct, at = np.zeros(len(impressions), np.int32), [], 0
    for (begin, end), bound in zip(pieces, bounds, strict=True):
        owner, shown, clicked = _pairs(impressions, item_count, begin, end)
        rows = slice(at, at := at + int(np.count_nonzero(clicked)))
        impression[rows] = owner[clicked] + begin
        items[rows, 0] = shown[clicked]
        negative[begin:end] = np.bincount(owner[~clicked], minlength=end - begin)
        distinct.append(len(owner) == bound.stop - bound.start)
    _cut(impression, at)
    _cut(items, at)
    return _Clicks(impression, items, negative, distinct)


def _of_impressions(
    clicks: _Clicks, impressions: Impressions, item_count: int, generator: np.random.Generator
) -> None:
    """Fills in negatives of each positive's own impression."""
    impression, negatives = clicks.impression, clicks.items[:, 1:]
    _points(negatives, lambda rows: clicks.negative[impression[rows]].astype(np.int64), generator)
    for (begin, end), distinct in zip(_pieces(impressions.candidates.offsets), clicks.distinct, strict=True):
        owner, shown, clicked = _pairs(impressions, item_count, begin, end, distinct=distinct)
        pool = _rows_of(owner[~clicked], shown[~clicked], end - begin)
        rows = slice(*np.searchsorted(impression, (begin, end)).tolist())
        _settle(negatives[rows], pool, impression[rows] - begin)


def _finished(clicks: _Clicks, want: Candidates, counts: Ints, count: int) -> Rows:
    """Rows of a positive and its negatives, without those that have no negative."""
    impression, items = clicks.impression, clicks.items
    with_positive = _different(impression)
    usable = np.empty(len(items), np.bool_)
    for rows in _slices(len(items)):
        usable[rows] = (items[rows, 1:] > 0).any(1)
    _keep(impression, usable)
    _keep(items, usable)
    with_row = _different(impression)
    left_out = {
        "impressions without a click": count - with_positive,
        "impressions without negatives": with_positive - with_row,
    }
    made = Rows(impression, items, _alike(items), left_out)
    return attrs.evolve(made, offsets=_offsets(want, made, counts, int(clicks.negative.sum())))


def _alike(items: NDArray[np.int32]) -> NDArray[np.float32]:
    """Labels of rows whose positive stands first: one row, in the place of all."""
    return np.broadcast_to(np.eye(1, items.shape[1], dtype=np.float32), items.shape)


def _offsets(want: Candidates, rows: Rows, counts: Ints, negative: int) -> NDArray[np.float32] | None:
    """(items + 1,) what `want.correction` adds to scores; row 0 has 0, like an item that is never drawn.

    `counts` are the clicks of each item, `negative` how many candidates of the part were not clicked.
    """
    if want.correction is None or not len(rows):
        return None
    if want.correction == "frequency":
        return np.where(counts > 0, -np.log(np.maximum(counts, 1) / counts.sum()), 0).astype(np.float32)
    # What sampling multiplied the odds of a click by: the share of positives that have a row over that of negatives drawn.
    kept = np.count_nonzero(rows.items[:, 1:]) / negative
    offsets = np.full(len(counts), np.log(len(rows) / counts.sum() / kept), np.float32)
    offsets[0] = 0
    return offsets


def _pairs(
    impressions: Impressions,
    item_count: int,
    begin: int = 0,
    end: int | None = None,
    *,
    distinct: bool = False,
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Impression, item and whether it was clicked, of every candidate in order; of some impressions, counted from the first.

    A candidate that a log repeats within an impression counts once, as clicked if it ever was; where it is known that none is
    repeated (`distinct`) nobody looks.
    """
    offsets = impressions.candidates.offsets[begin : len(impressions) + 1 if end is None else end + 1]
    real = slice(int(offsets[0]), int(offsets[-1]))
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    shown, clicked = impressions.candidates.values[real].astype(np.int64), impressions.labels[real] > 0
    if distinct:
        return owner, shown, clicked
    keys = owner * (item_count + 1) + shown
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return owner, shown, clicked
    _, first, again = np.unique(keys, return_index=True, return_inverse=True)
    ever = np.bincount(again, clicked) > 0
    order = np.argsort(first)
    return owner[first[order]], shown[first[order]], ever[order]


def _sorted_once(keys: Ints) -> Ints:
    """Different keys, ascending, in the memory of those given; sorting takes a fifth of the time of np.unique, which hashes."""
    keys.sort()
    first = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    _keep(keys, first)
    return keys


def _rows_of(owner: Ints, values: Ints, count: int) -> Ragged:
    """Values grouped by owner; `owner` is sorted already."""
    return Ragged.from_lengths(values, np.bincount(owner, minlength=count))


def _dealt(impressions: Impressions, item_count: int, generator: np.random.Generator) -> Rows:
    """Every candidate once, in rows of at most `WIDEST`."""
    pieces = list(_pieces(impressions.candidates.offsets))
    lengths, distinct = np.zeros(len(impressions), np.int32), []
    for begin, end in pieces:
        owner, _, _ = _pairs(impressions, item_count, begin, end)
        lengths[begin:end] = np.bincount(owner, minlength=end - begin)
        bounds = impressions.candidates.offsets[[begin, end]]
        distinct.append(len(owner) == bounds[1] - bounds[0])
    hands = -(-lengths // WIDEST)
    widths = -(-lengths // np.maximum(hands, 1))
    total = int(hands.sum(dtype=np.int64))
    shape = (total, max(int(widths.max(initial=0)), 1))
    items, labels = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    impression, at = np.empty(total, np.int64), 0
    for (begin, end), alone in zip(pieces, distinct, strict=True):
        owner, shown, clicked = _pairs(impressions, item_count, begin, end, distinct=alone)
        length, hand = lengths[begin:end].astype(np.int64), hands[begin:end].astype(np.int64)
        # One sort of sums that keep the order of owners: a tenth of the time of sorting by two keys.
        order = np.argsort(begin + owner + generator.random(len(shown)), kind="stable")
        place = np.arange(len(shown)) - np.repeat(offsets_of(length)[:-1], length)
        # Dealt round like cards, hands differ by one candidate at most; cut off one after the other, the last would be a rest.
        row = at + offsets_of(hand)[:-1][owner] + place % hand[owner]
        column = place // hand[owner]
        items[row, column] = shown[order]
        labels[row, column] = clicked[order]
        rows = slice(at, at := at + int(hand.sum()))
        impression[rows] = np.repeat(np.arange(begin, end), hand)
    return Rows(impression, items, labels, {"impressions without candidates": int((lengths == 0).sum())})


# --- drawing ------------------------------------------------------------------------------------------------------------------


Totals = Callable[[slice], Ints]
"""Rows → how much there is to draw from, for each of them."""

Locate = Callable[[slice, Ints], tuple[Ints, Ints, Ints]]
"""Rows and a point of each → what lies there, where it begins and how wide it is, each (R,)."""


def _distinct(
    found: NDArray[np.int32], totals: Totals, locate: Locate, largest: int, generator: np.random.Generator
) -> None:
    """Fills (R, K) with different things for each row, drawn one after the other in proportion to their widths; 0 is none.

    The things of a row lie side by side on [0, total), and no total is above `largest`. A point is drawn on what is left when
    the drawn things are cut out, then moved up past each of them; a row whose things are all drawn gives no more.
    """
    count = found.shape[1]
    dtype = np.int32 if largest < np.iinfo(np.int32).max else np.int64
    # Of what was drawn before, ascending; what is drawn last is needed by nobody.
    begins, widths = (np.zeros((max(count - 1, 0), len(found)), dtype) for _ in range(2))
    for turn in range(count):
        for rows in _slices(len(found)):
            drawn = [(begins[each, rows], widths[each, rows]) for each in range(turn)]
            total = totals(rows)
            left = total.copy()
            for _, wide in drawn:
                left -= wide
            real = left > 0
            point = generator.integers(0, np.maximum(left, 1))
            for first, wide in drawn:
                point += np.where(point >= first, wide, 0)
            thing, begin, width = locate(rows, np.minimum(point, np.maximum(total - 1, 0)))
            found[rows, turn] = np.where(real, thing, 0)
            if turn + 1 == count:
                continue
            width = np.where(real, width, 0)
            for first, wide in drawn:  # the one behind goes on
                before = begin < first
                first[:], begin = np.where(before, begin, first), np.where(before, first, begin)
                wide[:], width = np.where(before, width, wide), np.where(before, wide, width)
            begins[turn, rows], widths[turn, rows] = begin, width


def _points(found: NDArray[np.int32], totals: Totals, generator: np.random.Generator) -> None:
    """Fills (R, K) with points: each below what is left of its row's total when those before it are cut out."""
    for turn in range(found.shape[1]):
        for rows in _slices(len(found)):
            found[rows, turn] = generator.integers(0, np.maximum(totals(rows) - turn, 1))


def _settle(points: NDArray[np.int32], pool: Ragged, owner: Ints) -> None:
    """Puts in the place of points (R, K) what the owners' rows of the pool have there, and 0 where they have no more.

    What `_distinct` draws of things that are all one wide: those that were drawn are kept in order by putting each in its place.
    """
    begin, lengths = pool.offsets[owner], pool.offsets[owner + 1] - pool.offsets[owner]
    drawn: list[Ints] = []
    for turn in range(points.shape[1]):
        point = points[:, turn].astype(np.int64)
        for each in drawn:
            point += point >= each
        real = lengths > turn
        points[:, turn] = 0
        points[real, turn] = pool.values[begin[real] + point[real]]
        for number, each in enumerate(drawn):  # the larger one of the two goes on
            drawn[number], point = np.minimum(each, point), np.maximum(each, point)
        drawn.append(point)


def _from_pool(found: NDArray[np.int32], pool: Ragged, owner: Totals, generator: np.random.Generator) -> None:
    """Fills (R, K) with different values of the owners' rows of the pool, all alike; 0 where there are no more."""
    lengths = pool.lengths
    _points(found, lambda rows: lengths[owner(rows)], generator)
    for rows in _slices(len(found)):
        _settle(found[rows], pool, owner(rows))


def _from_all(
    found: NDArray[np.int32], weights: Ints, taken: Taken, owner: Totals, generator: np.random.Generator
) -> None:
    """Fills (R, K) with items in proportion to `weights`, none that the row's user took; 0 where there are no more."""
    ends = np.cumsum(weights)
    starts, whole = ends - weights, int(ends[-1]) + 1
    # Seen by a user, the items lie side by side without those taken. An edge is where a taken item would begin in what is left;
    # edges grow along a user's items, so that one search over all users finds how far to move.
    keys = np.empty(len(taken.items), np.int64)
    for begin, end in _pieces(taken.offsets):
        here, lengths = (
            slice(taken.offsets[begin], taken.offsets[end]),
            np.diff(taken.offsets[begin : end + 1]),
        )
        items, users = taken.items[here], np.repeat(np.arange(begin, end), lengths)
        gone = offsets_of(weights[items])
        edges = starts[items] - (gone[:-1] - gone[taken.offsets[users] - taken.offsets[begin]])
        keys[here] = users * whole + edges

    def moved(user: Ints, passed: Ints) -> Ints:
        """The weight cut out before the taken item numbered `passed`: from the edge of the one before, and how wide that is."""
        before = np.maximum(passed - 1, 0)
        if not len(keys):
            return np.zeros(len(user), np.int64)
        shift = ends[taken.items[before]] - (keys[before] - user * whole)
        return np.where(passed > taken.offsets[user], shift, 0)

    def totals(rows: slice) -> Ints:
        user = owner(rows)
        return ends[-1] - moved(user, taken.offsets[user + 1])

    def locate(rows: slice, point: Ints) -> tuple[Ints, Ints, Ints]:
        user = owner(rows)
        shift = moved(user, np.searchsorted(keys, user * whole + point, side="right"))
        item = np.searchsorted(ends, point + shift, side="right")
        # An item's whole stretch lies behind the same taken items, so its begin moves back by the same shift.
        inside = np.minimum(item, len(ends) - 1)
        return item, starts[inside] - shift, weights[inside]

    _distinct(found, totals, locate, int(ends[-1]), generator)


def _shown_by_user(impressions: Impressions, taken: Taken, item_count: int) -> Ragged:
    """Of each user, different items: what was shown in the part and never taken."""
    number = taken.who[impressions.user]
    order = np.argsort(number, kind="stable")
    count = len(taken.offsets) - 1
    edges = np.searchsorted(number[order], np.arange(count + 1))
    starts = impressions.candidates.offsets[order]
    many = impressions.candidates.offsets[order + 1] - starts
    values = np.empty(len(impressions.candidates.values), np.int32)
    lengths, at = np.zeros(count, np.int64), 0
    for begin, end in _pieces(offsets_of(many)[edges]):
        here = slice(edges[begin], edges[end])
        places = flat_positions(starts[here], many[here])
        user = np.repeat(number[order[here]], many[here])
        left = impressions.labels[places] <= 0
        keys = _sorted_once(
            user[left] * (item_count + 1) + impressions.candidates.values[places[left]].astype(np.int64)
        )
        bounds = taken.offsets[begin : end + 1]
        own = np.repeat(np.arange(begin, end), np.diff(bounds)) * (item_count + 1)
        own += taken.items[bounds[0] : bounds[-1]]
        keys = keys[~np.isin(keys, own, assume_unique=True)]
        values[at : at + len(keys)] = keys % (item_count + 1)
        lengths[begin:end] = np.bincount(keys // (item_count + 1) - begin, minlength=end - begin)
        at += len(keys)
    _cut(values, at)
    return Ragged.from_lengths(values, lengths)


@attrs.frozen(eq=False)
class Taken:
    """What each user clicked: different items, ascending, a user's one after the other. All rows of an id are one user."""

    who: Ints
    """User row → the user's number, the same for all rows of one id."""
    items: NDArray[np.int32]
    offsets: Ints
    """By the user's number."""


def _clicked_by_user(
    impressions: Impressions, users: Users, clicks: _Clicks, item_count: int, *, history: bool
) -> Taken:
    """The user's clicks in the part, and with `history` those before, up to the user's last impression of the part."""
    who = flat(pc.dictionary_encode(users.user_ids).indices).astype(np.int64)
    begin = users.history.offsets[:-1].astype(np.int64)
    end = begin.copy()
    if history:
        np.maximum.at(end, impressions.user, impressions.stop)
    lengths, at = end - begin, len(clicks.items)
    keys = np.empty(at + int(lengths.sum()), np.int64)
    for rows in _slices(at):
        keys[rows] = who[impressions.user[clicks.impression[rows]]] * (item_count + 1)
        keys[rows] += clicks.items[rows, 0]
    for first, last in _pieces(offsets_of(lengths)):
        there = flat_positions(begin[first:last], lengths[first:last])
        here = slice(at, at := at + len(there))
        keys[here] = np.repeat(who[first:last], lengths[first:last]) * (item_count + 1)
        keys[here] += users.history.values[there]
    keys = _sorted_once(keys)
    count = int(who.max(initial=-1)) + 1
    offsets = np.searchsorted(keys, np.arange(count + 1) * (item_count + 1)).astype(np.int64)
    items = np.empty(len(keys), np.int32)
    for rows in _slices(len(keys)):
        items[rows] = keys[rows] % (item_count + 1)
    return Taken(who, items, offsets)


# --- in a batch ---------------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Shared:
    """What is needed to find the negatives of a row among the positives of its batch."""

    taken: Taken
    """What a user clicked is no negative of theirs."""
    negatives: int | None
    """At most so many for each row; None for all."""


def beside(shared: Shared, positives: Ints, user: Ints) -> NDArray[np.int32]:
    """positives (B,) of a batch and their user rows (B,) -> candidates (B, C): the positive, then its negatives; 0 is padding.

    The negatives are the different positives of the other rows, without what the row's user clicked, from the row's own place
    on: batches are in random order, so the first K of them are drawn at random.
    """
    ordered, first, inverse = np.unique(positives, return_index=True, return_inverse=True)
    # Columns are numbered as the items come in the batch.
    order = np.argsort(first)
    column = np.empty(len(ordered), np.int64)
    column[order] = np.arange(len(ordered))
    items = ordered[order]
    who = shared.taken.who[user]
    begin = shared.taken.offsets[who]
    lengths = shared.taken.offsets[who + 1] - begin
    own = shared.taken.items[flat_positions(begin, lengths)]
    place = np.minimum(np.searchsorted(ordered, own), len(ordered) - 1)
    found = ordered[place] == own
    free = np.ones((len(positives), len(ordered)), np.bool_)
    free[np.repeat(np.arange(len(user)), lengths)[found], column[place[found]]] = False

    turned = (column[inverse][:, None] + np.arange(1, len(ordered))) % len(ordered)
    free = np.take_along_axis(free, turned, 1)
    rank = np.cumsum(free, axis=1)
    if shared.negatives is not None:
        free &= rank <= shared.negatives
    candidates = np.zeros((len(positives), 1 + int(free.sum(1).max(initial=0))), np.int32)
    candidates[:, 0] = positives
    row, at = np.nonzero(free)
    candidates[row, rank[row, at]] = items[turned[row, at]]
    return candidates
