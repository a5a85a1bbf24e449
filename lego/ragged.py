"""Rows of unequal length, as one flat array and offsets: what tokens, histories and candidates are in memory."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.frozen(eq=False)
class Ragged:
    """`values[offsets[r]:offsets[r + 1]]` is row r. Both arrays may be memory-mapped; neither is ever written to."""

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    @classmethod
    def from_lengths(cls, values: NDArray[Any], lengths: NDArray[Any]) -> Ragged:
        """Rows of the given lengths, one after the other."""
        return cls(values, offsets_of(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row."""
        return np.diff(self.offsets)

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: NDArray[Any]) -> Ragged:
        """The given rows, in the given order."""
        starts = self.offsets[rows]
        lengths = self.offsets[np.asarray(rows) + 1] - starts
        return Ragged.from_lengths(self.values[flat_positions(starts, lengths)], lengths)

    def head(self, limit: int) -> Ragged:
        """Every row cut to its first `limit` values."""
        lengths = np.minimum(self.lengths, limit)
        if np.array_equal(lengths, self.lengths):
            return self
        return Ragged.from_lengths(self.values[flat_positions(self.offsets[:-1], lengths)], lengths)

    def padded(self, length: int | None = None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """(rows, length) filled with 0 behind each row, and its mask; `length` defaults to the longest row."""
        lengths = self.lengths
        width = int(lengths.max(initial=0)) if length is None else length
        mask = np.arange(width) < lengths[:, None]
        table = np.zeros(mask.shape, self.values.dtype)
        table[mask] = self.values[self.offsets[0] : self.offsets[-1]]
        return table, mask


def offsets_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Where rows of the given lengths begin, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def flat_positions(starts: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """start, start + 1, … for each row, one row after the other: the gather index of ragged slices."""
    offsets = offsets_of(lengths)
    shift = np.asarray(starts, np.int64) - offsets[:-1]
    return np.arange(offsets[-1], dtype=np.int64) + np.repeat(shift, lengths)


def concatenate(parts: list[Ragged]) -> Ragged:
    """Row r of the result is row r of each part, one part after the other."""
    lengths = np.stack([part.lengths for part in parts])
    offsets = offsets_of(lengths.sum(0))
    values = np.empty(int(offsets[-1]), np.result_type(*(part.values for part in parts)))
    starts = offsets[:-1].copy()
    for part, length in zip(parts, lengths, strict=True):
        values[flat_positions(starts, length)] = part.values[part.offsets[0] : part.offsets[-1]]
        starts += length
    return Ragged(values, offsets)
