"""The tables every source gives, as Arrow schemas: items, users, impressions.

    items         item_id string, then one column per attribute:
                  string is text, dictionary<string> a category, list<string> several values, double a number
    users         user_id string, history list<int32> (item rows, oldest first), times list<int64> (unix seconds, may be
                  left out), then one column per attribute, as items have them; a column of list<float> is a signal of the
                  clicks: a number for each item of the history (how long it was read)
    impressions   impression int64, user int32, start int32, stop int32, time int64 (unix seconds, may be left out),
    per part      candidates list<int32> (item rows), labels list<int8>, then one column per attribute of the impression
                  (device, hour), as items have them; a column of list<float> is a signal of the candidates (position)

A null is a missing value, also inside a list of numbers. All parts have the same attributes and signals.

Item row r is the r-th row of items, counted from 1: row 0 is never an item. User rows count from 0. The history of an
impression is `history[start:stop]` of its user. A user whose histories differ between parts is one row of users per part,
unless one is a prefix of the other, so a user id may stand in several rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.problems import LIMIT, Problems
from lego.data.raw.growing import MANY, Growing, blocks, on_disk, one_array, row_stretches, rows_of
from lego.data.raw.order import sorted_rows
from lego.data.raw.spool import spooled
from lego.errors import Problem, did_you_mean
from lego.ragged import Ragged

PARTS = ("train", "dev", "test")

TEXT = pa.string()
CATEGORY = pa.dictionary(pa.int32(), pa.string())
LIST = pa.list_(pa.string())
NUMBER = pa.float64()
KINDS: Mapping[str, pa.DataType] = {"text": TEXT, "category": CATEGORY, "list": LIST, "number": NUMBER}
"""What an attribute of an item or a user can be, and its column type. A null is a missing value, in each kind."""

SIGNAL = pa.list_(pa.float32())
"""The column type of numbers that stand beside the items of a history, or beside candidates."""

PAST = ("past_shown", "past_clicks", "past_rate", "past_age")
"""Numbers beside candidates that are counted when they are asked for (`lego.data.past`), so that no column has such a name."""

USERS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("history", pa.list_(pa.int32()), nullable=False),
        pa.field("times", pa.list_(pa.int64())),
    ]
)
IMPRESSIONS = pa.schema(
    [
        pa.field("impression", pa.int64(), nullable=False),
        pa.field("user", pa.int32(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("stop", pa.int32(), nullable=False),
        pa.field("time", pa.int64()),
        pa.field("candidates", pa.list_(pa.int32()), nullable=False),
        pa.field("labels", pa.list_(pa.int8()), nullable=False),
    ]
)

_ROWS = 1 << 17
"""Impressions that are looked at at a time."""
_REPAIR = "this is an error of the source that made the table: repair it there"


def flat(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """A column without nulls as numpy; numbers in one piece are not copied."""
    if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1:
        column = column.chunk(0)
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if number and isinstance(column, pa.Array) and not column.null_count and len(column):
        # pyarrow's own way does the same, and reads pandas for it the first time, where that is installed.
        dtype = np.dtype(kind.to_pandas_dtype())
        data = column.buffers()[1]
        found: NDArray[Any] = np.frombuffer(data, dtype, len(column), column.offset * dtype.itemsize)
        found.flags.writeable = False
        return found
    return np.asarray(
        column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
    )


def ragged(column: pa.ChunkedArray | pa.Array) -> Ragged:
    """A column of lists; a null is an empty row. One piece with 64-bit offsets is not copied."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if len(chunks) == 1 and pa.types.is_large_list(column.type) and not column.null_count:
        offsets = flat(chunks[0].offsets)
        if len(offsets) and offsets[0] == 0:
            return Ragged(flat(chunks[0].values)[: offsets[-1]], offsets)
    dtype = column.type.value_type.to_pandas_dtype()
    lengths = Growing(np.int64)
    values = []
    for chunk in chunks:
        for begin, end in blocks(len(chunk), MANY):
            piece = chunk.slice(begin, end - begin)
            lengths.add(flat(pc.fill_null(pc.list_value_length(piece), 0)))
        values.append(_numbers(chunk.flatten(), dtype))
    filled = [each for each in values if len(each)] or [np.empty(0, dtype)]
    return rows_of(one_array(filled), lengths.array())


