"""Rows of a user and an item: a click each, or, where they have impression ids, a candidate each."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import Catalog, Clicks, Log, no_rows
from lego.data.own.beside import beside_clicks, beside_groups, table_of
from lego.data.own.missing import Met
from lego.data.own.reading import Reading
from lego.data.raw.frame import Frame
from lego.data.raw.growing import Growing
from lego.data.raw.guess import Roles
from lego.data.raw.values import clicks_of, ids_of
from lego.data.table import flat
from lego.ragged import Ragged


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
    group = reading.ids(frame, found, "impression")
    part = read.part.array() if "part" in columns else None
    if len(reading.problems) > before or time is None:
        return None, part
    user, item, click = read.user.array(), read.item.array(), read.click.array()
    if group is not None:
        names = users.missing.take(pa.array(user))
        return grouped(reading, frame, found, group, names, item, click, time, part)
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
        rows = _places(reading.catalog, item)
        reading.met.append(Met(frame, columns["item"]))
    if user is None or rows is None or click is None:
        # What is wrong with a whole column is said once.
        return not any(each.where.startswith(f"{frame.name}, column ") for each in problems.shown)
    read.user.add(_places(users, user) - 1)
    read.item.add(rows)
    read.click.add(click)
    if part is not None:
        read.part.add(part)
    return True


def grouped(
    reading: Reading,
    frame: Frame,
    found: Roles,
    group: pa.Array,
    user: pa.Array,
    item: NDArray[np.int32],
    click: NDArray[np.bool_],
    time: NDArray[np.int64],
    part: NDArray[np.int8] | None,
) -> tuple[Log | None, NDArray[np.int8] | None]:
    """Rows of one impression id as one impression, which stands where its first row stands."""
    code = flat(group.dictionary_encode().indices)
    _, first = np.unique(code, return_index=True)
    whose = flat(user.dictionary_encode().indices)
    checks = [("user", whose)] + ([("part", part)] if part is not None else [])
    for role, values in checks:
        wrong = values != values[first[code]]

        def words(row: int, role: str = role) -> str:
            return (
                f"impression {group[row].as_py()} has another {role} in {frame.line(int(first[code[row]]))}"
            )

        fix = "give each impression an id of its own"
        frame.complain(wrong, found.columns[role], words, fix, reading.problems)
        if wrong.any():
            return None, part
    order = np.argsort(code, kind="stable")
    begin = time.copy()[first]
    np.minimum.at(begin, code, time)
    whole = pc.all(pc.match_substring_regex(group, r"^(0|[1-9]\d{0,14})$")).as_py()
    ids = group.take(pa.array(first))
    told = beside_groups(reading, frame, found, code, first, order)
    log = Log(
        impression=flat(pc.cast(ids, pa.int64())) if whole else np.arange(len(first)),
        user=pa.chunked_array([user.take(pa.array(first))]),
        time=begin,
        history=no_rows(len(first)),
        candidates=Ragged.from_lengths(item[order], np.bincount(code)),
        labels=click[order].astype(np.int8),
        attributes=table_of(told),
        signals=told.beside["candidates"],
    )
    return log, None if part is None else part[first]


def _places(catalog: Catalog, ids: pa.Array) -> NDArray[np.int32]:
    """The row of each id, which is looked up once where it stands in several places."""
    coded = ids.dictionary_encode()
    return catalog.rows(coded.dictionary)[flat(coded.indices)]
