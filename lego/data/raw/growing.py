"""An array that grows at its end, so that what comes in pieces is in memory once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Growing:
    """`add` puts values behind those that are there; `array` gives all of them and leaves nothing."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._room = np.empty(1 << 16, dtype)
        self._count = 0

    def add(self, values: NDArray[Any]) -> None:
        """Values of the same type."""
        end = self._count + len(values)
        if end > len(self._room):  # nobody else has it, and the system moves large ones without copying
            self._room.resize(max(end, len(self._room) * 5 // 4), refcheck=False)
        self._room[self._count : end] = values
        self._count = end

    def array(self) -> NDArray[Any]:
        """All values."""
        room, self._room = self._room, np.empty(0, self._room.dtype)
        room.resize(self._count, refcheck=False)
        return room