def _numbers(values: pa.Array, dtype: type) -> NDArray[Any]:
    """The values of lists; NaN where one is missing, which is made on disk where they are many."""
    if not values.null_count:
        return flat(values).astype(dtype, copy=False)
    return on_disk(len(values), dtype, lambda begin, end: flat(values.slice(begin, end - begin)))


def lists(rows: Ragged, value_type: pa.DataType, limit: int = 2**31 - 1) -> pa.ChunkedArray:
    """The column of lists of a `Ragged`; a chunk holds at most `limit` values, what 32-bit offsets can count."""
    chunks: list[pa.Array] = []
    first = 0
    while first < len(rows) or not chunks:
        last = int(np.searchsorted(rows.offsets, rows.offsets[first] + limit, "right")) - 1
        last = min(max(last, first + 1), len(rows))
        begin, end = rows.offsets[first], rows.offsets[last]
        bounds = rows.offsets[first : last + 1]
        offsets = pa.array(on_disk(len(bounds), np.int32, partial(_from_first, bounds)))
        chunks.append(
            pa.ListArray.from_arrays(offsets, pa.array(np.asarray(rows.values[begin:end]), type=value_type))
        )
        first = last
    return pa.chunked_array(chunks)


def _from_first(bounds: NDArray[np.int64], begin: int, end: int) -> NDArray[np.int64]:
    """Some of the bounds, counted from the first of all."""
    return bounds[begin:end] - bounds[0]


def signal(rows: Ragged) -> pa.ChunkedArray:
    """The column of numbers that stand beside the items of lists; NaN, which is a missing one, becomes null."""
    schema = pa.schema([("signal", SIGNAL)])

    def pieces() -> Iterator[pa.RecordBatch]:
        for begin, end in row_stretches(rows.offsets):
            bounds = rows.offsets[begin : end + 1]
            some = Ragged(rows.values[bounds[0] : bounds[-1]], bounds - bounds[0])
            for chunk in _signal(some).chunks:
                yield pa.RecordBatch.from_arrays([chunk], schema=schema)

    return spooled(pieces(), schema)["signal"] if len(rows) + len(rows.values) > MANY else _signal(rows)


def _signal(rows: Ragged) -> pa.ChunkedArray:
    column = lists(Ragged(np.asarray(rows.values, np.float32), rows.offsets), pa.float32())
    chunks = [
        pa.ListArray.from_arrays(chunk.offsets, pc.if_else(pc.is_nan(chunk.values), None, chunk.values))
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, SIGNAL)


def kind_of(column: pa.DataType) -> str | None:
    """`text`, `category`, `list` or `number`; None where no attribute has this type."""
    return next((kind for kind, each in KINDS.items() if each == column), None)


