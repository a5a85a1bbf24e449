"""Vectors read, and words written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lego.errors import DataError, Problem

_FIX = "give Parquet with the columns item_id and vector, as `lego embed` and `lego export` write it"


def read_vectors(path: Path) -> tuple[pa.Array, NDArray[np.float32]]:
    """ids (N,) and vectors (N, W); DataError where the file is not of that shape."""
    table = _read(path, _FIX)
    absent = [name for name in ("item_id", "vector") if name not in table.column_names]
    if absent:
        what = f"it has no column {' and '.join(absent)}; there are {', '.join(table.column_names)}"
        raise DataError([Problem(str(path), what, _FIX)])
    column = table["vector"]
    widths = pc.unique(pc.list_value_length(column)) if _is_list(column.type) else pa.array([None])
    if not table.num_rows or len(widths) != 1 or not widths[0].as_py():
        raise DataError([Problem(f"{path}, column vector", "it does not hold vectors of one width", _FIX)])
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
    vectors = flat.astype(np.float32).reshape(table.num_rows, -1)
    if not np.isfinite(vectors).all():
        raise DataError(
            [Problem(f"{path}, column vector", "a value is not a finite number", "make the vectors anew")]
        )
    return table["item_id"].cast(pa.string()).combine_chunks(), vectors


def read_items(path: Path, column: str) -> pa.Table:
    """A table with item_id; DataError where it has none, or has the column already."""
    fix = "give a Parquet table of items with their item_id"
    table = _read(path, fix)
    if "item_id" not in table.column_names:
        what = f"it has no column item_id; there are {', '.join(table.column_names)}"
        raise DataError([Problem(str(path), what, fix)])
    if column in table.column_names:
        raise DataError(
            [Problem(str(path), f"it has a column {column} already", "name another with --column")]
        )
    return table


def with_words(ids: pa.Array, words: list[list[str]], items: pa.Table | None, column: str) -> pa.Table:
    """item_id and words; of a table of items all of its columns, null where an item has no vector."""
    made = pa.array(words, pa.list_(pa.string()))
    if items is None:
        return pa.table({"item_id": ids, column: made})
    place = pc.index_in(items["item_id"].cast(pa.string()), ids)
    return items.append_column(column, made.take(place.combine_chunks()))


def write(path: Path, table: pa.Table, column: str) -> int:
    """Writes aside and moves into place; gives how many items have no word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.aside")
    try:
        pq.write_table(table, aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return int(table[column].null_count)


def _read(path: Path, fix: str) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as problem:
        raise DataError(
            [Problem(str(path), f"it cannot be read: {' '.join(str(problem).split())}", fix)]
        ) from None


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
