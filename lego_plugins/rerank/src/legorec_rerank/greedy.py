"""What both re-rankers share: scores that can be weighed against something, and a greedy choice for all lists at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lego.contract import Lists
from lego.ragged import Ragged

Numbers = NDArray[np.float64]
Gain = Callable[[int], Numbers]
"""The number of the step -> (B, P): what each place is worth in it."""
Take = Callable[[NDArray[np.int64], NDArray[np.bool_]], None]
"""Told of the place that each list took (B,), and of which lists (B,) took one."""


def relevance(lists: Lists) -> tuple[Numbers, NDArray[np.bool_]]:
    """(B, P) and its mask: the scores of each list, led to 0 for its worst and 1 for its best; all 1 where they are equal."""
    table, mask = Ragged(lists.scores.astype(np.float64), lists.items.offsets).padded()
    low = np.where(mask, table, np.inf).min(1, keepdims=True, initial=np.inf)
    high = np.where(mask, table, -np.inf).max(1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):  # lists without an item
        span = high - low
    return np.where(mask & (span > 0), (table - low) / np.where(span > 0, span, 1.0), mask * 1.0), mask


def greedy(mask: NDArray[np.bool_], k: int, gain: Gain, take: Take) -> Ragged:
    """The k places of each list that are worth most, one after the other; of equal ones the one that was better before.

    mask (B, P): where a list has an item.
    """
    free = mask.copy()
    wanted = np.minimum(mask.sum(1), k)
    rows = np.arange(len(mask))
    chosen = np.zeros((len(mask), int(wanted.max(initial=0))), np.int64)
    for step in range(chosen.shape[1]):
        place = np.where(free, gain(step), -np.inf).argmax(1)
        taken = step < wanted
        chosen[:, step] = place
        free[rows[taken], place[taken]] = False
        take(place, taken)
    return Ragged.from_lengths(chosen[np.arange(chosen.shape[1]) < wanted[:, None]], wanted)
