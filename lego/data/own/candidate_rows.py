"""Rows of a user and an item: a click each, or, where they have impression ids, a candidate each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.events import stretches
from lego.data.impressions.log import Catalog, Clicks, Log, no_rows
from lego.data.own.beside import beside_clicks, beside_groups, table_of
from lego.data.own.reading import Reading, impression_codes, places_of
from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.growing import Growing, on_disk, rows_of
from lego.data.raw.guess import Roles
from lego.data.raw.order import sorted_rows
from lego.data.raw.values import as_ids, clicks_of, ids_of
from lego.data.table import flat


@attrs.frozen(eq=False)
class _Rows:
    """Rows of a log as they are read piece by piece."""

    user: Growing = attrs.field(factory=lambda: Growing(np.int32))
    item: Growing = attrs.field(factory=lambda: Growing(np.int32))
    click: Growing = attrs.field(factory=lambda: Growing(np.bool_))
    part: Growing = attrs.field(factory=lambda: Growing(np.int8))


def read_rows(reading: Reading, frame: Frame) -> tuple[Log | Clicks | None, NDArray[np.int8] | None]:
    """The clicks or impressions of a file, and the part of each row where it says."""
    found = reading.roles(frame, ("user", "item"), ("label", "time", "impression", "part"))
    columns, before = found.columns, len(reading.problems)
    if not {"user", "item"} <= columns.keys():
        return None, None
    if "label" in columns:
        reading.labels.append(f"{frame.name}, column {columns['label']}")
    users, read = Catalog(pa.array([], pa.string())), _Rows()
    for piece in frame.pieces():
        if not _read_piece(reading, piece, columns, users, read):
            break
    time = reading.times(frame, found)
    first = None
    if "impression" in columns:
        first = _first_rows(reading, frame, columns["impression"])
    part = read.part.array() if "part" in columns else None
    if len(reading.problems) > before or time is None:
        return None, part
    user, item, click = read.user.array(), read.item.array(), read.click.array()
    if first is not None:
        rows = {"user": user, "item": item, "click": click, "time": time}
        return _grouped(reading, frame, found, first, rows, users.missing, part)
    everywhere = np.broadcast_to(np.int8(-1), len(item))
    told = beside_clicks(reading, frame, found)
    return Clicks(
        names=users.missing,
        user=user,
        item=item,
        click=click,
        time=time,
        part=everywhere if part is None else part,
        attributes=table_of(told),
        signals=told.beside["history"],
    ), part


def _read_piece(
    reading: Reading, frame: Frame, columns: Mapping[str, str], users: Catalog, read: _Rows
) -> bool:
    """Users, items, labels and parts of some rows; whether there is sense in reading on."""
    problems = reading.problems
    user, item = (ids_of(frame, columns[role], problems) for role in ("user", "item"))
    click: NDArray[np.bool_] | None = np.ones(frame.table.num_rows, bool)
    if "label" in columns:
        click = clicks_of(frame, columns["label"], reading.spec.above, problems)
    part = reading.parts(frame, columns.get("part"))
    rows = None
    if item is not None:  # what the items lack is told among what is wrong elsewhere
        rows = reading.rows_of(frame, columns["item"], item)
    if user is None or rows is None or click is None:
        # What is wrong with a whole column is said once.
        return not reading.of_column(frame)
    read.user.add(places_of(users, user) - 1)
    read.item.add(rows)
    read.click.add(click)
    if part is not None:
        read.part.add(part)
    return True


def _first_rows(reading: Reading, frame: Frame, column: str) -> tuple[NDArray[np.int64], bool] | None:
    """The first row of the impression of each row, and whether the ids are whole numbers; None where one cannot be read."""
    ids = impression_codes(reading, frame, column)
    if ids is None:
        return None
    codes, whole = ids
    rows = sorted_rows({"code": codes, "row": on_disk(len(codes), np.int64, np.arange)}, ["code"])
    first = Growing(np.int64)
    for begin, end in stretches(rows["code"]):
        starts = _starts(rows["code"][begin:end])
        first.add(np.repeat(rows["row"][begin:end][starts], np.diff(np.append(starts, end - begin))))
    return sorted_rows({"row": rows["row"], "first": first.array()}, ["row"])["first"], whole


def _starts(values: NDArray[Any]) -> NDArray[np.int64]:
    """Where another value begins."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1]))


