"""Rows of a CSV one by one, with the lines that they begin in: where something is wrong, and to say where."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from lego.data.raw.text_bytes import AS_UTF8, unpacked
from lego.errors import Problem


def delimiter_of(path: Path) -> str:
    """A tab in .tsv; else what the first line has most of, a comma unless there is none."""
    if ".tsv" in path.suffixes[-2:]:
        return "\t"
    with unpacked(path) as file:
        head = file.readline().decode("utf-8-sig", "replace")
    return "," if "," in head else next((mark for mark in "\t;" if mark in head), ",")


def csv_records(
    path: Path, delimiter: str, name: str | None = None
) -> Iterator[tuple[int, list[str] | None, Problem | None]]:
    """The line a record begins in, counted from 1, its fields, or what is wrong. An empty line is a record without fields."""
    name = path.name if name is None else name
    undecoded: list[Problem] = []

    def lines() -> Iterator[str]:
        with unpacked(path) as file:
            for number, raw in enumerate(file, 1):
                coding = "utf-8-sig" if number == 1 else "utf-8"
                if b"\0" in raw:
                    what = f"byte {raw.index(0) + 1} of the line is NUL, which no text has"
                    fix = "save the table anew as text: the file is damaged, or no CSV"
                    undecoded.append(Problem(f"{name} line {number}", what, fix))
                    yield raw.decode(coding, "replace").replace("\0", " ")
                    continue
                try:
                    yield raw.decode(coding)
                except UnicodeDecodeError as failure:
                    what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                    undecoded.append(Problem(f"{name} line {number}", what, AS_UTF8))
                    yield raw.decode(coding, "replace")

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            fields, problem = next(reader), None
        except StopIteration:
            return
        except csv.Error as failure:
            what = "a quote is opened and not closed" if "end of data" in str(failure) else str(failure)
            fix = "put quotes around the whole value, and double a quote that is part of it"
            fields, problem = None, Problem(f"{name} line {line}", what, fix)
        if undecoded:
            for each in undecoded:
                yield line, None, each
            undecoded.clear()
        else:
            yield line, fields, problem
        line = reader.line_num + 1
