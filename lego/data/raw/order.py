"""Rows of numbers in another order, however many they are: sorted in runs that fit into memory, which are then merged, on disk.

A run is read once and written once, and so is what is merged of all runs together: nothing is looked up here and there in arrays
that may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lego.data.raw.growing import Growing, blocks, forget

_RUN = 1 << 21
"""Rows that are sorted together."""
_MERGED = 1 << 21
"""Rows that are merged together, at most."""

Columns = Mapping[str, NDArray[Any]]


def sorted_rows(columns: Columns, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The columns by the values of `keys`, the first key before the second; what is equal in all stays in its order.

    Memory is bounded by the rows of a run, whatever the values are; on disk are two copies meanwhile.
    """
    count = len(columns[keys[0]])
    made = {name: Growing(values.dtype) for name, values in columns.items()}
    for begin, end in blocks(count, _RUN):
        piece = {name: values[begin:end] for name, values in columns.items()}
        _add(made, piece, _order(piece, keys))
    runs = {name: each.array() for name, each in made.items()}
    if count <= _RUN:
        return runs
    merged = {name: Growing(values.dtype) for name, values in columns.items()}
    for stretches in _stretches(runs, keys, count):
        piece = {
            name: np.concatenate([values[begin:end] for begin, end in stretches])
            for name, values in runs.items()
        }
        _add(merged, piece, _order(piece, keys))
        forget()
    return {name: each.array() for name, each in merged.items()}


def _order(columns: Columns, keys: Sequence[str]) -> NDArray[np.int64]:
    return np.lexsort([columns[name] for name in reversed(keys)])


def _add(made: Mapping[str, Growing], columns: Columns, order: NDArray[np.int64]) -> None:
    for name, values in columns.items():
        made[name].add(values[order])


def _stretches(runs: Columns, keys: Sequence[str], count: int) -> Iterator[list[tuple[int, int]]]:
    """For one stretch of the result after the other the stretch of each run that belongs to it.

    Rows are told apart by their place where all keys are equal, so a stretch is never longer than what is merged together.
    """
    starts = np.arange(0, count, _RUN)
    ends = np.minimum(starts + _RUN, count)
    every = max(1, _MERGED // (2 * len(starts)))  # rows of a run from one sample to the next
    places = np.concatenate([np.arange(begin, end, every) for begin, end in zip(starts, ends, strict=True)])
    samples = {name: runs[name][places] for name in keys}
    forget()
    # Between two splitters are as many samples as there are runs: so many stretches, and one more begun in each run.
    splitters = places[_order(samples, keys)][len(starts) :: len(starts)]
    done = starts
    for splitter in splitters.tolist():
        own = splitter // _RUN
        until = np.array(
            [
                splitter
                if run == own
                else _boundary(runs, keys, int(starts[run]), int(ends[run]), splitter, behind=run < own)
                for run in range(len(starts))
            ]
        )
        yield list(zip(done.tolist(), until.tolist(), strict=True))
        done = until
    yield list(zip(done.tolist(), ends.tolist(), strict=True))


def _boundary(runs: Columns, keys: Sequence[str], low: int, high: int, row: int, *, behind: bool) -> int:
    """Where the row would stand in a run: before the rows that are equal to it, or behind them."""
    for name in keys:
        values, value = runs[name], runs[name][row]  # of one type: another would copy the run
        inside = values[low:high]
        first, last = np.searchsorted(inside, value, "left"), np.searchsorted(inside, value, "right")
        low, high = low + int(first), low + int(last)
    return high if behind else low