def _grouped(
    reading: Reading,
    frame: Frame,
    found: Roles,
    ids: tuple[NDArray[np.int64], bool],
    rows: Mapping[str, NDArray[Any]],
    names: pa.Array,
    part: NDArray[np.int8] | None,
) -> tuple[Log | None, NDArray[np.int8] | None]:
    """Rows of one impression id as one impression, which stands where its first row stands."""
    first, whole = ids
    column = found.columns["impression"]
    parts = {} if part is None else {"part": part}
    numbers = {"row": on_disk(len(first), np.int64, np.arange), "first": first, **rows, **parts}
    ordered = sorted_rows(numbers, ["first"])
    for role in ("user", *parts):
        wrong = _others(ordered, role)
        if len(wrong):
            _complain_of_others(reading, frame, found, role, first, wrong)
            return None, part
    made = {name: Growing(ordered[name].dtype) for name in ("user", "time", *parts)}
    lengths = Growing(np.int64)
    for begin, end in stretches(ordered["first"]):
        starts = _starts(ordered["first"][begin:end])
        lengths.add(np.diff(np.append(starts, end - begin)))
        for name, each in made.items():
            values = ordered[name][begin:end]
            each.add(np.minimum.reduceat(values, starts) if name == "time" else values[starts])
    done = {name: each.array() for name, each in made.items()}
    counts = lengths.array()
    begins = on_disk(len(first), np.bool_, lambda begin, end: first[begin:end] == np.arange(begin, end))
    told = beside_groups(reading, frame, found, first)
    clicked = ordered["click"]
    log = Log(
        impression=_numbers(frame, column, begins) if whole else on_disk(len(counts), np.int64, np.arange),
        user=pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(done["user"]), names)]),
        time=done["time"],
        history=no_rows(len(counts)),
        candidates=rows_of(ordered["item"], counts),
        labels=on_disk(len(clicked), np.int8, lambda begin, end: clicked[begin:end]),
        attributes=table_of(told),
        signals=told.beside["candidates"],
    )
    return log, done.get("part")


def _others(ordered: Mapping[str, NDArray[Any]], role: str) -> NDArray[np.int64]:
    """Rows whose value is another one than that of the first row of their impression, ascending."""
    wrong = Growing(np.int64)
    for begin, end in stretches(ordered["first"]):
        starts, values = _starts(ordered["first"][begin:end]), ordered[role][begin:end]
        there = np.repeat(values[starts], np.diff(np.append(starts, end - begin)))
        wrong.add(ordered["row"][begin:end][values != there])
    return np.sort(wrong.array())


def _complain_of_others(
    reading: Reading, frame: Frame, found: Roles, role: str, first: NDArray[np.int64], rows: NDArray[np.int64]
) -> None:
    wrong = np.zeros(len(first), bool)
    wrong[rows] = True
    column = found.columns["impression"]

    def words(row: int) -> str:
        group = as_ids(frame.table[column].slice(row, 1).combine_chunks())
        assert group is not None  # it was read before
        return f"impression {group[0].as_py()} has another {role} in {frame.line(int(first[row]))}"

    fix = "give each impression an id of its own"
    frame.complain(wrong, found.columns[role], words, fix, reading.problems)


def _numbers(frame: Frame, column: str, begins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The impression ids of the first rows, which are whole numbers."""
    made, before = Growing(np.int64), 0
    for piece in frame.pieces():
        ids = ids_of(piece, column, Problems())
        assert ids is not None  # they were read before
        here = begins[before : before + piece.table.num_rows]
        before += len(here)
        made.add(flat(pc.cast(ids.filter(pa.array(here)), pa.int64())))
    return made.array()