@attrs.frozen(eq=False, kw_only=True)
class Tables:
    """What a source made of its raw files."""

    items: pa.Table
    users: pa.Table
    impressions: Mapping[str, pa.Table]
    dropped: Mapping[str, int] = attrs.field(factory=dict)
    """What was left out, and how much of it."""
    rules: Mapping[str, Any] = attrs.field(factory=dict)
    """How the tables were made, where the raw files leave it open; goes into the manifest."""
    origins: pa.Table | None = None
    """Where generated values come from (`lego.data.origin.ORIGINS`); None where nothing is. Generated items stand last."""
    base: str | None = None
    """The fingerprint of the data that these only add to: parts, impressions and candidates are those; None for others."""
    unlabeled: tuple[str, ...] = ()
    """Parts whose labels are not known, as those of a challenge; they are 0 there, and mean nothing."""

    @property
    def attributes(self) -> dict[str, str]:
        """Attribute name → `text`, `category`, `list` or `number`, in the order of the columns."""
        return _kinds(self.items, ("item_id",))

    @property
    def user_attributes(self) -> dict[str, str]:
        """The same of users."""
        return _kinds(self.users, USERS.names)

    @property
    def impression_attributes(self) -> dict[str, str]:
        """The same of impressions: what is known of each beside user, candidates and time."""
        return _kinds(next(iter(self.impressions.values()), IMPRESSIONS), IMPRESSIONS.names)

    @property
    def history_signals(self) -> list[str]:
        """Columns of numbers beside the items of a history, in their order."""
        return signals_in(self.users.schema)

    @property
    def candidate_signals(self) -> list[str]:
        """Columns of numbers beside the candidates."""
        return signals_in(getattr(next(iter(self.impressions.values()), None), "schema", IMPRESSIONS))

    def check(self) -> Tables:
        """Itself; DataError with up to 20 problems where the tables break a rule of this module."""
        problems = Problems()
        _check_names(self, problems)
        problems.raise_any()
        _check_columns(self, problems)
        problems.raise_any()  # wrong columns make all that follows meaningless
        _check_nulls(self, problems)
        problems.raise_any()
        _check_items(self.items, problems)
        history, times = ragged(self.users["history"]), None
        _rows_exist("users row", "history", history, self.items.num_rows, problems)
        if "times" in self.users.column_names:
            times = ragged(self.users["times"])
            if not _check_times(history, times, problems):
                times = None
        for name in self.history_signals:
            _check_signal("users", name, self.users[name], history, "history", problems)
        for part, table in self.impressions.items():
            if (
                part not in self.unlabeled
            ):  # rows of a ranking to hand in may share a number, and are told apart by their order
                _check_numbered_once(part, table["impression"], problems)
            for begin, end in blocks(table.num_rows, _ROWS):
                piece = table.slice(begin, end - begin)
                _check_impressions(part, piece, begin, history, times, self.items.num_rows, problems)
        problems.raise_any()
        return self


def _kinds(table: pa.Table | pa.Schema, others: Sequence[str]) -> dict[str, str]:
    schema = table if isinstance(table, pa.Schema) else table.schema
    return {
        field.name: kind_of(field.type) or ""
        for field in schema
        if field.name not in others and field.type != SIGNAL
    }


def signals_in(schema: pa.Schema) -> list[str]:
    """The columns that hold a number for each item of a list."""
    return [field.name for field in schema if field.type == SIGNAL]


# --- columns and types --------------------------------------------------------------------------------------------------------


def _check_names(tables: Tables, problems: Problems) -> None:
    for name, table in (("items", tables.items), ("users", tables.users), *tables.impressions.items()):
        for column in sorted({each for each in table.column_names if table.column_names.count(each) > 1}):
            problems.add(f"{name}.{column}", "is there more than once", "give each column a name of its own")


def _check_columns(tables: Tables, problems: Problems) -> None:
    for part in tables.impressions:
        if part not in PARTS:
            problems.add(
                f"impressions[{part!r}]",
                f"unknown part. {did_you_mean(part, PARTS)}".strip(),
                f"the parts are {', '.join(PARTS)}",
            )
    schema = tables.items.schema
    if "item_id" not in schema.names:
        problems.add("items", f"the column item_id is missing; there are {', '.join(schema.names)}", _REPAIR)
    elif schema.field("item_id").type != TEXT:
        problems.add("items.item_id", f"is {schema.field('item_id').type}", "make it string")
    _check_attributes("items", tables.items, ("item_id",), problems)
    _check_schema("users", tables.users, USERS, problems)
    _check_attributes("users", tables.users, USERS.names, problems)
    for part, table in tables.impressions.items():
        _check_schema(part, table, IMPRESSIONS, problems)
        _check_attributes(part, table, IMPRESSIONS.names, problems)
    _check_alike(tables.impressions, problems)
    for name in tables.candidate_signals:
        if name.partition("@")[0] in PAST:
            what = "is the name of what is counted from the log itself"
            problems.add(f"impressions.{name}", what, "give the column another name")


