"""The columns of a log without a role: attributes of impressions, and numbers beside candidates or histories."""

from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.own.attributes import BESIDE
from lego.data.own.reading import Reading, in_words
from lego.data.raw.frame import Frame
from lego.data.raw.growing import MANY, Growing, blocks, on_disk
from lego.data.raw.guess import Roles, kind_by_values
from lego.data.raw.order import sorted_rows
from lego.data.raw.spool import filtered_table, taken
from lego.data.raw.values import long_attribute_of, number_lists
from lego.data.table import IMPRESSIONS, KINDS, PAST, USERS, flat


@attrs.frozen(eq=False)
class Beside:
    """What the columns of a log without a role became."""

    attributes: dict[str, pa.ChunkedArray] = attrs.field(factory=dict)
    beside: dict[str, dict[str, NDArray[np.float32]]] = attrs.field(
        factory=lambda: {each: {} for each in BESIDE}
    )
    """`candidates` or `history` → name → numbers, flat."""

    def names(self) -> list[str]:
        """The columns that became something."""
        return [*self.attributes, *(name for each in self.beside.values() for name in each)]


def beside_impressions(
    reading: Reading,
    frame: Frame,
    found: Roles,
    candidates: NDArray[np.int64],
    history: NDArray[np.int64] | None,
) -> Beside:
    """Attributes; lists of as many numbers as there are candidates, or items of the history, stand beside these."""
    told = Beside()
    lengths = {"candidates": candidates, **({} if history is None else {"history": history})}
    for column in _free(reading, found):
        kind = _said(reading, column)
        numbers = None if kind in KINDS else number_lists(frame, column)
        fits = [] if numbers is None else [of for of, each in lengths.items() if same(each, numbers[1])]
        if kind in BESIDE and kind not in fits:
            _complain_of_lengths(reading, frame, column, kind, numbers, lengths.get(kind))
            continue
        if kind is None and len(fits) > 1:
            what = "has a number for each candidate and for each item of the history"
            fix = f"say which is meant, in kinds={{{column!r}: 'candidates'}} or 'history'"
            reading.problems.add(f"{frame.name}, column {column}", what, fix)
            continue
        kind = reading.log_kinds[column] = kind or (fits[0] if fits else kind_by_values(frame.table[column]))
        if kind in BESIDE:
            assert numbers is not None
            told.beside[kind][column] = numbers[0]
        else:
            _attribute(reading, frame, column, kind, told)
    reading.rules[frame.name] = in_words(found, told.names(), told)
    return told


def _complain_of_lengths(
    reading: Reading,
    frame: Frame,
    column: str,
    kind: str,
    numbers: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
    wanted: NDArray[np.int64] | None,
) -> None:
    place, fix = f"{frame.name}, column {column}", "correct it, or leave it out with the kind 'none'"
    if wanted is None:
        reading.problems.add(place, "there is no history that it could stand beside", fix)
    elif numbers is None:
        reading.problems.add(place, "lists of numbers are expected", fix)
    else:
        lengths = numbers[1]
        frame.complain(
            lengths != wanted,
            column,
            lambda row: f"{lengths[row]} numbers for {wanted[row]} items of {kind}",
            fix,
            reading.problems,
        )


def beside_clicks(reading: Reading, frame: Frame, found: Roles) -> Beside:
    """Attributes of the impression that a click makes; numbers that later impressions see where `kinds` says so."""
    told = Beside()
    for column in _free(reading, found):
        kind = reading.log_kinds[column] = _said(reading, column) or kind_by_values(frame.table[column])
        if kind == "candidates":
            what = "candidates are drawn here, so nothing is known of them"
            reading.problems.add(f"{frame.name}, column {column}", what, "give the log impression ids")
        elif kind == "history":
            _numbers(reading, frame, column, "history", told)
        else:
            _attribute(reading, frame, column, kind, told)
    reading.rules[frame.name] = in_words(found, told.names(), told)
    return told


