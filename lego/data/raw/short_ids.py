"""Ids of at most eight bytes as numbers, and the item rows of millions of them at once without making a text of any."""

from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.ragged import offsets_of

LONGEST = 8
"""Bytes of an id that fits into a number."""

_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


def numbers_of(
    data: bytes, begin: NDArray[np.int64], length: NDArray[np.int64] | NDArray[np.int8]
) -> NDArray[np.uint64]:
    """The number of each id, `data[begin : begin + length]`; lengths are 1 … 8, and `data` has 8 more bytes behind the last id.

    Two ids without a zero byte have the same number only where they are the same.
    """
    eight = np.ndarray(
        (len(data) - LONGEST + 1,), "<u8", data, 0, (1,)
    )  # at each byte, it and the 7 behind it
    shift: NDArray[np.uint64] = ((LONGEST - length) * 8).astype(np.uint64)
    return np.left_shift(eight[begin], shift)


@attrs.frozen(eq=False)
class _Level:
    multiplier: np.uint64
    shift: np.uint64
    table: NDArray[np.int32]
    """Item row at each hash; 0 where there is none."""


@attrs.frozen(eq=False)
class ShortIds:
    """Which item row each number is: hashed, those that share a place with another one again, and so on."""

    numbers: NDArray[np.uint64]
    """Of item row r at position r; row 0 and what is longer than eight bytes have 0, which is no id."""
    levels: tuple[_Level, ...]

    @classmethod
    def of(cls, ids: pa.Array) -> ShortIds:
        """`ids` are distinct strings without zero bytes; the first is item row 1."""
        texts = ids.cast(pa.large_binary())
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        lengths = np.diff(ends)
        short = np.flatnonzero((lengths > 0) & (lengths <= LONGEST))
        numbers = np.zeros(len(ids) + 1, np.uint64)
        if len(short):
            numbers[short + 1] = numbers_of(data.to_pybytes() + bytes(LONGEST), ends[short], lengths[short])
        levels: list[_Level] = []
        left = (short + 1).astype(np.int32)
        while len(left):
            bits = max(10, len(left).bit_length() + 3)
            multiplier = np.uint64(_MULTIPLIERS[len(levels) % len(_MULTIPLIERS)])
            level = _Level(multiplier, np.uint64(64 - bits), np.zeros(1 << bits, np.int32))
            place = _place(level, numbers[left])
            level.table[place[::-1]] = left[::-1]  # the first of those that share a place has it
            left = left[level.table[place] != left]
            levels.append(level)
        return cls(numbers, tuple(levels))

    def rows(self, numbers: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Item row of each number; 0 where no item has it."""
        rows = np.zeros(len(numbers), np.int32)
        open_, wanted = None, numbers  # positions that are still to be found, all at first, and their numbers
        for level in self.levels:
            found = level.table[_place(level, wanted)]
            wrong = self.numbers[found] != wanted
            if open_ is None:
                rows = found
                open_ = np.flatnonzero(wrong)
            else:
                rows[open_] = found
                open_ = open_[wrong]
            if not len(open_):
                return rows
            wanted = wanted[wrong]
        if open_ is not None:
            rows[open_] = 0
        return rows


def _place(level: _Level, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (numbers * level.multiplier) >> level.shift


def texts_at(data: NDArray[np.uint8], begin: NDArray[np.int64], length: NDArray[np.int64]) -> pa.Array:
    """Strings that stand at these positions of ASCII text."""
    offsets = offsets_of(length)
    place = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], length)
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data[place])]
    return pa.StringArray.from_buffers(len(begin), buffers[1], buffers[2])
