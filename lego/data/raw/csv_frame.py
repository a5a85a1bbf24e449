"""A table in a CSV or TSV: read by Arrow piece by piece, every column as text, and walked through only where that fails."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lego.data.problems import Problems
from lego.data.raw.csv_rows import csv_records, delimiter_of
from lego.data.raw.frame import ROWS, Frame, named_once
from lego.data.raw.growing import blocks
from lego.data.raw.spool import spooled
from lego.data.raw.text_bytes import BLOCK

_PIECE = 1 << 22
"""Bytes of a CSV that are read at a time where no row has more: Arrow reads 32 times as many ahead."""
_LONGER = ("straddles two block boundaries", "Empty CSV file or block")
"""What Arrow says of a row, and of the line of names, that does not fit into a piece."""


def read_csv(path: Path, name: str, form: str, problems: Problems) -> Frame | None:
    """The table; None where it cannot be read, which is then among the problems."""
    delimiter = delimiter_of(path)
    head = next(
        ((fields, problem) for _, fields, problem in csv_records(path, delimiter, name) if fields or problem),
        None,
    )
    if head is None:
        problems.add(name, "is empty", "put the complete file in its place")
        return None
    names, problem = head
    if problem is not None or names is None:
        problems.extend([problem] if problem is not None else [])
        return None
    if not named_once(name, names, problems):
        return None
    try:
        try:
            table = _spooled_csv(path, names, delimiter, min(_PIECE, BLOCK))
        except pa.ArrowInvalid as failure:
            if not any(each in str(failure) for each in _LONGER):
                raise
            table = _spooled_csv(path, names, delimiter, BLOCK)
        # A quote that is never closed swallows the lines behind it, and Arrow does not mind.
        sound = not any(_is_odd(table[each]) for each in table.column_names)
        reason = "a quote is opened and not closed"
    except pa.ArrowInvalid as failure:
        sound, reason = False, str(failure)
    if sound or not _wrong_csv(path, name, delimiter, problems):
        if not sound and reason != "a quote is opened and not closed":
            problems.add(name, reason, "save the table anew")
            return None
        return Frame(name, table, path, form, delimiter)
    return None


def _spooled_csv(path: Path, names: list[str], delimiter: str, size: int) -> pa.Table:
    """The rows, all of them as text, read so many bytes at a time."""
    with pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=size),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[each for each in names if each],  # an index that was saved along has no name
            null_values=[],
        ),
    ) as reader:
        return spooled(reader, reader.schema)


def _is_odd(column: pa.ChunkedArray) -> bool:
    """Whether a value has a line break or a NUL byte in it."""
    return any(
        bool(pc.any(pc.match_substring(column.slice(begin, end - begin), mark), min_count=0).as_py())
        for begin, end in blocks(len(column), ROWS)
        for mark in ("\n", "\0")
    )


def _wrong_csv(path: Path, name: str, delimiter: str, problems: Problems) -> int:
    """How many lines are wrong, each of which is then among the problems."""
    before, width = len(problems), 0
    for line, fields, problem in csv_records(path, delimiter, name):
        if problem is not None:
            problems.extend([problem])
        elif fields and not width:
            width = len(fields)
        elif fields and len(fields) != width:
            what = f"{width} columns are expected, {len(fields)} found"
            fix = "put quotes around a value that holds the delimiter or a line break"
            problems.add(f"{name} line {line}", what, fix)
    return len(problems) - before
