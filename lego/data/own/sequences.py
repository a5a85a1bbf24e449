"""A row of a file → the items that a user took, in their order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.impressions.log import Clicks
from lego.data.own.reading import Reading
from lego.data.raw.frame import Frame
from lego.data.raw.values import unique_ids
from lego.data.table import flat


def read_sequences(reading: Reading, frame: Frame) -> tuple[Clicks | None, NDArray[np.int8] | None]:
    """The clicks of a file, and the part of each where it says."""
    found = reading.roles(frame, ("user",), ("items", "item", "time", "part"))
    columns, before = found.columns, len(reading.problems)
    user, part = reading.ids(frame, found, "user"), reading.parts(frame, columns.get("part"))
    if "items" not in columns and "item" not in columns:
        what = f"no column is known to be the list of items; there are {', '.join(frame.columns)}"
        reading.problems.add(frame.name, what, "name it in columns={'sequences.items': 'COLUMN'}")
    if "items" in columns:
        history, time = reading.lists(frame, columns["items"]), np.full(frame.table.num_rows, -1, np.int64)
        if user is not None and part is None:
            unique_ids(frame, columns["user"], user, "user", "join the rows of a user", reading.problems)
    else:
        item, found_time = reading.ids(frame, found, "item"), reading.times(frame, found)
        if item is None or found_time is None:
            return None, part
        row, one = np.arange(len(item)), np.ones(len(item), np.int64)
        history, time = reading.rows_of(frame, columns["item"], item, row, one), found_time
    if len(reading.problems) > before or user is None or history is None:
        return None, part
    owner = np.repeat(np.arange(len(history)), history.lengths)
    parts = None if part is None else part[owner]
    names, code = in_order_met(user)
    met = code[owner]
    clicks = Clicks(
        names=names,
        user=met,
        item=history.values,
        click=np.ones(len(owner), bool),
        time=time[owner],
        part=np.full(len(owner), -1, np.int8) if parts is None else parts,
    )
    return clicks, parts


def in_order_met(user: pa.Array) -> tuple[pa.Array, NDArray[np.int32]]:
    """Distinct users in the order in which they first appear, and the place of each row's among them."""
    coded = user.dictionary_encode()
    return coded.dictionary, flat(coded.indices)
