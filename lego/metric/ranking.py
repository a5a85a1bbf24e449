"""Scores and labels, sorted once: what every metric reads.

All metrics need the same few facts about each group (one impression, mostly): how many rows and positives it has, and where its
positives stand. One sort of a packed 64-bit key (group, descending score, label) gives them for all groups at once, and each
metric is then a few segment sums over the runs of equal scores that hold a positive.

Ties. `average` is the expectation over random breaks of ties, exact and without chance. `argsort` puts the later row first, as a
reversed ascending sort does, `stable` the earlier one, as a stable descending sort does. `pessimistic` puts the negatives of a
run first, `optimistic` the positives. In AUC and GAUC a tied pair counts 0 under `pessimistic`, 1 under `optimistic`, else 1/2:
codes that break ties by a sort take their AUC from pairs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final, Literal, get_args

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lego.errors import DataError, Problem, SpecError
from lego.ragged import flat_positions, offsets_of

Ties = Literal["average", "argsort", "stable", "pessimistic", "optimistic"]
TIES: Final[tuple[str, ...]] = get_args(Ties)

BY_PLACE: Final = ("argsort", "stable")
"""The rules that look at where a row stands in the input."""

_SHOWN = 5
"""Rows that an error lists."""


@attrs.frozen(eq=False)
class Hits:
    """The runs of equal scores that hold a positive, by group and then from the best score down; each array (H,) int64.

    Under a rule that breaks ties every run is one positive row.
    """

    group: NDArray[np.int64]
    """Place of the group in `Ranking.ids`."""
    before: NDArray[np.int64]
    """Rows of the group with a better score."""
    size: NDArray[np.int64]
    """Rows of the run."""
    positives: NDArray[np.int64]
    """Positive rows of the run, at least 1."""

    def __len__(self) -> int:
        return len(self.group)


class Ranking:
    """Flat scores, labels and groups, sorted and counted.

    `scores` (rows,) floating point, `labels` (rows,) of 0 and 1, and either `groups` (rows,) whole numbers in any order or
    `offsets` (groups + 1,) of contiguous groups, which may be empty. Raises DataError for no rows, unequal lengths, scores that
    are not finite and labels other than 0 and 1.

    >>> ranking = Ranking([0.9, 0.1, 0.5, 0.5], [1, 0, 0, 0], [7, 7, 8, 8])
    >>> ranking.groups, ranking.single_class, ranking.tie_rate
    (2, 1, 0.5)
    """

    scores: NDArray[np.floating[Any]]
    """(rows,), in the order they came."""
    labels: NDArray[np.bool_]
    """(rows,), in the order they came."""
    ties: Ties
    ids: NDArray[np.int64]
    """(groups,): the group ids, ascending; 0, 1, … where offsets were given."""
    sizes: NDArray[np.int64]
    """(groups,): rows of each group."""
    positives: NDArray[np.int64]
    """(groups,): positive rows of each group."""
    wins: NDArray[np.float64]
    """(groups,): pairs of a positive and a negative in the right order, ties counted by the rule."""
    tied_groups: int
    """Groups in which two rows have the same score."""
    hits: Hits

    def __init__(
        self,
        scores: ArrayLike,
        labels: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        offsets: ArrayLike | None = None,
        ties: Ties = "average",
    ) -> None:
        if ties not in TIES:
            raise SpecError.wrong_value("Ranking", "ties", ties, "one of " + ", ".join(map(repr, TIES)))
        if (groups is None) == (offsets is None):
            raise SpecError.wrong_call(
                "Ranking",
                "groups or offsets, one of the two, must be given",
                "Ranking(scores, labels, groups)",
            )
        self.ties = ties
        self.scores, self.labels = _checked(scores, labels)
        if groups is not None:
            self.ids, group = _numbered(np.asarray(groups), len(self.scores))
            self.sizes = np.bincount(group, minlength=len(self.ids)).astype(np.int64, copy=False)
        else:
            self.sizes = np.diff(_checked_offsets(np.asarray(offsets), len(self.scores)))
            self.ids = np.arange(len(self.sizes), dtype=np.int64)
            group = np.repeat(self.ids, self.sizes)
        self._sort(group)

    def _sort(self, group: NDArray[np.int64]) -> None:
        """group (rows,): places in `ids`."""
        labels, first = _sorted(group, self.scores, self.labels, self.ties)
        starts = np.flatnonzero(first)
        ends = np.append(starts[1:], len(first))
        group_starts = offsets_of(self.sizes)[:-1]
        group_ends = group_starts + self.sizes

        self.tied_groups = len(
            np.unique(np.searchsorted(group_ends, starts[ends - starts > 1], side="right"))
        )

        places = np.flatnonzero(labels)
        run_of_place = np.searchsorted(starts, places, side="right") - 1
        runs, counts = np.unique(run_of_place, return_counts=True)
        of = np.searchsorted(group_ends, starts[runs], side="right")
        hits = Hits(
            of,
            starts[runs] - group_starts[of],
            ends[runs] - starts[runs],
            counts.astype(np.int64, copy=False),
        )
        self.positives = _sums(hits.group, hits.positives, self.groups).astype(np.int64)
        self.wins = self._wins(hits)
        if self.ties in BY_PLACE:
            group_of_place = of[np.searchsorted(runs, run_of_place)]
            hits = _alone(group_of_place, places - group_starts[group_of_place])
        elif self.ties != "average":
            lead = hits.size - hits.positives if self.ties == "pessimistic" else 0
            ranks = flat_positions(hits.before + lead, hits.positives)
            hits = _alone(np.repeat(hits.group, hits.positives), ranks)
        self.hits = hits

    def _wins(self, hits: Hits) -> NDArray[np.float64]:
        run_negatives = hits.size - hits.positives
        below = self.negatives[hits.group] - (hits.before - self._found(hits)) - run_negatives
        tie = {"pessimistic": 0.0, "optimistic": 1.0}.get(self.ties, 0.5)
        return _sums(hits.group, hits.positives * (below + tie * run_negatives), self.groups)

    def _found(self, hits: Hits) -> NDArray[np.int64]:
        return np.cumsum(hits.positives) - hits.positives - offsets_of(self.positives)[hits.group]

    @cached_property
    def found(self) -> NDArray[np.int64]:
        """(H,): positives of the group that stand before each run of `hits`."""
        return self._found(self.hits)

    @property
    def pairs(self) -> int:
        """All rows: pairs of a user and a candidate."""
        return len(self.scores)

    @property
    def groups(self) -> int:
        """All groups, those that no metric counts included."""
        return len(self.sizes)

    @property
    def negatives(self) -> NDArray[np.int64]:
        """(groups,): negative rows of each group."""
        return self.sizes - self.positives

    @property
    def without_positive(self) -> int:
        """Groups without a positive: left out of every metric that looks for one."""
        return int(np.count_nonzero(self.positives == 0))

    @property
    def single_class(self) -> int:
        """Groups without a positive or without a negative: left out of GAUC."""
        return int(np.count_nonzero((self.positives == 0) | (self.negatives == 0)))

    @property
    def tie_rate(self) -> float:
        """Share of the groups in which two rows have the same score."""
        return self.tied_groups / self.groups

    @cached_property
    def pooled(self) -> Ranking:
        """The same rows as one group."""
        return Ranking(self.scores, self.labels, offsets=[0, self.pairs], ties=self.ties)

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """values (H,), one for each run of `hits` -> (groups,), summed in float64."""
        return _sums(self.hits.group, values, self.groups)


def _sums(group: NDArray[np.int64], values: NDArray[Any], groups: int) -> NDArray[np.float64]:
    return np.bincount(group, weights=values, minlength=groups).astype(np.float64, copy=False)


def _alone(group: NDArray[np.int64], before: NDArray[np.int64]) -> Hits:
    """Positive rows that tie with nothing."""
    ones = np.ones_like(before)
    return Hits(group, before, ones, ones)


# --- what came in -------------------------------------------------------------------------------------------------------------


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """scores as float32 or float64, labels as bool, both (rows,); DataError with all that is wrong."""
    given, marks = np.asarray(scores), np.asarray(labels)
    if given.ndim != 1 or marks.shape != given.shape:
        what = f"scores have the shape {given.shape}, labels {marks.shape}"
        raise DataError([Problem("scores and labels", what, "give two flat arrays of the same length")])
    if not len(given):
        raise DataError([Problem("scores", "there are no rows to measure", "score at least one candidate")])
    numbers = given if given.dtype in (np.float32, np.float64) else _widened(given)
    problems = []
    finite = np.isfinite(numbers)
    if not finite.all():
        fix = (
            "look for a learning rate that is too high, a division by zero, or an overflow in half precision"
        )
        problems.append(_bad_rows("scores", "not finite", numbers, ~finite, fix))
    positive = marks == 1
    legal = positive | (marks == 0)
    if not legal.all():
        problems.append(
            _bad_rows("labels", "neither 0 nor 1", marks, ~legal, "give 1 for a click and 0 for none")
        )
    if problems:
        raise DataError(problems)
    return numbers, positive


def _widened(given: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Half precision and whole numbers, as floats that hold them."""
    if given.dtype.kind not in "fiub":
        what = f"they are of type {given.dtype}"
        raise DataError([Problem("scores", what, "give float32 or float64")])
    return given.astype(np.float32 if given.dtype == np.float16 else np.float64)


