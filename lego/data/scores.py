"""Files of scores, of any system: read, with all that is wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from lego.data.table import flat
from lego.errors import DataError, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

REQUIRED: Final = ("impression", "item", "label", "score")
OPTIONAL: Final = ("user", "history", "part")
"""What some protocols need: who the user is, how many items the history has, and which part the row is of."""

_HEADLINE: Final = "cannot read the scores"
_SHOWN: Final = 5


def read_scores(path: str | Path, required: Sequence[str] = REQUIRED) -> pa.Table:
    """The table of a Parquet, CSV or TSV file, or of a folder of them, checked.

    A folder holds what several processes scored: its files are read in the order of their names, as one table. An impression may
    stand in several of them.

    Columns `impression`, `item` (any ids), `label` (0 or 1) and `score` (a finite number), one row for each candidate; `user`,
    `history` (a number of items, or a list of them) and `part` where they are known. A column of labels without a single value
    says that they are not known, so that nothing can be measured. DataError with all that is wrong: columns
    that are missing or there twice, rows without a value, labels, scores and histories that are none, items that stand twice in
    an impression, impressions with two users, histories or parts.
    """
    file = Path(path)
    table, row_name = _pieces(file) if file.is_dir() else (_opened(file), _row_name)
    missing = [name for name in required if name not in table.column_names]
    if missing:
        what = f"there is no column {' and no '.join(missing)}; there are {', '.join(table.column_names)}"
        fix = f"give the columns {', '.join(required)}, and where known {', '.join(OPTIONAL)}"
        raise DataError([Problem(str(file), what, fix)], headline=_HEADLINE)
    names = [name for name in (*REQUIRED, *OPTIONAL) if name in table.column_names]
    twice = [name for name in names if table.column_names.count(name) > 1]
    if twice:
        what = f"the column {' and '.join(twice)} is there more than once"
        raise DataError([Problem(str(file), what, "keep one of them")], headline=_HEADLINE)
    table = pa.table({name: _plain(table[name]) for name in names})
    if not table.num_rows:
        raise DataError(
            [Problem(str(file), "has no rows", "score at least one candidate")], headline=_HEADLINE
        )
    problems = list(_problems(file, table, row_name))
    if problems:
        raise DataError(problems, headline=_HEADLINE)
    return table


def _row_name(row: int) -> str:
    return f"row {row}"


def _pieces(folder: Path) -> tuple[pa.Table, Callable[[int], str]]:
    """The tables of a folder's files as one, and what a row is called: by its file, and its place in it."""
    files = sorted(each for each in folder.iterdir() if each.suffix.lower() in _READERS)
    if not files:
        what = f"has no file that is {', '.join(_READERS)}"
        raise DataError([Problem(str(folder), what, "name a folder of score files")], headline=_HEADLINE)
    tables = [_opened(each) for each in files]
    columns = set(tables[0].column_names)
    other = [
        each.name for each, table in zip(files, tables, strict=True) if set(table.column_names) != columns
    ]
    if other:
        what = f"{', '.join(other[:_SHOWN])} and {files[0].name} have other columns"
        raise DataError([Problem(str(folder), what, "write all pieces alike")], headline=_HEADLINE)
    begins = np.cumsum([0, *(table.num_rows for table in tables)])

    def name(row: int) -> str:
        piece = int(np.searchsorted(begins, row, side="right")) - 1
        return f"{files[piece].name} row {row - int(begins[piece])}"

    try:
        return pa.concat_tables(tables, promote_options="permissive"), name
    except (pa.ArrowTypeError, pa.ArrowInvalid) as problem:
        what = f"its files have columns of other types: {problem}"
        raise DataError([Problem(str(folder), what, "write all pieces alike")], headline=_HEADLINE) from None


def _opened(file: Path) -> pa.Table:
    readers, kind = _READERS, file.suffix.lower()
    if kind not in readers:
        what = f"is no {', '.join(readers)}"
        raise DataError([Problem(str(file), what, "write the scores as Parquet or CSV")], headline=_HEADLINE)
    try:
        return readers[kind](file)
    except FileNotFoundError:
        fix = "name a file with the columns impression, user, item, label, score"
        raise DataError([Problem(str(file), "there is no such file", fix)], headline=_HEADLINE) from None
    except (pa.ArrowInvalid, OSError) as problem:
        fix = f"write it again as {file.suffix[1:]}"
        raise DataError([Problem(str(file), f"cannot be read: {problem}", fix)], headline=_HEADLINE) from None


