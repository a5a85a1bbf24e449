"""Files of MIND, tab separated and without a header: read in blocks, and line by line where something is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lego.data.problems import Problems
from lego.data.raw.bounded import lines_of
from lego.data.raw.raw_file import BROKEN, RawFile, broken
from lego.data.raw.tab_blocks import tab_blocks
from lego.errors import Problem

WORD = r"^\S+$"
COMPARE = "compare the line with the official file, which is tab separated and has no header"


class MalformedError(Exception):
    """A block of a file that holds something else than it should."""


def blocks(
    file: RawFile, names: tuple[str, ...], types: Mapping[str, pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """The columns of `types`, block after block."""
    some = False
    with file.open() as opened:
        for block in tab_blocks(opened, names, types):
            some = True
            yield block
    ensure(some, "is empty")


def ensure(holds: bool, reason: str) -> None:  # noqa: FBT001 - it reads as a sentence
    """MalformedError with the reason, where it does not hold."""
    if not holds:
        raise MalformedError(reason)


def all_match(column: pa.Array, pattern: str) -> bool:
    """Whether every value has the form."""
    return pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py()


def say(file: RawFile, found: Iterable[Problem], reason: str, problems: Problems) -> None:
    """Adds what was found wrong line by line; the reason alone, where no line is."""
    before = len(problems)
    try:
        problems.extend(found)
    except BROKEN as failure:  # what is wrong stands before the place where it breaks off
        broken(file, failure, problems)
    if len(problems) == before:
        problems.add(file.label, reason, "compare the file with the official one")


def _lines(file: RawFile) -> Iterator[tuple[int, str | Problem]]:
    """Number and text of each line that is not empty; or what is wrong with it."""
    with file.open() as opened:
        for number, raw in enumerate(lines_of(opened), 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as failure:
                what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                yield number, Problem(f"{file.label} line {number}", what, "save the file as UTF-8")
            else:
                if line:
                    yield number, line


def records(file: RawFile, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | Problem]]:
    """Number and values of each line that is not empty; or what is wrong with it, or with the whole."""
    some = False
    for number, line in _lines(file):
        some = True
        if isinstance(line, Problem):
            yield number, line
            continue
        fields = line.split("\t")
        if len(fields) == len(names):
            yield number, fields
            continue
        what = f"{len(names)} columns are expected, {len(fields)} found"
        yield number, Problem(f"{file.label} line {number}", what, COMPARE)
    if not some:
        yield 0, Problem(file.label, "is empty", "put the complete file in its place")