def _check_alike(parts: Mapping[str, pa.Table], problems: Problems) -> None:
    """All parts have the same attributes and signals."""
    told = {
        part: {field.name: field.type for field in table.schema if field.name not in IMPRESSIONS.names}
        for part, table in parts.items()
    }
    first = next(iter(told), None)
    for part, columns in told.items():
        if first is not None and columns != told[first]:
            odd = sorted(name for name in columns | told[first] if columns.get(name) != told[first].get(name))
            problems.add(
                part,
                f"has other attributes or signals than {first}: {', '.join(odd)}",
                "give each part the same columns of the same types, null where a value is missing",
            )


def _check_attributes(name: str, table: pa.Table, others: Sequence[str], problems: Problems) -> None:
    signals = (
        "" if name == "items" else ", or list<float> (a number for each item of the list it stands beside)"
    )
    for field in table.schema:
        if field.name in others or (signals and field.type == SIGNAL):
            continue
        if kind_of(field.type) is None:
            known = [each for each in others if each not in table.column_names]
            hint = did_you_mean(field.name, known)
            problems.add(
                f"{name}.{field.name}",
                f"is {field.type}, which no attribute can be. {hint}".strip(),
                "make it string (text), dictionary<int32, string> (a category), list<string> (several values) "
                f"or double (a number){signals}",
            )


def _check_schema(name: str, table: pa.Table, wanted: pa.Schema, problems: Problems) -> None:
    for field in wanted:
        if field.name not in table.column_names:
            if not field.nullable:
                there = ", ".join(table.column_names) or "none"
                problems.add(
                    name, f"the column {field.name} is missing; there are {there}", f"add it as {field.type}"
                )
        elif table.schema.field(field.name).type != field.type:
            problems.add(
                f"{name}.{field.name}", f"is {table.schema.field(field.name).type}", f"make it {field.type}"
            )


def _check_nulls(tables: Tables, problems: Problems) -> None:
    for name, table, wanted in (
        ("items", tables.items, pa.schema([pa.field("item_id", TEXT, nullable=False)])),
        ("users", tables.users, USERS),
        *((part, table, IMPRESSIONS) for part, table in tables.impressions.items()),
    ):
        first = 1 if name == "items" else 0
        for field in wanted:
            if field.name not in table.column_names:
                continue
            column = table[field.name]
            if not field.nullable and column.null_count:
                rows = np.flatnonzero(flat(column.is_null()))
                _each(rows + first, problems, f"{name} row {{}}".format, f"{field.name} is null".format)
            if pa.types.is_list(field.type) and any(chunk.flatten().null_count for chunk in column.chunks):
                problems.add(f"{name}.{field.name}", "a list holds a null", _REPAIR)
    _check_numbers("items", tables.items, 1, problems)
    _check_numbers("users", tables.users, 0, problems)
    for part, table in tables.impressions.items():
        _check_numbers(part, table, 0, problems)


def _check_numbers(name: str, table: pa.Table, first: int, problems: Problems) -> None:
    """A missing number is a null; no number is infinite."""
    for field in table.schema:
        if kind_of(field.type) == "number":
            column, found = table[field.name], [np.empty(0, np.int64)]
            for begin, end in blocks(len(column), MANY):
                wrong = pc.invert(
                    pc.fill_null(pc.is_finite(column.slice(begin, end - begin)), fill_value=True)
                )
                found.append(begin + np.flatnonzero(flat(wrong)))
            _each(
                np.concatenate(found) + first,
                problems,
                f"{name} row {{}}".format,
                f"{field.name} is not a finite number".format,
                "make it a number, or null where it is missing",
            )


# --- values -------------------------------------------------------------------------------------------------------------------


