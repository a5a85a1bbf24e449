"""The impressions of EB-NeRD, their context, and what they say of users."""

from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.growing_log import GrowingLog
from lego.data.impressions.log import Catalog, Log, no_rows
from lego.data.problems import Problems
from lego.data.raw.growing import Growing, looked_up, places_where
from lego.data.raw.parquet_file import (
    Wanted,
    batches,
    complain,
    list_values,
    owners_of,
    refuse_nulls,
    seconds,
)
from lego.data.raw.raw_file import RawFile
from lego.data.raw.repeats import Repeats
from lego.data.source.ebnerd_people import PEOPLE, People
from lego.data.table import CATEGORY, NUMBER, TEXT, flat
from lego.ragged import Ragged, flat_positions

_CLICKED = "article_ids_clicked"
_BEHAVIORS = {
    "impression_id": Wanted("whole"),
    "impression_time": Wanted("time"),
    "user_id": Wanted("whole"),
    "article_ids_inview": Wanted("wholes"),
    _CLICKED: Wanted("wholes"),
    "article_id": Wanted("number", needed=False),
    "device_type": Wanted("number", needed=False),
    "is_sso_user": Wanted("flag", needed=False),
    "is_subscriber": Wanted("flag", needed=False),
    "read_time": Wanted("number", needed=False),
    "scroll_percentage": Wanted("number", needed=False),
    "gender": Wanted("number", needed=False),
    "postcode": Wanted("number", needed=False),
    "age": Wanted("number", needed=False),
}

_BEYOND = "is_beyond_accuracy"
"""Rows for what is measured beside accuracy, which the test part has: all of them have impression id 0, and none has a click."""
_TEST = {**_BEHAVIORS, _CLICKED: Wanted("wholes", needed=False), _BEYOND: Wanted("flag", needed=False)}


@attrs.frozen(eq=False)
class Behaviors:
    """Impressions, and what they say of users."""

    log: Log
    people: People
    labeled: bool = True
    """Whether it is told what was clicked."""


def read_log(
    file: RawFile, catalog: Catalog, problems: Problems, dropped: dict[str, int], *, hidden: bool
) -> Behaviors | None:
    """Those of behaviors.parquet; None where something is wrong. Those of a `hidden` part need not tell what was clicked.

    Rows for what is measured beside accuracy are left out and counted where it is told, for there accuracy is measured; where it
    is not they are ranked like all others.
    """
    before, base, read, people = len(problems), 0, GrowingLog(), People()
    labeled, numbered = True, Growing(np.bool_)
    for batch in batches(file, _TEST if hidden else _BEHAVIORS, problems):
        made = _log(file, batch, base, catalog, problems, dropped)
        base += batch.num_rows
        if made is not None:
            log, said = made
            read.add(log)
            people.add(said)
            labeled = _CLICKED in batch.schema.names
            numbered.add(_numbered(batch))
    if base and len(problems) == before and not read.impressions:
        what = "every row is for what is measured beside accuracy, and is left out where it is told what was clicked"
        problems.add(file.label, what, "put the complete file in its place")
    if len(problems) > before or not read.impressions:
        return None
    # Rows of the file; the others are not in a log with clicks.
    log, rows = read.log(), places_where(numbered.array())
    numbers = log.impression if len(rows) == read.impressions else looked_up(log.impression, rows)
    again = Repeats.of(numbers)
    words = [f"{numbers[row]} is already in row {rows[first] + 1}" for row, first in again.shown()]
    complain(file, rows[again.rows], "impression_id", words, problems)
    return Behaviors(log, people, labeled)


