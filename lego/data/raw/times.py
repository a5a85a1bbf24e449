"""Texts that say a day or a moment → Unix seconds, of a whole column at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.table import flat
from lego.errors import Problem

ISO = (
    r"^\s*(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2}))?\s*$"
)
"""`2017-08-17`, `2017-08-17 15:15:28` or `2017-08-17T15:15:28`; what has no zone is taken for UTC."""
ENGLISH = (
    r"^\s*\w{3} (?P<month>\w{3}) +(?P<day>\d{1,2}) (?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2}) "
    r"(?P<sign>[+-])(?P<zone>\d{4}) (?P<year>\d{4})\s*$"
)
"""`Thu Aug 17 15:15:28 -0700 2017`."""

AMERICAN = (
    r"^(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}) "
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2}):(?P<second>\d{2}) (?P<half>[AP]M)$"
)
"""`7/3/2019 6:43:49 AM`, taken for UTC."""

_MONTHS = pa.array(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])


def seconds_of(texts: pa.ChunkedArray | pa.Array, form: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Unix seconds, and which texts are times of the form; what the others give means nothing."""
    found = pc.extract_regex(texts, form)
    found = pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
    names = [field.name for field in found.type]

    def number(name: str) -> NDArray[np.int64]:
        if name not in names:
            return np.zeros(len(found), np.int64)
        digits = pc.fill_null(pc.struct_field(found, name), "")
        return flat(pc.cast(pc.if_else(pc.equal(digits, ""), "0", digits), pa.int64()))

    if r"(?P<month>\w{3})" in form:
        named = pc.index_in(pc.struct_field(found, "month"), value_set=_MONTHS)
        month = flat(pc.fill_null(named, -1)).astype(np.int64)
    else:
        month = number("month") - 1
    day, hour, minute, second = (number(name) for name in ("day", "hour", "minute", "second"))
    known = flat(found.is_valid())
    if "half" in names:
        known &= (hour >= 1) & (hour <= 12)
        afternoon = flat(pc.fill_null(pc.equal(pc.struct_field(found, "half"), "PM"), fill_value=False))
        hour = hour % 12 + 12 * afternoon
    zone = number("zone")
    offset = zone // 100 * 3600 + zone % 100 * 60
    if "sign" in names:
        behind = flat(pc.fill_null(pc.equal(pc.struct_field(found, "sign"), "-"), fill_value=False))
        offset = np.where(behind, -offset, offset)
    seconds, there = seconds_from(number("year"), month + 1, day, hour, minute, second)
    return seconds - offset, known & there


def seconds_from(
    year: NDArray[np.int64],
    month: NDArray[np.int64],
    day: NDArray[np.int64],
    hour: NDArray[np.int64],
    minute: NDArray[np.int64],
    second: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Unix seconds of these moments, months and days counted from 1, and which of them there are."""
    begin = (year - 1970).astype("M8[Y]").astype("M8[M]") + np.clip(month - 1, 0, 11)
    midnight = begin.astype("M8[D]").astype(np.int64)
    length = (begin + 1).astype("M8[D]").astype(np.int64) - midnight
    known = (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)
    known &= (hour >= 0) & (hour < 24) & (minute >= 0) & (minute < 60) & (second >= 0) & (second < 60)
    return (midnight + day - 1) * 86_400 + hour * 3600 + minute * 60 + second, known


def read_times(
    name: str, column: str, table: pa.Table, form: str, example: str, problems: Problems
) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """The times of a column of a table with the column `line`, the rows that have one, and how many are blank.

    What is neither blank nor a time is added to the problems: file (`name`), line and column.
    """
    texts = table[column]
    time, known = seconds_of(texts, form)
    written = flat(pc.fill_null(pc.match_substring_regex(texts, r"\S"), fill_value=False))
    wrong = np.flatnonzero(written & ~known)

    def worded(place: int) -> Problem:
        row = int(wrong[place])
        where = f"{name} line {table['line'][row].as_py()}, column {column}"
        what = f"a date like {example} is expected, {texts[row].as_py()!r} found"
        return Problem(where, what, "correct the value, or take the line out")

    problems.add_each(len(wrong), worded)
    return time, known, int((~written).sum())
