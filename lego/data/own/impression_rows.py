"""A row of a file → an impression, with lists of candidates and of what was clicked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import Log, no_rows
from lego.data.own.beside import beside_impressions, table_of
from lego.data.own.reading import Reading
from lego.data.raw.frame import Frame
from lego.data.raw.values import as_numbers, id_lists, ids_of, unique_ids
from lego.data.table import flat
from lego.ragged import Ragged


def read_impressions(reading: Reading, frame: Frame) -> tuple[Log | None, NDArray[np.int8] | None]:
    """The impressions of a file, and the part of each where it says."""
    optional = ("impression", "time", "history", "labels", "clicked", "part")
    found = reading.roles(frame, ("user", "candidates"), optional)
    columns, before = found.columns, len(reading.problems)
    user, time = reading.ids(frame, found, "user"), reading.times(frame, found)
    history = (
        reading.lists(frame, columns["history"]) if "history" in columns else no_rows(frame.table.num_rows)
    )
    reading.own_history.add("history" in columns)
    shown_to = _candidates(reading, frame, columns) if "candidates" in columns else None
    impression = _impression_numbers(reading, frame, columns.get("impression"))
    part = reading.parts(frame, columns.get("part"))
    if len(reading.problems) > before or user is None or shown_to is None or impression is None:
        return None, part
    assert time is not None  # these are None only where there is a problem
    assert history is not None
    candidates, labels = shown_to
    told = beside_impressions(
        reading, frame, found, candidates.lengths, history.lengths if "history" in columns else None
    )
    log = Log(
        impression=impression,
        user=pa.chunked_array([user]),
        time=time,
        history=history,
        candidates=candidates,
        labels=labels,
        attributes=table_of(told),
        signals=told.beside["candidates"],
        history_signals=told.beside["history"],
    )
    return log, part


def _candidates(
    reading: Reading, frame: Frame, columns: Mapping[str, str]
) -> tuple[Ragged, NDArray[np.int8]] | None:
    column = columns["candidates"]
    read = id_lists(frame, column, reading.problems)
    if read is None:
        return None
    ids, lengths, how = read
    reading.rules[f"{frame.name} {column}"] = how
    empty, fix = lengths == 0, "take the row out"
    frame.complain(empty, column, lambda _: "there are no candidates", fix, reading.problems)
    row = np.repeat(np.arange(len(lengths)), lengths)
    if "labels" in columns and columns["labels"] != column:
        labels = _label_lists(reading, frame, columns["labels"], lengths)
    elif "clicked" in columns:
        labels = _clicked(reading, frame, columns["clicked"], ids, row)
    else:
        marked = flat(pc.match_substring_regex(ids, r"^.+-[01]$"))
        wrong = np.zeros(len(lengths), bool)
        wrong[row[~marked]] = True
        role = f"{reading.spec.log_option}.labels"
        fix = f"name their column in columns={{{role!r}: 'COLUMN'}} or '….clicked', or write id-1 and id-0"
        frame.complain(wrong, column, lambda _: "the candidates have no labels", fix, reading.problems)
        labels = flat(pc.ends_with(ids, "-1")).astype(np.int8)
        ids = pc.utf8_slice_codeunits(ids, 0, -2)
        if wrong.any():
            return None
    return None if labels is None else (reading.rows_of(frame, column, ids, row, lengths), labels)


def _label_lists(
    reading: Reading, frame: Frame, column: str, wanted: NDArray[np.int64]
) -> NDArray[np.int8] | None:
    read = id_lists(frame, column, reading.problems)
    if read is None:
        return None
    words, lengths, _ = read
    uneven = lengths != wanted
    frame.complain(
        uneven,
        column,
        lambda row: f"{lengths[row]} labels for {wanted[row]} candidates",
        "give one label per candidate",
        reading.problems,
    )
    numbers = as_numbers(words)
    values = flat(pc.fill_null(numbers, -1.0))
    wrong = np.zeros(len(lengths), bool)
    wrong[np.repeat(np.arange(len(lengths)), lengths)[(values != 0) & (values != 1)]] = True
    frame.complain(
        wrong, column, lambda _: "labels of 0 or 1 are expected", "1 is a click, 0 none", reading.problems
    )
    return None if uneven.any() or wrong.any() else values.astype(np.int8)


def _clicked(
    reading: Reading, frame: Frame, column: str, ids: pa.Array, row: NDArray[np.int64]
) -> NDArray[np.int8] | None:
    read = id_lists(frame, column, reading.problems)
    if read is None:
        return None
    words, lengths, _ = read
    codes = flat(pa.concat_arrays([ids, words]).dictionary_encode().indices).astype(np.int64)
    size = int(codes.max(initial=0)) + 1
    candidates = row * size + codes[: len(ids)]
    clicked = np.repeat(np.arange(len(lengths)), lengths) * size + codes[len(ids) :]
    outside = np.unique(clicked[~np.isin(clicked, candidates)] // size)
    wrong = np.isin(np.arange(len(lengths)), outside)
    fix = "a click is on one of the candidates: add it to them, or take the row out"
    frame.complain(wrong, column, lambda _: "an item is clicked that is no candidate", fix, reading.problems)
    return None if wrong.any() else np.isin(candidates, clicked).astype(np.int8)


def _impression_numbers(reading: Reading, frame: Frame, column: str | None) -> NDArray[np.int64] | None:
    """The ids where they are whole numbers, else the order of the rows."""
    count = frame.table.num_rows
    if column is None:
        return np.arange(count, dtype=np.int64)
    ids = ids_of(frame, column, reading.problems)
    if ids is None:
        return None
    fix = "keep one row per impression; rows of one candidate each are rows=, not impressions="
    unique_ids(frame, column, ids, "impression", fix, reading.problems)
    numbers = as_numbers(ids)
    whole = pc.all(pc.match_substring_regex(ids, r"^(0|[1-9]\d{0,14})$")).as_py()
    return flat(pc.cast(numbers, pa.int64())) if whole else np.arange(count, dtype=np.int64)