def _numbered(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Which rows have an impression id of their own."""
    if _BEYOND not in batch.schema.names:
        return np.ones(batch.num_rows, bool)
    return ~flat(pc.fill_null(pc.cast(batch[_BEYOND], pa.bool_()), fill_value=False))


def _log(
    file: RawFile,
    batch: pa.RecordBatch,
    base: int,
    catalog: Catalog,
    problems: Problems,
    dropped: dict[str, int],
) -> tuple[Log, pa.Table] | None:
    before = len(problems)
    labeled = _CLICKED in batch.schema.names
    needed = ("impression_id", "impression_time", "user_id", "article_ids_inview")
    refuse_nulls(file, batch, needed, base, problems)
    shown, lengths = list_values(batch["article_ids_inview"])
    clicked, clicks = pa.array([], pa.int64()), np.zeros(batch.num_rows, np.int64)
    left = _numbered(batch)
    if labeled:
        clicked, clicks = list_values(batch[_CLICKED])
        absent = np.flatnonzero(flat(batch[_CLICKED].is_null()) & left)
        complain(file, absent + base, _CLICKED, "a value is expected, nothing found", problems)
    for column, values, count in (
        ("article_ids_inview", shown, lengths),
        (_CLICKED, clicked, clicks),
    ):
        wrong = owners_of(count, flat(values.is_null()))
        complain(file, np.flatnonzero(wrong) + base, column, "a value inside the list is missing", problems)
    complain(
        file, np.flatnonzero(lengths == 0) + base, "article_ids_inview", "no article is in view", problems
    )
    if len(problems) > before:
        return None
    if labeled and not left.all():
        beside = "rows_beside_accuracy"
        dropped[beside] = dropped.get(beside, 0) + int((~left).sum())
        batch = batch.filter(pa.array(left))
        shown, lengths = list_values(batch["article_ids_inview"])
        clicked, clicks = list_values(batch[_CLICKED])
    rows = catalog.rows(pc.cast(shown, pa.int64()))
    size = int(rows.max(initial=0)) + 1
    row = np.repeat(np.arange(len(lengths)), lengths)
    # An id that was clicked and is not in view must not become an item by being looked up.
    place = flat(
        pc.fill_null(pc.index_in(pc.cast(clicked, pa.int64()), value_set=_every(catalog)), -1)
    ).astype(np.int64)
    owner = np.repeat(np.arange(len(clicks)), clicks)
    taken = np.where((place >= 0) & (place + 1 < size), owner * size + place + 1, -1)
    keys = row * size + rows
    # Sorted once: those that were clicked are few beside those in view.
    distinct, times = np.unique(taken, return_counts=True)
    at = np.minimum(np.searchsorted(distinct, keys), max(len(distinct) - 1, 0))
    labels = distinct[at] == keys if len(distinct) else np.zeros(len(keys), bool)
    in_view = np.zeros(len(distinct), bool)
    in_view[at[labels]] = True
    dropped["clicks_not_in_view"] += int(times[~in_view].sum())
    time = flat(seconds(batch["impression_time"]))
    user = pc.cast(batch["user_id"], pa.int64())
    log = Log(
        impression=flat(pc.cast(batch["impression_id"], pa.int64())),
        user=pa.chunked_array([pc.cast(user, TEXT)]),
        time=time,
        history=no_rows(len(lengths)),
        candidates=Ragged.from_lengths(rows, lengths),
        labels=labels.astype(np.int8),
        attributes=_context(batch),
        signals={"position": (flat_positions(np.zeros(len(lengths)), lengths) + 1).astype(np.float32)},
    )
    people = {name: pc.cast(_column(batch, name), TEXT) for name in PEOPLE}
    return log, pa.table({"user": user, "time": pa.array(time), **people})


def _every(catalog: Catalog) -> pa.Array:
    return pa.concat_arrays([catalog.known, catalog.missing])


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows)
    values = batch[name]
    # Numbers that were written beside nulls by another tool came as floats.
    whole = pa.types.is_floating(values.type) and name not in {"read_time", "scroll_percentage"}
    return pc.cast(values, pa.int64(), safe=False) if whole else values


def _context(batch: pa.RecordBatch) -> pa.Table:
    """What is known of each impression beside user, time and candidates."""

    def category(values: pa.Array) -> pa.Array:
        return pc.cast(pc.cast(values, TEXT).dictionary_encode(), CATEGORY)

    def number(values: pa.Array) -> pa.Array:
        numbers = pc.cast(values, NUMBER)
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, NUMBER))

    def flag(name: str) -> pa.Array:
        return category(pc.if_else(pc.cast(_column(batch, name), pa.bool_()), "yes", "no"))

    page = pa.nulls(batch.num_rows, TEXT)
    if "article_id" in batch.schema.names:
        page = pc.if_else(batch["article_id"].is_null(), "front page", "article")
    return pa.table(
        {
            "device": category(_column(batch, "device_type")),
            "page": category(page),
            "read_time": number(_column(batch, "read_time")),
            "scroll": number(_column(batch, "scroll_percentage")),
            "subscriber": flag("is_subscriber"),
            "sso": flag("is_sso_user"),
        }
    )
