"""A row of a file → the items that a user took, in their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.data.impressions.log import Clicks
from lego.data.own.reading import Reading
from lego.data.raw.frame import Frame
from lego.data.raw.growing import Growing, looked_up, on_disk, owners_of, rows_of
from lego.data.raw.guess import Roles
from lego.data.raw.values import ids_of, unique_ids
from lego.data.table import flat
from lego.ragged import Ragged


def read_sequences(reading: Reading, frame: Frame) -> tuple[Clicks | None, NDArray[np.int8] | None]:
    """The clicks of a file, and the part of each where it says."""
    found = reading.roles(frame, ("user",), ("items", "item", "time", "part"))
    columns, before = found.columns, len(reading.problems)
    user, part = reading.people(frame, found), reading.parts(frame, columns.get("part"))
    if "items" not in columns and "item" not in columns:
        what = f"no column is known to be the list of items; there are {', '.join(frame.columns)}"
        reading.problems.add(frame.name, what, "name it in columns={'sequences.items': 'COLUMN'}")
    if "items" in columns:
        history, time = (
            reading.lists(frame, columns["items"]),
            reading.times(frame, Roles({}, frozenset(), ())),
        )
        if user is not None and part is None and len(user.chunk(0).dictionary) < len(user):
            ids = ids_of(frame, columns["user"], reading.problems)
            unique_ids(frame, columns["user"], ids, "user", "join the rows of a user", reading.problems)
    else:
        time = reading.times(frame, found)
        history = _one_each(reading, frame, columns["item"]) if "item" in columns else None
    if len(reading.problems) > before or user is None or history is None or time is None:
        return None, part
    owner, moments = owners_of(history), time
    places = flat(user.chunk(0).indices)
    count = len(owner)
    parts = None if part is None else looked_up(part, owner)
    clicks = Clicks(
        names=user.chunk(0).dictionary,
        user=looked_up(places, owner),
        item=history.values,
        click=on_disk(count, np.bool_, lambda begin, end: np.ones(end - begin, bool)),
        time=looked_up(moments, owner),
        part=np.broadcast_to(np.int8(-1), count) if parts is None else parts,
    )
    return clicks, parts


def _one_each(reading: Reading, frame: Frame, column: str) -> Ragged | None:
    """One item in each row."""
    values, before = Growing(np.int32), len(reading.problems)
    for piece in frame.pieces():
        ids = ids_of(piece, column, reading.problems)
        if ids is not None:
            values.add(reading.rows_of(piece, column, ids))
        elif reading.of_column(frame):
            break
    if len(reading.problems) > before:
        return None
    return rows_of(values.array(), np.broadcast_to(np.int64(1), frame.table.num_rows))
