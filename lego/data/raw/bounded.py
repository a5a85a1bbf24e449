"""Lines of a stream that nobody vouches for: one that never ends, as of a packed file of zeros, is not taken into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

LONGEST = 1 << 26
"""Bytes that a line may have: no line of any data set has so many."""


class EndlessLineError(OSError):
    """A line is longer than any line is."""


def first_line(stream: IO[bytes]) -> bytes:
    """The first line; empty where there is none. EndlessLineError where it does not end."""
    return next(lines_of(stream), b"")


def lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines, with their ends; EndlessLineError where one does not end."""
    number = 0
    while line := stream.readline(LONGEST):
        number += 1
        if len(line) >= LONGEST and not line.endswith(b"\n"):
            message = f"line {number} is longer than {LONGEST >> 20} MiB"
            raise EndlessLineError(message)
        yield line