def _each(
    rows: NDArray[Any],
    problems: Problems,
    where: Callable[[int], str],
    what: Callable[[int], str],
    fix: str = _REPAIR,
) -> None:
    """One problem per row; those behind the limit are counted without being worded."""
    problems.add_each(len(rows), lambda place: Problem(where(int(rows[place])), what(int(rows[place])), fix))


def _check_items(items: pa.Table, problems: Problems) -> None:
    ids = items["item_id"]
    empty = np.flatnonzero(flat(pc.equal(ids, "")))
    _each(
        empty, problems, lambda r: f"items row {r + 1}", lambda _: "item_id is empty", "give the item an id"
    )
    codes = ids.combine_chunks().dictionary_encode()
    codes = flat((codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes).indices)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    rows = np.flatnonzero(first[inverse] != np.arange(len(codes)))
    _each(
        rows,
        problems,
        lambda r: f"items row {r + 1}",
        lambda r: f"item_id {ids[r].as_py()!r} is already that of row {first[inverse[r]] + 1}",
        "keep one row per item",
    )


def _rows_exist(
    where: str, column: str, rows: Ragged, items: int, problems: Problems, before: int = 0
) -> None:
    """Every value of the lists is an item row, 1 … items."""
    wrong = _outside(rows.values, 1, items)
    if not len(wrong):
        return
    owner = np.searchsorted(rows.offsets, wrong, "right") - 1

    def what(position: int) -> str:
        value = int(rows.values[wrong[position]])
        if value == 0:
            return f"{column} holds row 0, which is never an item"
        return f"{column} holds item row {value}, but the rows of items are 1 … {items}"

    _each(np.arange(len(wrong)), problems, lambda p: f"{where} {before + owner[p]}", what)


def _outside(values: NDArray[Any], low: int, high: int) -> NDArray[np.int64]:
    """Where whole numbers are below or above these."""
    found = [np.empty(0, np.int64)]
    for begin, end in blocks(len(values), MANY):
        piece = values[begin:end]
        if piece.min() < low or piece.max() > high:
            found.append(np.flatnonzero((piece < low) | (piece > high)) + begin)
    return np.concatenate(found)


