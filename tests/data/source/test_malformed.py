"""Raw files of every source, broken in every way: right tables, or an error that names the file. Never a traceback."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import shutil
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lego import catalog
from lego.errors import LegoError
from tests.data.source.raw_files import FACTORIES, LAYOUTS, MORE_LAYOUTS

NOT_RAW = {"Prepared", "Augment"}
"""Sources whose files this library writes, or that stand on another source."""
SOURCES = sorted(
    {entry.name for entry in catalog.entries("source") if entry.distribution == catalog.BUILTIN} - NOT_RAW
)
ALL = os.environ.get("LEGO_TEST_ALL") == "1"
BROKEN = FACTORIES | LAYOUTS | (MORE_LAYOUTS if ALL else {})
ROUNDS = int(os.environ.get("LEGO_FUZZ_ROUNDS", "5" if ALL else "1"))
"""How often each file is broken in each way, each time at other places."""
Change = Callable[[bytes, np.random.Generator], bytes]


def _line(change: Callable[[bytes, np.random.Generator], bytes]) -> Change:
    """A change of one line, never of the first."""

    def whole(data: bytes, rng: np.random.Generator) -> bytes:
        lines = data.split(b"\n")
        place = int(rng.integers(min(1, len(lines) - 1), max(2, len(lines) - 1)))
        place = min(place, len(lines) - 1)
        lines[place] = change(lines[place], rng)
        return b"\n".join(lines)

    return whole


def _inside(data: bytes, rng: np.random.Generator, piece: bytes) -> bytes:
    place = int(rng.integers(len(data) + 1))
    return data[:place] + piece + data[place:]


def _swapped(line: bytes, rng: np.random.Generator) -> bytes:
    mark = max((b"\t", b";", b","), key=line.count)
    fields = line.split(mark)
    return mark.join(fields[1:] + fields[:1])


def _header_swapped(data: bytes, rng: np.random.Generator) -> bytes:
    head, _, rest = data.partition(b"\n")
    return _swapped(head, rng) + b"\n" + rest


def _words(line: bytes, rng: np.random.Generator) -> bytes:
    found = [each.span() for each in re.finditer(rb"\d+", line)]
    if not found:
        return line
    begin, end = found[int(rng.integers(len(found)))]
    return line[:begin] + b"abc" + line[end:]


def _numbers(line: bytes, rng: np.random.Generator) -> bytes:
    found = [each.span() for each in re.finditer(rb"[A-Za-z ]+", line)]
    if not found:
        return line
    begin, end = found[int(rng.integers(len(found)))]
    return line[:begin] + b"-7" + line[end:]


CHANGES: dict[str, Change] = {
    "nothing is in it": lambda data, rng: b"",
    "line ends of Windows": lambda data, rng: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "no line end at its end": lambda data, rng: data.rstrip(b"\r\n"),
    "a mark of byte order": lambda data, rng: b"\xef\xbb\xbf" + data.removeprefix(b"\xef\xbb\xbf"),
    "cut short": lambda data, rng: data[: int(rng.integers(len(data) // 2, len(data)))],
    "the header alone": lambda data, rng: data.partition(b"\n")[0] + b"\n",
    "without its first line": lambda data, rng: data.partition(b"\n")[2],
    "columns of the header shuffled": _header_swapped,
    "columns of a line shuffled": _line(_swapped),
    "a byte that is no UTF-8": _line(lambda line, rng: _inside(line, rng, b"\xff\xfe")),
    "a tab": _line(lambda line, rng: _inside(line, rng, b"\t")),
    "a quote": _line(lambda line, rng: _inside(line, rng, b'"')),
    "a comma": _line(lambda line, rng: _inside(line, rng, b",")),
    "a byte of zero": _line(lambda line, rng: _inside(line, rng, b"\x00")),
    "a huge field": _line(lambda line, rng: _inside(line, rng, b"x" * 200_000)),
    "a huge number": _line(lambda line, rng: _inside(line, rng, b"9" * 40)),
    "text for a number": _line(_words),
    "a number for text": _line(_numbers),
    "a line twice": _line(lambda line, rng: line + b"\n" + line),
    "a line without anything": _line(lambda line, rng: line + b"\n"),
    "a line lost": _line(lambda line, rng: b""),
    "a line halved": _line(lambda line, rng: line[: len(line) // 2]),
    "something else": lambda data, rng: rng.bytes(500),
}
KEEPS = {"line ends of Windows", "no line end at its end"}
"""What changes nothing that a file says."""


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :]


BINARY: dict[str, Change] = {
    "nothing is in it": CHANGES["nothing is in it"],
    "cut short": CHANGES["cut short"],
    "something else": CHANGES["something else"],
    "a byte is another": _flipped,
}


def _changed(path: Path, data: bytes, rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """Every change of a file, by name; a packed one is broken as such and in what is packed."""
    if path.suffix == ".gz":
        text = gzip.decompress(data)
        inner = [(name, gzip.compress(change(text, rng), mtime=0)) for name, change in CHANGES.items()]
        return inner + [(f"{name} (packed)", change(data, rng)) for name, change in BINARY.items()]
    if path.suffix in {".parquet", ".zip"}:
        return [(name, change(data, rng)) for name, change in BINARY.items()]
    return [(name, change(data, rng)) for name, change in CHANGES.items()]


def test_every_source_has_raw_files():
    """A new source is broken, too."""
    lacking = [name for name in SOURCES if name not in FACTORIES]
    assert not lacking, f"write small raw files of {', '.join(lacking)} in tests/data/source/raw_files.py"


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_files_are_read_rightly_or_named(name, tmp_path):
    """Each file of a source, broken in each way: tables that keep all rules, or an error with the name of a file and a reason."""
    source = BROKEN[name](tmp_path)
    paths = list(source.files())
    names = {path.name for path in paths} | {path.parent.name for path in paths}
    right = source.tables()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    wrong = []
    for path, _ in itertools.product(paths, range(ROUNDS)):
        kept = path.read_bytes()
        for change, data in _changed(path, kept, rng):
            path.write_bytes(data)
            what = f"{path.name}, {change}"
            try:
                found = source.tables()
            except LegoError as error:
                said = str(error)
                if not any(each in said for each in names):
                    wrong.append(f"{what}: the error names no file: {said}")
                if change in KEEPS:
                    wrong.append(f"{what}: is right and is refused: {said}")
            except Exception:  # noqa: BLE001 - whatever it is, it is what must not be
                wrong.append(f"{what}: {traceback.format_exc(limit=-3)}")
            else:
                if change in KEEPS and not _same(found, right):
                    wrong.append(f"{what}: is right and is read otherwise")
                left = found.items.num_rows + sum(found.dropped.values())
                if change == "a line twice" and left < right.items.num_rows:
                    wrong.append(f"{what}: items are lost without a word")
        path.write_bytes(kept)
    shutil.rmtree(tmp_path)
    assert not wrong, f"{len(wrong)} of them:\n" + "\n".join(wrong)


def _same(found, right):
    return (
        found.items.equals(right.items)
        and found.users.equals(right.users)
        and all(found.impressions[part].equals(table) for part, table in right.impressions.items())
    )
