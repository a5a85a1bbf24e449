"""Expectations over random breaks of ties, in closed form and for many runs of equal scores at once.

A run is `size` rows with one score, of which `positives` are positive, behind `before` better rows: its rows stand at the ranks
before + 1 … before + size, in every order with the same probability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.ragged import flat_positions, offsets_of

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]


def mean_weight(weights: Numbers, before: Counts, size: Counts) -> Numbers:
    """What a row of each run weighs on average, where rank r weighs `weights[r - 1]` and ranks behind the last weigh nothing."""
    total = np.concatenate([[0.0], np.cumsum(weights)])
    last = len(weights)
    spread = (total[np.minimum(before + size, last)] - total[np.minimum(before, last)]) / size
    # A difference of cumulative sums rounds; where no row ties the weight itself stands there.
    alone = np.where(before < last, weights[np.minimum(before, last - 1)], 0.0)
    return np.where(size == 1, alone, spread)


def first_reciprocal(before: Counts, size: Counts, positives: Counts) -> Numbers:
    """The reciprocal rank of the first positive of each run; every run has one.

    Among n rows with p positives the first stands at place f with probability C(n - f, p - 1) / C(n, p).
    """
    result = 1.0 / (before + 1)
    single = (positives == 1) & (size > 1)
    ranks = np.arange(1, int((before + size).max(initial=0)) + 1)
    result[single] = mean_weight(1.0 / ranks, before[single], size[single])
    several = np.flatnonzero(positives > 1)
    if len(several):
        n, p = size[several], positives[several]
        lengths = n - p + 1
        place = flat_positions(np.ones_like(lengths), lengths)
        run = np.repeat(np.arange(len(several)), lengths)
        table = _log_factorials(int(n.max()))
        chance = np.exp(_log_choose(table, n[run] - place, p[run] - 1) - _log_choose(table, n, p)[run])
        terms = (chance / (before[several][run] + place)).astype(np.float64)
        result[several] = np.add.reduceat(terms, offsets_of(lengths)[:-1])
    return result


def hit_chance(size: Counts, positives: Counts, drawn: Counts) -> Numbers:
    """The probability that a positive is among the first `drawn` rows of each run: 1 - C(n - p, m) / C(n, m)."""
    result = np.ones(len(size))
    open_runs = np.flatnonzero(size - positives >= drawn)
    if len(open_runs):
        n, p, m = size[open_runs], positives[open_runs], drawn[open_runs]
        table = _log_factorials(int(n.max()))
        miss = _log_choose(table, n - p, m) - _log_choose(table, n, m)
        result[open_runs] = -np.expm1(miss).astype(np.float64)
    return result


def _log_factorials(limit: int) -> NDArray[np.longdouble]:
    """log 0!, …, log limit!. Extended precision where the machine has it: log n! grows, and its last digits are what counts."""
    logs = np.zeros(limit + 1, np.longdouble)
    np.cumsum(np.log(np.arange(1, limit + 1, dtype=np.longdouble)), out=logs[1:])
    return logs


def _log_choose(table: NDArray[np.longdouble], n: Counts, k: Counts) -> NDArray[np.longdouble]:
    """log C(n, k), for 0 <= k <= n."""
    return np.asarray(table[n] - table[k] - table[n - k])
