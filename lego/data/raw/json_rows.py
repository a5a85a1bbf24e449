"""JSON lines one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lego.data.raw.text_bytes import unpacked


def json_rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """The number of each line that is not blank, counted from 1, and its bytes."""
    with unpacked(path) as file:
        for number, raw in enumerate(file, 1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if line.strip():
                yield number, line
