"""Files of scores: those of a run, or of any other system; read with all that is wrong in them, and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from lego.data.table import flat
from lego.errors import DataError, Problem
from lego.metric.protocol import Rows
from lego.runtime.folder import written_aside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store

REQUIRED: Final = ("impression", "item", "label", "score")
OPTIONAL: Final = ("user", "history", "part")
"""What some protocols need: who the user is, how many items the history has, and which part the row is of."""

_HEADLINE: Final = "cannot read the scores"
_SHOWN: Final = 5


def read_scores(path: str | Path) -> pa.Table:
    """The table of a Parquet, CSV or TSV file, checked.

    Columns `impression`, `item` (any ids), `label` (0 or 1) and `score` (a finite number), one row for each candidate; `user`,
    `history` (a number of items, or a list of them) and `part` where they are known. DataError with all that is wrong: columns
    that are missing, rows without a value, labels and scores that are none, items that stand twice in an impression, impressions
    with two users or histories.
    """
    file = Path(path)
    table = _opened(file)
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        what = f"there is no column {' and no '.join(missing)}; there are {', '.join(table.column_names)}"
        fix = f"give the columns {', '.join(REQUIRED)}, and where known {', '.join(OPTIONAL)}"
        raise DataError([Problem(str(file), what, fix)], headline=_HEADLINE)
    table = table.select([name for name in (*REQUIRED, *OPTIONAL) if name in table.column_names])
    if not table.num_rows:
        raise DataError(
            [Problem(str(file), "has no rows", "score at least one candidate")], headline=_HEADLINE
        )
    problems = list(_problems(file, table))
    if problems:
        raise DataError(problems, headline=_HEADLINE)
    return table


def rows_of_table(table: pa.Table) -> Rows:
    """Its rows, as protocols read them."""
    tested = None
    if "part" in table.column_names:
        tested = flat(pc.equal(table["part"].cast(pa.string()), "test"))
    return Rows(
        scores=_numbers(table["score"]),
        labels=_numbers(table["label"]),
        impression=_codes(table["impression"]),
        user=_codes(table["user"]) if "user" in table.column_names else None,
        history=_lengths(table["history"]) if "history" in table.column_names else None,
        tested=tested,
    )


def kept_scores(path: Path, impressions: Impressions) -> NDArray[np.float32] | None:
    """The scores of a part that a run kept, in the order of the part; None where there are none, or others."""
    if not path.exists():
        return None
    table = pq.read_table(path)
    counts = impressions.candidates.lengths
    same = table.num_rows == len(impressions.labels) and np.array_equal(
        flat(table["impression"]), np.repeat(impressions.impression, counts)
    )
    if not same or not np.array_equal(flat(table["label"]), impressions.labels):
        return None
    return flat(table["score"]).astype(np.float32)


def scores_table(
    store: Store, impressions: Impressions, scores: NDArray[np.float32], *, full: bool = False
) -> pa.Table:
    """impression, user, item, label, score, a row for each candidate; in full also history and, where known, time."""
    counts = impressions.candidates.lengths
    columns: dict[str, Any] = {
        "impression": np.repeat(impressions.impression, counts),
        "user": store.users.user_ids.take(pa.array(np.repeat(impressions.user, counts))),
        "item": store.items.column("item_id").take(pa.array(impressions.candidates.values - 1)),
        "label": impressions.labels.astype(np.int8),
        "score": scores,
    }
    if full:
        columns["history"] = np.repeat(np.maximum(impressions.stop - impressions.start, 0), counts)
        if impressions.time is not None:
            columns["time"] = np.repeat(impressions.time, counts)
    return pa.table(columns)


def write_table(path: Path, table: pa.Table) -> None:
    """A table as Parquet or, by the end of the name, CSV; whole or not at all."""
    with written_aside(path) as aside:
        if path.suffix == ".csv":
            pyarrow.csv.write_csv(table, aside)
        else:
            pq.write_table(table, aside, compression="zstd")


def write_submission(path: Path, impressions: Impressions, scores: NDArray[np.float32]) -> None:
    """A line for each impression in the form of the MIND challenge: `ID [rank,rank,…]`, in the order of the candidates.

    The best candidate has rank 1. A submission has no ties: of equal scores the earlier candidate stands first.
    """
    offsets, counts = impressions.candidates.offsets, impressions.candidates.lengths
    owner = np.repeat(np.arange(len(impressions)), counts)
    order = np.lexsort((-scores, owner))  # stable
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(len(scores)) - np.repeat(offsets[:-1], counts) + 1
    words = ranks.astype(str)
    lines = (
        f"{name} [{','.join(words[begin:end])}]\n"
        for name, begin, end in zip(impressions.impression, offsets[:-1], offsets[1:], strict=True)
    )
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


# --- reading ------------------------------------------------------------------------------------------------------------------


def _opened(file: Path) -> pa.Table:
    readers = {".parquet": pq.read_table, ".csv": pyarrow.csv.read_csv, ".tsv": _tab_separated}
    if file.suffix not in readers:
        what = f"is no {', '.join(readers)}"
        raise DataError([Problem(str(file), what, "write the scores as Parquet or CSV")], headline=_HEADLINE)
    try:
        return readers[file.suffix](file)
    except FileNotFoundError:
        fix = "name a file with the columns impression, user, item, label, score"
        raise DataError([Problem(str(file), "there is no such file", fix)], headline=_HEADLINE) from None
    except (pa.ArrowInvalid, OSError) as problem:
        fix = f"write it again as {file.suffix[1:]}"
        raise DataError([Problem(str(file), f"cannot be read: {problem}", fix)], headline=_HEADLINE) from None


def _tab_separated(file: Path) -> pa.Table:
    return pyarrow.csv.read_csv(file, parse_options=pyarrow.csv.ParseOptions(delimiter="\t"))


def _problems(file: Path, table: pa.Table) -> Iterator[Problem]:
    """What is wrong, each with its first rows, which count from 0."""
    sound = set()
    for name in table.column_names:
        empty = flat(pc.is_null(table[name]))
        if empty.any():
            yield _wrong(file, name, "have no value", table[name], empty, "give every row a value")
        elif name in ("label", "score") and not _numeric(table[name].type):
            yield Problem(f"{file}, {name}", f"is of type {table[name].type}", "give numbers")
        else:
            sound.add(name)
    if "score" in sound:
        infinite = ~np.isfinite(_numbers(table["score"]).astype(np.float64))
        if infinite.any():
            fix = "score every candidate with a finite number"
            yield _wrong(file, "score", "are not finite", table["score"], infinite, fix)
    if "label" in sound:
        labels = _numbers(table["label"])
        wrong = (labels != 0) & (labels != 1)
        if wrong.any():
            fix = "give 1 for a click and 0 for none"
            yield _wrong(file, "label", "are neither 0 nor 1", table["label"], wrong, fix)
    if "impression" not in sound:
        return
    impression = _codes(table["impression"])
    if "item" in sound:
        item = _codes(table["item"])
        pair = impression * (int(item.max()) + 1) + item
        order = np.argsort(pair, kind="stable")
        again = np.zeros(len(pair), np.bool_)
        again[order[1:]] = pair[order[1:]] == pair[order[:-1]]
        if again.any():
            shown = [
                f"row {row}: impression {table['impression'][int(row)]}, item {table['item'][int(row)]}"
                for row in np.flatnonzero(again)[:_SHOWN]
            ]
            what = f"{again.sum()} rows repeat an item of their impression ({'; '.join(shown)})"
            yield Problem(str(file), what, "give each candidate of an impression one row")
    for name in ("user", "history"):
        if name in sound:
            values = _codes(table[name]) if name == "user" else _lengths(table[name])
            first = np.full(int(impression.max()) + 1, -1, np.int64)
            first[impression[::-1]] = values[::-1]
            other = values != first[impression]
            if other.any():
                fix = "give the impressions ids that are unique over all users"
                what = f"differ from the {name} of the first row of their impression"
                yield _wrong(file, name, what, table[name], other, fix)


def _wrong(
    file: Path, name: str, what: str, column: pa.ChunkedArray, bad: NDArray[np.bool_], fix: str
) -> Problem:
    rows = np.flatnonzero(bad)
    shown = ", ".join(f"row {row}: {column[int(row)]}" for row in rows[:_SHOWN])
    more = ", …" if len(rows) > _SHOWN else ""
    return Problem(f"{file}, {name}", f"{len(rows)} of {len(bad)} {what} ({shown}{more})", fix)


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    values = flat(column)
    return values.astype(np.int8) if values.dtype == np.bool_ else values


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Whole numbers for the ids of a column, counted from 0 in the order of first mention."""
    return flat(pc.index_in(column, pc.unique(column))).astype(np.int64)


def _lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return flat(pc.list_value_length(column)).astype(np.int64)
    return flat(column).astype(np.int64)