def _tab_separated(file: Path) -> pa.Table:
    return pyarrow.csv.read_csv(file, parse_options=pyarrow.csv.ParseOptions(delimiter="\t"))


_READERS: Final[dict[str, Callable[[Path], pa.Table]]] = {
    ".parquet": pq.read_table,
    ".csv": pyarrow.csv.read_csv,
    ".tsv": _tab_separated,
}


def _problems(file: Path, table: pa.Table, row_name: Callable[[int], str]) -> Iterator[Problem]:
    """What is wrong, each with its first rows, which count from 0."""

    def refused(name: str, what: str, column: pa.ChunkedArray, bad: NDArray[np.bool_], fix: str) -> Problem:
        rows = np.flatnonzero(bad)
        shown = ", ".join(f"{row_name(int(row))}: {column[int(row)]}" for row in rows[:_SHOWN])
        more = ", …" if len(rows) > _SHOWN else ""
        return Problem(f"{file}, {name}", f"{len(rows)} of {len(bad)} {what} ({shown}{more})", fix)

    sound = set()
    for name in table.column_names:
        empty = flat(pc.is_null(table[name]))
        if name == "label" and empty.all():
            continue
        if empty.any():
            yield refused(name, "have no value", table[name], empty, "give every row a value")
        elif name in ("label", "score") and not _numeric(table[name].type):
            yield Problem(f"{file}, {name}", f"is of type {table[name].type}", "give numbers")
        elif name == "history" and not (_numeric(table[name].type) or _listed(table[name].type)):
            fix = "give the number of items, or in Parquet the list of them"
            yield Problem(f"{file}, {name}", f"is of type {table[name].type}", fix)
        elif name not in ("label", "score", "history") and pa.types.is_nested(table[name].type):
            yield Problem(f"{file}, {name}", f"is of type {table[name].type}", "give one value in each row")
        else:
            sound.add(name)
    if "score" in sound:
        infinite = ~np.isfinite(numbers(table["score"]).astype(np.float64))
        if infinite.any():
            fix = "score every candidate with a finite number"
            yield refused("score", "are not finite", table["score"], infinite, fix)
    if "label" in sound:
        labels = numbers(table["label"])
        wrong = (labels != 0) & (labels != 1)
        if wrong.any():
            fix = "give 1 for a click and 0 for none"
            yield refused("label", "are neither 0 nor 1", table["label"], wrong, fix)
    if "history" in sound and not _listed(table["history"].type):
        counts = numbers(table["history"])
        # Not a number compares as unequal to its floor as well.
        wrong = (counts < 0) | (counts != np.floor(counts))
        if wrong.any():
            sound.remove("history")
            fix = "give the number of items, or in Parquet the list of them"
            yield refused("history", "are no number of items", table["history"], wrong, fix)
    if "impression" not in sound:
        return
    impression = codes(table["impression"])
    if "item" in sound:
        item = codes(table["item"])
        pair = impression * (int(item.max()) + 1) + item
        order = np.argsort(pair, kind="stable")
        again = np.zeros(len(pair), np.bool_)
        again[order[1:]] = pair[order[1:]] == pair[order[:-1]]
        if again.any():
            shown = [
                f"{row_name(int(row))}: impression {table['impression'][int(row)]}, item {table['item'][int(row)]}"
                for row in np.flatnonzero(again)[:_SHOWN]
            ]
            repeats = "1 row repeats" if again.sum() == 1 else f"{again.sum()} rows repeat"
            what = f"{repeats} an item of the impression ({'; '.join(shown)})"
            yield Problem(str(file), what, "give each candidate of an impression one row")
    for name in OPTIONAL:
        if name in sound:
            values = lengths(table[name]) if name == "history" else codes(table[name])
            first = np.full(int(impression.max()) + 1, -1, np.int64)
            first[impression[::-1]] = values[::-1]
            other = values != first[impression]
            if other.any():
                fix = "give the impressions ids that are unique over all users"
                what = f"differ from the {name} of the first row of their impression"
                yield refused(name, what, table[name], other, fix)


def _numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _listed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values where they are coded as categories, or held as views, which few functions of Arrow read."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of numbers; True counts 1."""
    values = flat(column)
    return values.astype(np.int8) if values.dtype == np.bool_ else values


def codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Whole numbers for the ids of a column, counted from 0 in the order of first mention."""
    return flat(pc.index_in(column, pc.unique(column))).astype(np.int64)


def lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Whole numbers, or how long each list is."""
    if _listed(column.type):
        return flat(pc.list_value_length(column)).astype(np.int64)
    return flat(column).astype(np.int64)
