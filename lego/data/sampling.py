"""Which candidates a training row holds: negatives for each positive, or whole impressions dealt into short rows.

Negatives are drawn without replacement by inverting a distribution from which the items that may not be drawn are cut
out, so nothing is drawn twice and thrown away: a draw ends even where a user has clicked nearly everything. Row 0, never
an item, fills what is short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

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
    """(R, C) 1.0 clicked, 0.0 not, and 0.0 where there is no item."""
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
        return _dealt(*_pairs(impressions, item_count), len(impressions), generator)
    if want.source not in SOURCES:
        raise SpecError.wrong_value(
            "Candidates", "source", want.source, "one of " + ", ".join(map(repr, SOURCES))
        )
    if want.exclude not in EXCLUDED:
        raise SpecError.wrong_value(
            "Candidates", "exclude", want.exclude, "one of " + ", ".join(map(repr, EXCLUDED))
        )
    if want.source == "impression":
        return _of_impressions(impressions, want, item_count, generator)
    owner, shown, clicked = _pairs(impressions, item_count)
    impression = owner[clicked]
    counts = np.bincount(shown[clicked], minlength=item_count + 1)
    if want.source == "batch":
        taken = _clicked_by_user(
            impressions, users, impression, shown[clicked], item_count, history=want.exclude == "history"
        )
        without = {"impressions without a click": len(impressions) - len(np.unique(impression))}
        items = shown[clicked].astype(np.int32)[:, None]
        alone = Rows(impression, items, np.ones(items.shape, np.float32), without)
        return attrs.evolve(
            alone,
            offsets=_offsets(want, alone, counts, int(np.count_nonzero(~clicked))),
            shared=Shared(taken, want.negatives),
        )
    assert want.negatives is not None
    taken = _clicked_by_user(
        impressions, users, impression, shown[clicked], item_count, history=want.exclude == "history"
    )
    who = taken.who[impressions.user]
    user = who[impression]
    if want.source == "user":
        pairs = _sorted_once(who[owner[~clicked]] * (item_count + 1) + shown[~clicked])
        pairs = pairs[~np.isin(pairs, taken.keys, assume_unique=True)]
        pool = _rows_of(pairs // (item_count + 1), pairs % (item_count + 1), len(taken.offsets) - 1)
        negatives = _from_pool(pool, user, want.negatives, generator)
    else:
        weights = np.ones_like(counts) if want.source == "uniform" else counts.copy()
        weights[0] = 0
        weights[1 + (item_count if real_items is None else real_items) :] = 0
        negatives = _from_all(weights, taken, user, want.negatives, generator)
    rows = _with_positives(impression, shown[clicked], negatives, len(impressions))
    return attrs.evolve(rows, offsets=_offsets(want, rows, counts, int(np.count_nonzero(~clicked))))


def _of_impressions(
    impressions: Impressions, want: Candidates, item_count: int, generator: np.random.Generator
) -> Rows:
    """A row for each positive, with negatives of its own impression.

    Impressions are looked at some at a time: beside the rows nothing is as long as the candidates of the part are many.
    """
    assert want.negatives is not None
    total = len(impressions)
    edges = [(begin, min(begin + _TOGETHER, total)) for begin in range(0, total, _TOGETHER)]
    owners, positives, lengths, whole = [], [], [np.empty(0, np.int64)], []
    for begin, end in edges:
        owner, shown, clicked = _pairs(impressions, item_count, begin, end)
        owners.append(owner[clicked] + begin)
        positives.append(shown[clicked])
        lengths.append(np.bincount(owner[~clicked], minlength=end - begin))
        whole.append(
            len(owner) == impressions.candidates.offsets[end] - impressions.candidates.offsets[begin]
        )
    none = np.empty(0, np.int64)
    impression, positive = np.concatenate([none, *owners]), np.concatenate([none, *positives])
    negative = np.concatenate(lengths)
    places, real = _places(negative[impression], want.negatives, generator)
    negatives = np.zeros(places.shape, np.int64)
    for (begin, end), distinct in zip(edges, whole, strict=True):
        owner, shown, clicked = _pairs(impressions, item_count, begin, end, distinct=distinct)
        pool = _rows_of(owner[~clicked], shown[~clicked], end - begin)
        rows = slice(*np.searchsorted(impression, (begin, end)))
        at = pool.offsets[impression[rows] - begin][:, None] + places[rows]
        negatives[rows][real[rows]] = pool.values[at[real[rows]]]
    made = _with_positives(impression, positive, negatives, total)
    counts = np.bincount(positive, minlength=item_count + 1)
    return attrs.evolve(made, offsets=_offsets(want, made, counts, int(negative.sum())))


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
    """Different keys, ascending; on tens of millions, sorting takes a fifth of the time of np.unique, which hashes."""
    ordered = np.sort(keys)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def _rows_of(owner: Ints, values: Ints, count: int) -> Ragged:
    """Values grouped by owner; `owner` is sorted already."""
    return Ragged.from_lengths(values, np.bincount(owner, minlength=count))


def _with_positives(impression: Ints, positives: Ints, negatives: Ints, count: int) -> Rows:
    """Rows of a positive and its negatives, without those that have no negative."""
    usable = (negatives > 0).any(1)
    items = np.concatenate([positives[:, None], negatives], axis=1).astype(np.int32)[usable]
    labels = np.zeros(items.shape, np.float32)
    labels[:, 0] = 1
    with_positive, with_row = len(np.unique(impression)), len(np.unique(impression[usable]))
    left_out = {
        "impressions without a click": count - with_positive,
        "impressions without negatives": with_positive - with_row,
    }
    return Rows(impression[usable], items, labels, left_out)


def _dealt(
    owner: Ints, shown: Ints, clicked: NDArray[np.bool_], count: int, generator: np.random.Generator
) -> Rows:
    """Every candidate once, in rows of at most `WIDEST`."""
    lengths = np.bincount(owner, minlength=count)
    # One sort of sums that keep the order of owners: a tenth of the time of sorting by two keys.
    order = np.argsort(owner + generator.random(len(shown)), kind="stable")
    place = np.arange(len(shown)) - np.repeat(offsets_of(lengths)[:-1], lengths)
    hands = -(-lengths // WIDEST)
    # Dealt round like cards, hands differ by one candidate at most; cut off one after the other, the last would be a rest.
    row = offsets_of(hands)[:-1][owner] + place % hands[owner]
    column = place // hands[owner]
    shape = (int(hands.sum()), int(column.max(initial=0)) + 1)
    items, labels = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    items[row, column] = shown[order]
    labels[row, column] = clicked[order]
    return Rows(
        np.repeat(np.arange(len(lengths)), hands),
        items,
        labels,
        {"impressions without candidates": int((lengths == 0).sum())},
    )


# --- drawing ------------------------------------------------------------------------------------------------------------------


Locate = Callable[[Ints], tuple[Ints, Ints, Ints]]
"""Points (R,) → what lies there, where it begins and how wide it is, each (R,)."""


def _distinct(
    totals: Ints, count: int, locate: Locate, generator: np.random.Generator
) -> tuple[Ints, NDArray[np.bool_]]:
    """`count` different things for each row, drawn one after the other in proportion to their widths; and which are real.

    Both (R, count).

    The things of a row lie side by side on [0, total). A point is drawn on what is left when the drawn things are cut out,
    then moved up past each of them; a row whose things are all drawn gives no more.
    """
    found = np.zeros((len(totals), count), np.int64)
    real = np.zeros((len(totals), count), np.bool_)
    begins = np.zeros((len(totals), 0), np.int64)
    widths = np.zeros((len(totals), 0), np.int64)
    left = totals.astype(np.int64)
    for turn in range(count):
        real[:, turn] = left > 0
        point = generator.integers(0, np.maximum(left, 1))
        for begin, width in zip(begins.T, widths.T, strict=True):
            point += np.where(point >= begin, width, 0)
        thing, begin, width = locate(np.minimum(point, np.maximum(totals - 1, 0)))
        width = np.where(real[:, turn], width, 0)
        found[:, turn] = thing
        left -= width
        begins, widths = np.column_stack([begins, begin]), np.column_stack([widths, width])
        order = np.argsort(begins, axis=1, kind="stable")
        begins, widths = np.take_along_axis(begins, order, 1), np.take_along_axis(widths, order, 1)
    return found, real


def _places(totals: Ints, count: int, generator: np.random.Generator) -> tuple[Ints, NDArray[np.bool_]]:
    """`count` different places below each total, all alike; and which are real. Both (R, count).

    What `_distinct` draws of things that are all one wide: those that were drawn are kept in order by putting each in its place.
    """
    found = np.zeros((count, len(totals)), np.int64)
    drawn: list[Ints] = []
    for turn in range(count):
        point = generator.integers(0, np.maximum(totals - turn, 1))
        for each in drawn:
            point += point >= each
        found[turn] = point
        for number, each in enumerate(drawn):  # the larger one of the two goes on
            drawn[number], point = np.minimum(each, point), np.maximum(each, point)
        drawn.append(point)
    return np.ascontiguousarray(found.T), totals[:, None] > np.arange(count)


def _from_pool(pool: Ragged, rows: Ints, count: int, generator: np.random.Generator) -> Ints:
    """(R, count) different values of the given rows of the pool, all alike; 0 where there are no more."""
    places, real = _places(pool.lengths[rows], count, generator)
    negatives = np.zeros(places.shape, np.int64)
    negatives[real] = pool.values[(pool.offsets[rows][:, None] + places)[real]]
    return negatives


def _from_all(weights: Ints, taken: Taken, user: Ints, count: int, generator: np.random.Generator) -> Ints:
    """(R, count) different items in proportion to `weights`, none that the row's user took; 0 where there are no more."""
    ends = np.cumsum(weights)
    # Seen by a user, the items lie side by side without those taken. `gone` is the weight cut out before each taken item,
    # `edge` where that item would begin in what is left; both grow along a user's items, so that one search over all users
    # finds how far to move.
    gone = np.concatenate([[0], np.cumsum(weights[taken.items])])
    first, last = taken.offsets[user], taken.offsets[user + 1]
    whole = int(ends[-1]) + 1
    owners = np.repeat(np.arange(len(taken.offsets) - 1), np.diff(taken.offsets))
    edge = (ends - weights)[taken.items] - (gone[:-1] - gone[taken.offsets[owners]])
    keys = owners * whole + edge

    def locate(point: Ints) -> tuple[Ints, Ints, Ints]:
        passed = np.searchsorted(keys, user * whole + point, side="right")
        shift = gone[passed] - gone[first]
        item = np.searchsorted(ends, point + shift, side="right")
        # An item's whole stretch lies behind the same taken items, so its begin moves back by the same shift.
        return (
            item,
            (ends - weights)[np.minimum(item, len(ends) - 1)] - shift,
            weights[np.minimum(item, len(ends) - 1)],
        )

    items, real = _distinct(ends[-1] - (gone[last] - gone[first]), count, locate, generator)
    return np.where(real, items, 0)


