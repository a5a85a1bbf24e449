"""Parquet files of a known layout, batch by batch: what is missing or of another type is named before anything is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.progress import count
from lego.data.raw.raw_file import BROKEN, RawFile, broken
from lego.data.table import flat
from lego.errors import Problem

_ROWS = 1 << 16
"""Rows that are read at a time."""
_BUFFER = 1 << 20
"""Bytes of a column that are read at a time: a file may be one group of rows, whose columns would each be read in one go."""
_SAME = "use the official file, or write the column as it has it"


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list of any sort."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_whole(kind: pa.DataType) -> bool:
    """Whether it holds whole numbers."""
    return bool(pa.types.is_integer(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether it holds numbers, or nothing."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def is_words(kind: pa.DataType) -> bool:
    """Whether it holds text, or nothing."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


_FITS: Mapping[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    "whole": (is_whole,),
    "number": (is_number,),
    "time": (pa.types.is_timestamp, pa.types.is_null),
    "text": (is_words,),
    "flag": (pa.types.is_boolean, pa.types.is_null),
    "value": (is_number, is_words),
}
"""What types a column can have that holds one value in each row, or one in each place of a list."""


@attrs.frozen
class Wanted:
    """A column: what it holds, and whether the file must have it."""

    kind: str
    """`whole`, `number`, `time`, `text`, `flag`; `wholes`, `numbers`, `times`, `texts` and `values` are lists."""
    needed: bool = True

    def fits(self, kind: pa.DataType) -> bool:
        """Whether a column of the type can hold it."""
        if self.kind in _FITS:
            return any(test(kind) for test in _FITS[self.kind])
        return is_list(kind) and any(test(kind.value_type) for test in _FITS[self.kind.removesuffix("s")])

    @property
    def expected(self) -> str:
        """In words."""
        words = {
            "whole": "whole numbers",
            "number": "numbers",
            "time": "times",
            "text": "text",
            "flag": "flags",
        }
        if self.kind in words:
            return words[self.kind]
        return f"lists of {words.get(self.kind.removesuffix('s'), 'values')}"


def batches(
    file: RawFile, columns: Mapping[str, Wanted], problems: Problems, rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The columns that are there, in their order, so many rows at a time; nothing where something is wrong, which is then
    among the problems.
    """
    try:
        with (
            file.seekable() as opened,
            pq.ParquetFile(opened, buffer_size=_BUFFER, pre_buffer=False) as parquet,
        ):
            schema = parquet.schema_arrow
            wrong = len(problems)
            for name, wanted in columns.items():
                if name not in schema.names:
                    if wanted.needed:
                        what = f"the column {name} is missing; there are {', '.join(schema.names)}"
                        problems.add(file.label, what, _SAME)
                elif not wanted.fits(schema.field(name).type):
                    what = f"{wanted.expected} are expected, this is {schema.field(name).type}"
                    problems.add(f"{file.label}, column {name}", what, _SAME)
            if parquet.metadata.num_rows == 0:
                problems.add(file.label, "holds no rows", "put the complete file in its place")
            if len(problems) > wrong:
                return
            there = [name for name in columns if name in schema.names]
            for batch in parquet.iter_batches(rows or _ROWS, columns=there):
                count(batch.num_rows)
                yield batch
    except pa.ArrowException as failure:
        what = f"is not a Parquet file that can be read: {failure}"
        problems.add(file.label, what, "download it again")
    except BROKEN as failure:
        broken(file, failure, problems)


def list_values(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """The values of all lists one after the other, and how many each has; a missing list has none."""
    lengths = flat(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    return column.flatten(), lengths


def seconds(values: pa.Array) -> pa.Array:
    """Unix seconds (int64) of times of any unit, rounded down; a null stays one."""
    micro = pc.cast(pc.cast(values, pa.timestamp("us"), safe=False), pa.int64())
    down = flat(pc.fill_null(micro, 0)) // 1_000_000
    return pa.array(down, pa.int64(), mask=flat(micro.is_null()))


def floats(values: pa.Array) -> NDArray[np.float32]:
    """Numbers, NaN where one is missing."""
    return np.asarray(
        pc.fill_null(pc.cast(values, pa.float32(), safe=False), float("nan")).to_numpy(zero_copy_only=False)
    )


def owners_of(lengths: NDArray[np.int64], wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which lists hold a value that is wrong."""
    result = np.zeros(len(lengths), bool)
    result[np.repeat(np.arange(len(lengths)), lengths)[wrong]] = True
    return result


def complain(
    file: RawFile, rows: NDArray[np.int64], column: str, what: Sequence[str] | str, problems: Problems
) -> None:
    """A problem for each of the rows, counted from 0 here and from 1 in the message; those behind the limit are counted."""

    def worded(place: int) -> Problem:
        where = f"{file.label} row {int(rows[place]) + 1}, column {column}"
        words = what if isinstance(what, str) else what[place]
        return Problem(where, words, "correct the value, or take the row out")

    problems.add_each(len(rows), worded)


def refuse_nulls(
    file: RawFile, batch: pa.RecordBatch, names: Sequence[str], base: int, problems: Problems
) -> None:
    """A problem for each row of the batch, which begins with row `base`, that has nothing in one of the columns."""
    for name in names:
        if batch[name].null_count:
            rows = np.flatnonzero(flat(batch[name].is_null())) + base
            complain(file, rows, name, "a value is expected, nothing found", problems)
