"""Items that are asked about: those of the catalog by id, and new ones from a file or a table, with rows behind the catalog's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.raw.guess import NAMES, plain
from lego.data.raw.read_frame import read_frame
from lego.data.store import Store
from lego.data.table import KINDS, flat
from lego.errors import DataError, Problem, did_you_mean

ID = "item_id"
LIST_SIGN = "|"
"""What stands between the values of a list in a file of plain texts."""

Items = str | os.PathLike[str] | pa.Table | Sequence[Mapping[str, Any]]
"""A path (CSV, TSV, JSON lines, Parquet, Arrow), an Arrow table, a list of dicts; also a data frame of pandas or polars."""

_JSON = {".json", ".jsonl", ".ndjson"}
"""Read by Python: Arrow would take a text such as 2001-01-01 for a date."""
_SHOWN = 20
"""Ids that an error lists."""
_ALIKE = 5_000
"""Ids that a wrong one is compared with."""


@attrs.frozen(eq=False, kw_only=True)
class Asked:
    """The candidates of a call, as rows: r up to `store.item_count` is the catalog's, those behind are the lines of `new`."""

    store: Store
    new: pa.Table
    """item_id and attributes, of the kinds that the store has them in; no lines where all items are the catalog's."""
    rows: NDArray[np.int64]
    """Ascending."""

    @property
    def count(self) -> int:
        """Items of the catalog."""
        return self.store.item_count

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of each id, new ones included. DataError that lists unknown ids, each with the nearest there is."""
        known = self.store.item_rows(list(ids)).astype(np.int64)
        if self.new.num_rows:
            place = pc.index_in(pa.array(ids, pa.string()), value_set=self.new[ID].combine_chunks())
            behind = flat(pc.fill_null(pc.add(place, self.count + 1), 0)).astype(np.int64)
            known = np.where(known > 0, known, behind)
        unknown = [each for each, row in zip(ids, known, strict=True) if row == 0]
        if unknown:
            raise DataError(list(self._unknown(unknown)), more=max(0, len(unknown) - _SHOWN))
        return known

    def _unknown(self, unknown: list[str]) -> Iterator[Problem]:
        among = pa.chunked_array([self.store.item_ids, *self.new[ID].chunks])
        for each in unknown[:_SHOWN]:
            fix = f"{nearest(each, among)}give ids of the catalog, or new items with their text beside it"
            yield Problem(f"history, item {each!r}", "no item has this id", fix)

    def column(self, name: str, rows: NDArray[np.int64]) -> pa.Array:
        """The values of a column at these rows; null where the new items lack the column."""
        old = self.store.items[name]
        kind = old.type
        more = self.new[name] if name in self.new.column_names else pa.nulls(self.new.num_rows, kind)
        is_new = rows > self.count
        values = pa.chunked_array(
            [
                _one(old.take(pa.array(rows[~is_new] - 1))),
                _one(more.take(pa.array(rows[is_new] - self.count - 1))),
            ],
            kind,
        )
        order = np.empty(len(rows), np.int64)
        order[np.concatenate([np.flatnonzero(~is_new), np.flatnonzero(is_new)])] = np.arange(len(rows))
        return _one(values.take(pa.array(order)))


def asked(store: Store, items: Any, wanted: Iterable[str]) -> Asked:
    """All items of the catalog but generated ones where `items` is None; else those of a file or table, of which some may be new.

    `wanted` are the attributes that the model reads: a table with new items must have them. What it says about an item of the
    catalog is not read. DataError with all that is wrong.
    """
    if items is None:
        rows = np.arange(1, store.real_items + 1, dtype=np.int64)
        return Asked(store=store, new=store.items.slice(0, 0), rows=rows)
    table, name = _read(items)
    table = _named(table)
    problems = Problems()
    ids = _ids(table, name, problems)
    problems.raise_any()
    known = store.item_rows(ids).astype(np.int64)
    lines = np.flatnonzero(known == 0)
    columns: dict[str, Any] = {ID: pa.chunked_array([ids]).take(pa.array(lines))}
    kinds = store.attributes
    if len(lines):
        there = [column for column in table.column_names if column != ID]
        for attribute in dict.fromkeys(wanted):
            if attribute not in there:
                what = f"there is no column {attribute!r}, which this run reads; there are {', '.join(there) or 'none'}"
                problems.add(
                    name, what, f"{did_you_mean(attribute, there)}add the column; a value may be empty"
                )
        for attribute, kind in kinds.items():
            if attribute in there:
                column = table[attribute].take(pa.array(lines))
                columns[attribute] = _as_kind(column, kind, f"{name}, column {attribute}", problems)
        problems.raise_any()
    rows = np.concatenate([np.sort(known[known > 0]), store.item_count + 1 + np.arange(len(lines))])
    return Asked(store=store, new=pa.table(columns), rows=rows)


def nearest(wrong: str, among: pa.ChunkedArray) -> str:
    """`Near it: 'a', 'b'. `, or nothing. Compared with a few thousand ids that begin or end alike, however many there are."""
    size = max(1, len(wrong) // 2)
    alike = pc.or_(pc.starts_with(among, wrong[:size]), pc.ends_with(among, wrong[-size:]))
    pool = among.filter(alike).slice(0, _ALIKE).to_pylist() or among.slice(0, _ALIKE).to_pylist()
    found = get_close_matches(wrong, pool, n=3)
    return f"Near it: {', '.join(map(repr, found))}. " if found else ""


# --- reading ------------------------------------------------------------------------------------------------------------------


def _read(items: Any) -> tuple[pa.Table, str]:
    """The table, and what an error calls it."""
    if isinstance(items, str | os.PathLike):
        path = Path(items).expanduser()
        return _read_file(path), path.name
    if isinstance(items, pa.Table):
        return items, "items"
    if hasattr(items, "__arrow_c_stream__"):  # data frames of polars, and of pandas from 2.2 on
        return pa.table(items), "items"
    if type(items).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(items, preserve_index=False), "items"
    if isinstance(items, Sequence) and all(isinstance(each, Mapping) for each in items):
        return _of_records(items), "items"
    what = f"is a {type(items).__name__}"
    raise DataError([Problem("items", what, "give a path, an Arrow table, a data frame, or a list of dicts")])


def _read_file(path: Path) -> pa.Table:
    if path.suffix.lower() in _JSON and path.is_file():
        try:
            return _json_lines(path)
        except (UnicodeDecodeError, OSError) as problem:
            what = f"it cannot be read: {problem}"
            raise DataError([Problem(str(path), what, "write the file again, as UTF-8")]) from None
    problems = Problems()
    frame = read_frame(path, "items", problems)
    problems.raise_any()
    assert frame is not None  # it is None only where there is a problem
    return _without_empty(frame.table) if frame.format == "csv" else frame.table


def _without_empty(table: pa.Table) -> pa.Table:
    """The texts of a CSV, where an empty one is no value."""
    none = pa.scalar(None, pa.string())
    columns = [pc.if_else(pc.equal(table[name], ""), none, table[name]) for name in table.column_names]
    return pa.table(dict(zip(table.column_names, columns, strict=True)))


def _json_lines(path: Path) -> pa.Table:
    """An object a line, or one array of objects. Values stay what they are: no text is taken for a date."""
    text = path.read_text(encoding="utf-8-sig")
    problems = Problems()
    records: list[Any] = []
    if text.lstrip().startswith("["):
        try:
            records = json.loads(text)
        except ValueError as problem:
            problems.add(str(path), f"it is no JSON: {problem}", "write the file again")
    else:
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                records.append(json.loads(line))
            except ValueError as problem:
                problems.add(
                    f"{path.name} line {number}", f"it is no JSON: {problem}", "write one object a line"
                )
    problems.raise_any()
    wrong = next((place for place, each in enumerate(records, 1) if not isinstance(each, dict)), None)
    if wrong is not None:
        problems.add(f"{path.name}, entry {wrong}", "it is no object", 'write {"item_id": …, "title": …}')
        problems.raise_any()
    return _of_records(records)


def _of_records(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = dict.fromkeys(str(name) for each in records for name in each)
    return pa.table({name: _of_values([each.get(name) for each in records]) for name in names})


def _of_values(values: list[Any]) -> pa.Array:
    """Lists stay lists, all else becomes text; numbers that are ids are read as they are written."""
    if any(isinstance(each, list | tuple) for each in values):
        lists = [
            None
            if each is None
            else [str(one) for one in each]
            if isinstance(each, list | tuple)
            else [str(each)]
            for each in values
        ]
        return pa.array(lists, pa.list_(pa.string()))
    return pa.array([None if each is None else str(each) for each in values], pa.string())


def _named(table: pa.Table) -> pa.Table:
    """The table with its ids under their name, where they stand under another that `Tables` would know them by."""
    tiers = (*NAMES["item"], ("id",))
    known = [each for tier in tiers for each in table.column_names if plain(each) in tier]
    if ID in table.column_names or not known:
        return table
    return table.rename_columns([ID if each == known[0] else each for each in table.column_names])


def _ids(table: pa.Table, name: str, problems: Problems) -> pa.Array:
    if not table.num_rows:
        problems.add(name, "it holds no item", "give a line for each item, or leave items out")
        return pa.array([], pa.string())
    if ID not in table.column_names:
        there = ", ".join(table.column_names) or "none"
        problems.add(
            name,
            f"there is no column {ID}; there are {there}",
            f"{did_you_mean(ID, table.column_names)}give each item an id",
        )
        return pa.array([], pa.string())
    try:
        ids = _one(table[ID].cast(pa.string()))
    except pa.ArrowException:
        problems.add(name, f"{ID} is {table[ID].type}", "make it a text or a whole number")
        return pa.array([], pa.string())
    empty = np.flatnonzero(flat(pc.fill_null(pc.equal(ids, ""), fill_value=True)))
    for line in empty[:_SHOWN].tolist():
        problems.add(f"{name} item {line + 1}", f"{ID} is empty", "give the item an id")
    counts = pc.value_counts(ids)
    for each in (
        counts.field("values").filter(pc.greater(counts.field("counts"), 1)).slice(0, _SHOWN).to_pylist()
    ):
        problems.add(name, f"{ID} {each!r} stands in several lines", "keep one line per item")
    return ids


def _as_kind(column: pa.ChunkedArray, kind: str, where: str, problems: Problems) -> pa.ChunkedArray:
    """The column as prepared data has it; a text in place of a list is cut at each `|`."""
    given = column.type
    if pa.types.is_dictionary(given):
        column = column.cast(given.value_type)
        given = given.value_type
    is_list = pa.types.is_list(given) or pa.types.is_large_list(given)
    try:
        if kind == "list":
            if pa.types.is_null(given) or not is_list:
                column = pc.split_pattern(column.cast(pa.string()), LIST_SIGN)
            return column.cast(KINDS["list"])
        if is_list:
            problems.add(where, f"it holds lists, and {kind} is wanted", "give one value for each item")
            return column
        if kind == "category":
            return column.cast(pa.string()).dictionary_encode().cast(KINDS["category"])
        return column.cast(KINDS[kind])
    except pa.ArrowException as problem:
        problems.add(where, f"it cannot be read as {kind}: {problem}", "correct the values")
        return column


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    made = column.combine_chunks()
    if isinstance(made, pa.ChunkedArray):
        return pa.concat_arrays(made.chunks) if made.num_chunks else pa.array([], made.type)
    return made