@attrs.frozen(eq=False)
class Taken:
    """What each user clicked: different items, ascending, a user's one after the other. All rows of an id are one user."""

    who: Ints
    """User row → the user's number, the same for all rows of one id."""
    items: Ints
    offsets: Ints
    """By the user's number."""
    keys: Ints
    """number * (item_count + 1) + item, ascending."""


def _clicked_by_user(
    impressions: Impressions, users: Users, impression: Ints, clicked: Ints, item_count: int, *, history: bool
) -> Taken:
    """The user's clicks in the part, and with `history` those before, up to the user's last impression of the part."""
    who = flat(pc.dictionary_encode(users.user_ids).indices).astype(np.int64)
    begin = users.history.offsets[:-1].astype(np.int64)
    end = begin.copy()
    if history:
        np.maximum.at(end, impressions.user, impressions.stop)
    past = np.asarray(users.history.values[flat_positions(begin, end - begin)], np.int64)
    owner = np.concatenate([who[impressions.user[impression]], np.repeat(who, end - begin)])
    keys = _sorted_once(owner * (item_count + 1) + np.concatenate([clicked, past]))
    lengths = np.bincount(keys // (item_count + 1), minlength=int(who.max(initial=-1)) + 1)
    return Taken(who, keys % (item_count + 1), offsets_of(lengths), keys)


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