def _bad_rows(where: str, what: str, values: NDArray[Any], bad: NDArray[np.bool_], fix: str) -> Problem:
    rows = np.flatnonzero(bad)
    first = ", ".join(f"row {row}: {values[row]}" for row in rows[:_SHOWN])
    more = ", …" if len(rows) > _SHOWN else ""
    return Problem(where, f"{len(rows)} of {len(values)} are {what} ({first}{more})", fix)


def _checked_offsets(offsets: NDArray[Any], rows: int) -> NDArray[np.int64]:
    """Offsets that cut `rows` rows into contiguous groups; DataError otherwise."""
    right = offsets.ndim == 1 and len(offsets) > 1 and offsets.dtype.kind in "iu"
    if not right or offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets.astype(np.int64)) < 0).any():
        what = f"they do not cut {rows} rows into contiguous groups"
        raise DataError([Problem("offsets", what, f"give whole numbers that rise from 0 to {rows}")])
    return offsets.astype(np.int64, copy=False)


def _numbered(groups: NDArray[Any], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct group ids, ascending (groups,), and the place of each row's id among them (rows,)."""
    if groups.shape != (rows,) or groups.dtype.kind not in "iu":
        what = f"they have the shape {groups.shape} and the type {groups.dtype}, for {rows} scores"
        raise DataError([Problem("groups", what, "give one whole number for each score")])
    low = groups.min()
    spread = int(groups.max()) - int(low)
    if spread > 4 * rows + 1024:
        ids, place = np.unique(groups, return_inverse=True)
        return ids.astype(np.int64, copy=False), place.astype(np.int64, copy=False)
    shifted = (groups - low).astype(np.int64, copy=False)
    present = np.zeros(spread + 1, np.bool_)
    present[shifted] = True
    place_of = np.cumsum(present) - 1
    return np.flatnonzero(present) + int(low), place_of[shifted]


# --- the sort -----------------------------------------------------------------------------------------------------------------


def _sorted(
    group: NDArray[np.int64],
    scores: NDArray[np.floating[Any]],
    labels: NDArray[np.bool_],
    ties: Ties,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows by group and from the best score down: their labels, and True where a run of equal scores begins; each (rows,)."""
    code, code_bits = _descending(scores)
    place, place_bits = _placed(group, later_first=ties == "argsort") if ties in BY_PLACE else (None, 0)
    group_bits = int(group.max()).bit_length()
    if group_bits + code_bits + place_bits + 1 > 64:
        keys = (code, group) if place is None else (place, code, group)
        order = np.lexsort(keys)
        group, code = group[order], code[order]
        return labels[order], _begins(group) | _begins(code)
    key = group.astype(np.uint64)
    key <<= np.uint64(code_bits)
    key |= code
    if place is not None:
        key <<= np.uint64(place_bits)
        key |= place
    key <<= np.uint64(1)
    key |= labels
    key.sort()
    marked = (key & np.uint64(1)).astype(np.bool_)
    key >>= np.uint64(place_bits + 1)
    return marked, _begins(key)


def _begins(sorted_values: NDArray[Any]) -> NDArray[np.bool_]:
    """True where a value differs from the one before it, and at the start."""
    first = np.ones(len(sorted_values), np.bool_)
    np.not_equal(sorted_values[1:], sorted_values[:-1], out=first[1:])
    return first


def _descending(scores: NDArray[np.floating[Any]]) -> tuple[NDArray[np.uint64], int]:
    """Whole numbers that ascend where scores descend and are equal where scores are, and how many bits they take."""
    short = scores
    if scores.dtype != np.float32:
        with np.errstate(over="ignore", under="ignore"):
            short = scores.astype(np.float32)
        if not np.array_equal(short, scores):
            distinct, place = np.unique(scores, return_inverse=True)
            return (len(distinct) - 1 - place).astype(np.uint64), (len(distinct) - 1).bit_length()
    # Adding 0 makes one zero of -0.0 and 0.0. The bits of a float ascend with it above zero and descend below.
    bits = (short + np.float32(0)).view(np.uint32)
    negative = bits >> 31 == 1
    return np.where(negative, bits, ~bits & np.uint32(0x7FFFFFFF)).astype(np.uint64), 32


def _placed(group: NDArray[np.int64], *, later_first: bool) -> tuple[NDArray[np.uint64], int]:
    """Whole numbers that rise (fall, where later rows come first) from row to row inside each group, and the bits they take."""
    rows = len(group)
    place = np.arange(rows)
    if (group[1:] >= group[:-1]).all():  # counted in each group, which takes fewer bits
        place -= offsets_of(np.bincount(group))[group]
    if later_first:
        place = place.max() - place
    return place.astype(np.uint64), int(place.max()).bit_length()