def beside_groups(reading: Reading, frame: Frame, found: Roles, first: NDArray[np.int64]) -> Beside:
    """Attributes; numbers that differ within an impression stand beside candidates, other things that do are not read.

    `first` is the first row of the impression of each row.
    """
    told, rows = Beside(), Beside()
    for column in _free(reading, found):
        kind = _said(reading, column)
        if kind is None:
            kind = kind_by_values(frame.table[column])
            if kind != "list" and _differs(frame.table.select([column]), first):
                kind = "candidates" if kind == "number" else "none"
            reading.log_kinds[column] = kind
        if kind == "history":
            what = "the history is that of earlier impressions"
            reading.problems.add(f"{frame.name}, column {column}", what, "say 'candidates', or 'none'")
        elif kind == "candidates":
            _numbers(reading, frame, column, "candidates", rows)
        else:
            _attribute(reading, frame, column, kind, rows)
    if rows.attributes:
        begins = on_disk(len(first), np.bool_, lambda begin, end: first[begin:end] == np.arange(begin, end))
        table = filtered_table(pa.table(rows.attributes), begins)
        told.attributes.update((name, table[name]) for name in table.column_names)
    for name, numbers in rows.beside["candidates"].items():
        ordered = sorted_rows({"first": first, "number": numbers}, ["first"])
        told.beside["candidates"][name] = ordered["number"]
    reading.rules[frame.name] = in_words(found, told.names(), told)
    return told


def _differs(column: pa.Table, first: NDArray[np.int64]) -> bool:
    """Whether a value is another one than that of the first row of its impression."""
    for begin, end in blocks(len(first), MANY):
        there = taken(column, first[begin:end])
        both = pa.concat_tables([column.slice(begin, end - begin), there]).column(0).combine_chunks()
        both = pa.concat_arrays(both.chunks) if isinstance(both, pa.ChunkedArray) else both
        codes = flat(pc.fill_null(both.dictionary_encode().indices, -1))
        if (codes[: end - begin] != codes[end - begin :]).any():
            return True
    return False


def _free(reading: Reading, found: Roles) -> list[str]:
    """Columns that can become something; names that tables use themselves are left alone, unless a kind is said."""
    used = {*IMPRESSIONS.names, *USERS.names, *PAST}
    names = [column for column in found.rest if column.partition("@")[0] not in used]
    for column in found.rest:
        if column not in names and _said(reading, column) not in (None, "none"):
            what = f"what is known of an impression cannot be called {column}"
            reading.problems.add(f"column {column}", what, "rename it, or leave it out with the kind 'none'")
    return names


def _said(reading: Reading, column: str) -> str | None:
    """The kind that the options say, or that an earlier file of the log showed."""
    kinds = reading.spec.kinds
    return kinds.get(f"{reading.spec.log_option}.{column}", kinds.get(column)) or reading.log_kinds.get(
        column
    )


def _attribute(reading: Reading, frame: Frame, column: str, kind: str, told: Beside) -> None:
    values = None if kind == "none" else long_attribute_of(frame, column, kind, reading.problems)
    if values is not None:
        told.attributes[column] = values


def _numbers(reading: Reading, frame: Frame, column: str, of: str, told: Beside) -> None:
    values = long_attribute_of(frame, column, "number", reading.problems)
    if values is not None:
        numbers = Growing(np.float32)
        for chunk in values.chunks:
            numbers.add(flat(pc.fill_null(chunk, float("nan"))).astype(np.float32))
        told.beside[of][column] = numbers.array()


def same(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Whether all of them are."""
    return all(np.array_equal(first[begin:end], second[begin:end]) for begin, end in blocks(len(first), MANY))


def table_of(told: Beside) -> pa.Table | None:
    """The attributes as a table; None where there are none."""
    return pa.table(told.attributes) if told.attributes else None
