"""A row of a file → an impression, with lists of candidates and of what was clicked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import Log, no_rows
from lego.data.own.beside import beside_impressions, table_of
from lego.data.own.reading import Reading, ids_again, impression_codes
from lego.data.raw.frame import Frame
from lego.data.raw.growing import MANY, Growing, blocks, lengths_of, on_disk, rows_of
from lego.data.raw.order import sorted_rows
from lego.data.raw.values import IdLists, as_numbers, id_lists, ids_of, unique_ids
from lego.data.table import flat
from lego.ragged import Ragged


def read_impressions(reading: Reading, frame: Frame) -> tuple[Log | None, NDArray[np.int8] | None]:
    """The impressions of a file, and the part of each where it says."""
    optional = ("impression", "time", "history", "labels", "clicked", "part")
    found = reading.roles(frame, ("user", "candidates"), optional)
    columns, before = found.columns, len(reading.problems)
    user, time = reading.people(frame, found), reading.times(frame, found)
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
        reading, frame, found, lengths_of(candidates), lengths_of(history) if "history" in columns else None
    )
    log = Log(
        impression=impression,
        user=user,
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
    column, problems = columns["candidates"], reading.problems
    read = id_lists(frame, column, problems)
    if read is None:
        return None
    reading.rules[f"{frame.name} {column}"] = read.written.in_words()
    beside = columns["labels"] if columns.get("labels", column) != column else columns.get("clicked")
    other = None if beside is None else id_lists(frame, beside, problems)
    if beside is not None and other is None:
        return None
    before = len(problems)
    values, every, flags = Growing(np.int32), Growing(np.int64), Growing(np.int8)
    for piece, words, lengths in read.pieces(problems):
        piece.complain(
            lengths == 0, column, lambda _: "there are no candidates", "take the row out", problems
        )
        if other is None:
            labels = _marked(reading, piece, column, words, lengths)
            again = partial(_unmarked_again, read, piece)
            ids = _unmarked(words)
        else:
            ids = words
            told = next(attrs.evolve(other, frame=piece).pieces(problems), None)
            label_lists = beside == columns.get("labels")
            labels = None
            if told is not None and label_lists:
                labels = _label_lists(reading, piece, other.column, lengths, told[1], told[2])
            elif told is not None:
                labels = _clicked(reading, piece, other.column, ids, lengths, told[1], told[2])
            again = partial(ids_again, read, piece)
        if labels is not None:
            values.add(reading.rows_of(piece, column, ids, again))
            every.add(lengths)
            flags.add(labels)
        elif reading.of_column(frame):
            break
    if len(problems) > before:
        return None
    return rows_of(values.array(), every.array()), flags.array()


def _marked(
    reading: Reading, frame: Frame, column: str, ids: pa.Array, lengths: NDArray[np.int64]
) -> NDArray[np.int8] | None:
    """The labels of ids that end with -1 or -0."""
    marked = flat(pc.match_substring_regex(ids, r"^.+-[01]$"))
    wrong = np.zeros(len(lengths), bool)
    wrong[np.repeat(np.arange(len(lengths)), lengths)[~marked]] = True
    role = f"{reading.spec.log_option}.labels"
    fix = f"name their column in columns={{{role!r}: 'COLUMN'}} or '….clicked', or write id-1 and id-0"
    frame.complain(wrong, column, lambda _: "the candidates have no labels", fix, reading.problems)
    return None if wrong.any() else flat(pc.ends_with(ids, "-1")).astype(np.int8)


def _unmarked(ids: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(ids, 0, -2)


def _unmarked_again(lists: IdLists, piece: Frame) -> tuple[pa.Array, NDArray[np.int64]]:
    ids, row = ids_again(lists, piece)
    return _unmarked(ids), row


def _label_lists(
    reading: Reading,
    frame: Frame,
    column: str,
    wanted: NDArray[np.int64],
    words: pa.Array,
    lengths: NDArray[np.int64],
) -> NDArray[np.int8] | None:
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
    reading: Reading,
    frame: Frame,
    column: str,
    ids: pa.Array,
    shown: NDArray[np.int64],
    words: pa.Array,
    lengths: NDArray[np.int64],
) -> NDArray[np.int8] | None:
    """The labels of ids, so many in each row, of which the words of the row were clicked."""
    codes = flat(pa.concat_arrays([ids, words]).dictionary_encode().indices).astype(np.int64)
    size = int(codes.max(initial=0)) + 1
    candidates = np.repeat(np.arange(len(shown)), shown) * size + codes[: len(ids)]
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
        return on_disk(count, np.int64, np.arange)
    read = impression_codes(reading, frame, column)
    if read is None:
        return None
    codes, whole = read
    ordered = sorted_rows({"code": codes}, ["code"])["code"]
    if any(
        (ordered[max(begin, 1) : end] == ordered[max(begin, 1) - 1 : end - 1]).any()
        for begin, end in blocks(count, MANY)
    ):
        ids = ids_of(frame, column, reading.problems)
        fix = "keep one row per impression; rows of one candidate each are rows=, not impressions="
        unique_ids(frame, column, ids, "impression", fix, reading.problems)
    return codes if whole else on_disk(count, np.int64, np.arange)
