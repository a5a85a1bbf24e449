"""Lines whose last value is not quoted although it may hold the delimiter: titles with commas, mostly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lego.data.problems import LIMIT, Problems
from lego.data.raw.reader import Column, Layout, read_pieces


def split_lines(
    path: Path,
    names: Sequence[str],
    problems: Problems,
    *,
    mark: str = ",",
    encoding: str = "utf-8",
    skip: int = 0,
) -> Iterator[pa.Table]:
    """Columns of text, piece after piece: a line is split at its first marks, one less than there are names.

    The first `skip` lines are left out. Where a line has fewer marks, it ends, and the lines are among the problems.
    """
    layout = Layout(names=("line",), delimiter="\x1f", encoding=encoding, quotes=False)
    last = len(names) - 1
    form = mark.join([*(f"(?P<v{place}>[^{mark}]*)" for place in range(last)), f"(?P<v{last}>.*)"])
    for piece in read_pieces(path, (Column("line"),), problems, layout):
        lines = piece["line"].combine_chunks().slice(skip)
        skip = max(0, skip - piece.num_rows)
        parts = pc.extract_regex(lines, f"^{form}$")
        if parts.null_count:
            _complain(path, len(names), problems, mark, encoding)
            return
        yield pa.table({name: pc.struct_field(parts, f"v{place}") for place, name in enumerate(names)})


def _complain(path: Path, values: int, problems: Problems, mark: str, encoding: str) -> None:
    fix = "compare the line with the official file"
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = raw.decode(encoding).rstrip("\r\n")
            found = line.count(mark) + 1
            if line and found < values:
                where = f"{path.name} line {number}"
                problems.add(
                    where, f"{values} values with {mark!r} between them are expected, {found} found", fix
                )
            if len(problems) > 10 * LIMIT:
                return
