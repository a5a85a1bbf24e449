"""Tables in memory, which are written to Parquet first, so that what is prepared of them has a file."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lego.data.table import PARTS
from lego.errors import SpecError
from lego.home import home
from lego.spec import Choice

KEPT = "tables"


def kept(value: Any, option: str) -> Any:
    """What a field of a spec holds: a path as text, or `{part: path}`.

    A table in memory (Arrow, pandas or whatever gives Arrow, a list of dicts, a dict of columns) is written to Parquet under
    LEGO_HOME, named by its content. SpecError where it is none of these.
    """
    if isinstance(value, Choice):
        return Choice(tuple(kept(each, option) for each in value.values), tied=value.tied)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping) and value and set(value) <= set(PARTS):
        return {part: kept(each, option) for part, each in value.items()}
    table = _as_table(value, option)
    return None if table is None else str(_written(table))


def _as_table(value: Any, option: str) -> pa.Table | None:
    pandas = sys.modules.get("pandas")  # who has a data frame has imported it
    try:
        if isinstance(value, pa.Table):
            return value
        if isinstance(value, pa.RecordBatch):
            return pa.Table.from_batches([value])
        if pandas is not None and isinstance(value, pandas.DataFrame):
            return pa.Table.from_pandas(value, preserve_index=False)
        if hasattr(value, "__arrow_c_stream__"):
            return pa.table(value)
        if isinstance(value, Mapping) and value and not any(isinstance(each, str) for each in value.values()):
            return pa.table({str(name): list(column) for name, column in value.items()})
        if isinstance(value, list | tuple) and value and all(isinstance(row, Mapping) for row in value):
            return pa.Table.from_pylist([dict(row) for row in value])
    except (pa.ArrowException, TypeError, ValueError) as failure:
        raise SpecError(
            f"Tables({option}=…): the table cannot be made Arrow: {failure}. Give each column values of one type."
        ) from failure
    kind = f"a {type(value).__name__}"
    if isinstance(value, Mapping):
        kind = f"a dict of {', '.join(map(str, value))}"
    raise SpecError(
        f"Tables({option}=…): {option} must be a path, a table of Arrow or pandas, a list of dicts, a dict of columns, "
        f"or a dict of parts ({', '.join(PARTS)}), was {kind}."
    )


def _written(table: pa.Table) -> Path:
    """The Parquet file of a table, named by its content."""
    plain = table.replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    path = home() / KEPT / f"{hashlib.sha256(sink.getvalue()).hexdigest()[:32]}.parquet"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(plain, aside, compression="zstd")
        aside.replace(path)
    return path