def _check_signal(
    where: str,
    name: str,
    column: pa.ChunkedArray,
    beside: Ragged,
    of: str,
    problems: Problems,
    before: int = 0,
) -> None:
    """A number, or a null, for each item."""
    lengths = flat(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    uneven = np.flatnonzero(lengths != beside.lengths)
    _each(
        uneven,
        problems,
        lambda r: f"{where} row {before + r}",
        lambda r: f"{lengths[r]} values of {name} for {beside.lengths[r]} items of {of}",
        "give one value for each, null where it is missing",
    )
    values = [flat(chunk.flatten()) for chunk in column.chunks]
    if any(np.isinf(each[low:high]).any() for each in values for low, high in blocks(len(each), MANY)):
        problems.add(
            f"{where}.{name}", "holds an infinite number", "make it a number, or null where it is missing"
        )


def _check_times(history: Ragged, times: Ragged, problems: Problems) -> bool:
    """Whether times and histories fit, so that positions in one are positions in the other."""
    uneven = np.flatnonzero(history.lengths != times.lengths)
    _each(
        uneven,
        problems,
        lambda r: f"users row {r}",
        lambda r: f"{times.lengths[r]} times for a history of {history.lengths[r]}",
        "give one time per item of the history, or leave times out",
    )
    if len(uneven):
        return False
    found, begins = [np.empty(0, np.int64)], times.offsets[:-1][times.lengths > 0]
    for begin, end in blocks(len(times.values) - 1, MANY):
        earlier = begin + 1 + np.flatnonzero(np.diff(times.values[begin : end + 1]) < 0)
        first, last = np.searchsorted(begins, (begin + 1, end + 1))
        found.append(earlier[~np.isin(earlier, begins[first:last])])
    back = np.concatenate(found)
    owner = np.unique(np.searchsorted(times.offsets, back, "right") - 1)
    _each(
        owner,
        problems,
        lambda r: f"users row {r}",
        lambda _: "the history is not in time order",
        "put the oldest first",
    )
    return True


def _check_numbered_once(part: str, column: pa.ChunkedArray, problems: Problems) -> None:
    """No two impressions of a part have the same number."""
    ids, before = flat(column), -1
    for begin, end in blocks(len(ids), MANY):
        if (ids[begin] <= before and begin) or (np.diff(ids[begin:end]) <= 0).any():
            break
        before = int(ids[end - 1])
    else:
        return
    rows = sorted_rows({"id": ids, "row": on_disk(len(ids), np.int64, np.arange)}, ["id"])
    again = [np.empty(0, np.int64)]
    for begin, end in blocks(len(ids) - 1, MANY):
        same = rows["id"][begin : end + 1]
        again.append(rows["row"][begin + 1 : end + 1][same[1:] == same[:-1]])
    _each(
        np.sort(np.concatenate(again)),
        problems,
        lambda r: f"{part} row {r}",
        lambda r: f"impression {ids[r]} stands in the part already",
        "number the impressions of a part",
    )


def _check_impressions(
    part: str,
    table: pa.Table,
    before: int,
    history: Ragged,
    times: Ragged | None,
    items: int,
    problems: Problems,
) -> None:
    """A stretch of a part, behind the `before` first rows of it."""

    def where(row: int) -> str:
        return f"{part} row {before + row}"

    for column, wrong, what, fix in _impression_rules(table, history, times):
        rows = np.flatnonzero(wrong)
        shown = flat(table[column])[rows[:LIMIT]] if column else rows[:LIMIT]
        sentences = dict(zip(rows.tolist(), map(what.format, shown.tolist()), strict=False))
        _each(rows, problems, where, sentences.__getitem__, fix)
    candidates, labels = ragged(table["candidates"]), ragged(table["labels"])
    _rows_exist(f"{part} row", "candidates", candidates, items, problems, before)
    for name in signals_in(table.schema):
        _check_signal(part, name, table[name], candidates, "candidates", problems, before)
    odd = np.unique(np.searchsorted(labels.offsets, _outside(labels.values, 0, 1), "right") - 1)
    _each(
        odd,
        problems,
        where,
        lambda r: f"labels {labels[r].tolist()[:10]} are not all 0 or 1",
        "1 is a click, 0 none",
    )
    uneven = np.flatnonzero(candidates.lengths != labels.lengths)
    _each(
        uneven,
        problems,
        where,
        lambda r: f"{labels.lengths[r]} labels for {candidates.lengths[r]} candidates",
        "give one label per candidate",
    )


def _impression_rules(
    table: pa.Table, history: Ragged, times: Ragged | None
) -> Iterator[tuple[str, NDArray[np.bool_], str, str]]:
    """The column that is shown, the rows that are wrong, the sentence, the way out."""
    user, start, stop = (flat(table[name]) for name in ("user", "start", "stop"))
    known = (user >= 0) & (user < len(history))
    yield "user", ~known, f"user row {{}}, but the rows of users are 0 … {len(history) - 1}", _REPAIR
    owner = np.where(known, user, 0)
    length = history.lengths[owner] if len(history) else np.zeros(len(owner), np.int64)
    outside = known & ((start < 0) | (start > stop) | (stop > length))
    fix = "0 <= start <= stop <= length of the user's history must hold"
    yield "stop", outside, "the extent that stops at {} is not inside the user's history", fix
    yield "", ragged(table["candidates"]).lengths == 0, "there are no candidates", "leave the impression out"
    if times is not None and "time" in table.column_names:
        seen = known & ~outside & (stop > start) & flat(table["time"].is_valid())
        last = times.offsets[owner] + np.maximum(stop, 1) - 1
        latest = np.full(len(owner), np.iinfo(np.int64).min)
        latest[seen] = times.values[last[seen]]
        late = seen & (latest > flat(pc.fill_null(table["time"], 0)))
        yield (
            "time",
            late,
            "the history reaches beyond the impression's time {}",
            "stop the history before the impression",
        )
