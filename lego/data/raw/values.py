"""Columns of a user's table → ids, times, clicks, lists and attributes. What cannot be read is named by file, line and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.growing import MANY, Growing, blocks
from lego.data.raw.guess import known_texts
from lego.data.raw.spool import spooled
from lego.data.raw.words import Words
from lego.data.table import CATEGORY, KINDS, LIST, NUMBER, TEXT, flat
from lego.ragged import Ragged, offsets_of

_MOMENT = (
    r"^\s*(?P<date>\d{4}-\d{2}-\d{2})(?:[ T](?P<clock>\d{2}:\d{2})(?P<second>:\d{2})?(?:[.,]\d+)?)?"
    r"\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?\s*$"
)
_WHOLE = r"^\s*-?\d+\s*$"
_FLOAT = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_DAY_FIRST = r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b"
_YEAR_FIRST = (
    "write the year first: the day or the month is here, and which of them nobody can know "
    "(pandas.to_datetime(…, dayfirst=True) where it is the day)"
)
_CORRECT = "correct the value, or take the row out"
_UNITS = ((10**17, 10**9, "nanoseconds"), (10**14, 10**6, "microseconds"), (10**11, 10**3, "milliseconds"))
"""Numbers above the first cannot be the unix time of today in the next coarser unit."""


def array_of(frame: Frame, column: str) -> pa.Array:
    """The column as one array."""
    chunks = frame.table[column].chunks
    return pa.concat_arrays(chunks) if chunks else pa.array([], frame.table[column].type)


def shown(value: object) -> str:
    """A value in a message, not too long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


# --- ids ----------------------------------------------------------------------------------------------------------------------


def ids_of(frame: Frame, column: str, problems: Problems) -> pa.Array | None:
    """The ids of a column; None where one is missing, or the column holds something else."""
    ids = as_ids(array_of(frame, column))
    if ids is None:
        kind = frame.table.schema.field(column).type
        problems.add(
            f"{frame.name}, column {column}",
            f"ids are texts or whole numbers, this is {kind}",
            "name another column",
        )
        return None
    empty = flat(pc.fill_null(pc.equal(ids, ""), fill_value=True))
    if empty.any():
        frame.complain(empty, column, lambda _: "an id is expected, nothing found", _CORRECT, problems)
        return None
    return ids


def as_ids(values: pa.Array) -> pa.Array | None:
    """Ids as texts; whole numbers without a decimal point even where they came as floats. None where they are none."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    if pa.types.is_floating(kind):
        whole = values.drop_null()
        if not pc.all(pc.equal(pc.floor(whole), whole), min_count=0).as_py():
            return None
        return pc.cast(pc.cast(values, pa.int64()), pa.string())
    if (
        pa.types.is_integer(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    ):
        return pc.cast(values, pa.string())
    return None


def unique_ids(frame: Frame, column: str, ids: pa.Array, what: str, fix: str, problems: Problems) -> None:
    """A problem for each row whose id stands in one before it."""
    codes = flat(ids.dictionary_encode().indices)
    _, first = np.unique(codes, return_index=True)
    again = first[codes] != np.arange(len(codes))
    if again.any():

        def words(row: int) -> str:
            return f"{what} {ids[row].as_py()} is already in {frame.line(int(first[codes[row]]))}"

        frame.complain(again, column, words, fix, problems)


# --- lists --------------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Written:
    """How the lists of a column are written, told from all of its rows."""

    text: bool
    """Whether they are text, and no lists of Arrow."""
    bracketed: bool = False
    mark: str = " "

    def in_words(self) -> str:
        """For the manifest."""
        if not self.text:
            return "a list"
        if self.bracketed:
            return "a list in brackets"
        return "blanks between them" if self.mark == " " else f"{self.mark} between them"

    def split(self, values: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
        """The values of all lists one after the other, and how many each has; a missing list is empty."""
        if not self.text:
            return values.flatten(), flat(pc.fill_null(pc.list_value_length(values), 0)).astype(np.int64)
        texts = pc.fill_null(pc.cast(values, pa.string()), "")
        if not self.bracketed:
            return _words(texts, self.mark)
        words, lengths = _words(pc.utf8_trim(texts, characters=" []\t"), self.mark)
        return pc.utf8_trim(words, characters="'\""), lengths


def written_in(frame: Frame, column: str, marks: str) -> Written | None:
    """How lists are written in a column; None where it holds none."""
    kind = frame.table.schema.field(column).type
    if _is_list(kind):
        return Written(text=False)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    return _written(
        [frame.table[column].slice(begin, end - begin) for begin, end in _stretches(frame)], marks
    )


def _stretches(frame: Frame) -> Iterator[tuple[int, int]]:
    return (
        (piece.before - frame.before, piece.before - frame.before + piece.table.num_rows)
        for piece in frame.pieces()
    )


def _written(pieces: Iterable[pa.ChunkedArray], marks: str) -> Written:
    """How lists of text are told apart: in brackets as JSON and Python write them, or by a mark between them."""
    some, bracketed, inside, between = False, True, set[str](), set[str]()
    for piece in pieces:
        known = known_texts(piece)
        some = some or len(known) > 0
        bracketed = (
            bracketed and pc.all(pc.match_substring_regex(known, r"^\s*\[.*\]\s*$"), min_count=0).as_py()
        )
        if bracketed:
            inside |= _marks_in(pc.utf8_trim(known, characters=" []"), ", ")
        between |= _marks_in(known, marks)
    if some and bracketed:
        return Written(text=True, bracketed=True, mark=_first_mark(inside, ", "))
    return Written(text=True, mark=_first_mark(between, marks))


def _marks_in(values: pa.Array, marks: str) -> set[str]:
    return {mark for mark in marks if pc.any(pc.match_substring(values, mark), min_count=0).as_py()}


def _first_mark(there: set[str], marks: str) -> str:
    """The first of the marks that occurs, else the last."""
    return next((mark for mark in marks if mark in there), marks[-1])


@attrs.frozen(eq=False)
class IdLists:
    """A column of lists of ids, read piece by piece."""

    frame: Frame
    column: str
    written: Written

    def pieces(self, problems: Problems) -> Iterator[tuple[Frame, pa.Array, NDArray[np.int64]]]:
        """Ids of the rows of each piece one after the other, and how many each row has; none of a piece with a mistake."""
        for piece in self.frame.pieces():
            ids, lengths = self.written.split(array_of(piece, self.column))
            ids = as_ids(ids)
            if ids is None:
                _complain_of_lists(self.frame, self.column, problems)
                return
            empty = flat(pc.fill_null(pc.equal(ids, ""), fill_value=True))
            if empty.any():
                wrong = np.zeros(len(lengths), bool)
                wrong[np.repeat(np.arange(len(lengths)), lengths)[empty]] = True
                what = "an id inside the list is empty"
                piece.complain(wrong, self.column, lambda _, what=what: what, _CORRECT, problems)  # type: ignore[misc]
            else:
                yield piece, ids, lengths


def id_lists(frame: Frame, column: str, problems: Problems) -> IdLists | None:
    """The lists of ids of a column; None where it holds something else."""
    written = written_in(frame, column, "|;, ")
    if written is None:
        _complain_of_lists(frame, column, problems)
        return None
    return IdLists(frame, column, written)


def _complain_of_lists(frame: Frame, column: str, problems: Problems) -> None:
    kind = frame.table.schema.field(column).type
    problems.add(
        f"{frame.name}, column {column}", f"lists of ids are expected, this is {kind}", "name another column"
    )


def number_lists(frame: Frame, column: str) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Numbers of all rows one after the other, NaN where one is missing, and how many each row has; None where it has no such."""
    written = written_in(frame, column, "|;, ")
    if written is None:
        return None
    found, every, longest = Growing(np.float32), Growing(np.int64), 0
    for piece in frame.pieces():
        words, lengths = written.split(array_of(piece, column))
        if written.text:
            words = pc.if_else(pc.is_in(words, value_set=pa.array(["", "null", "None", "nan"])), None, words)
        numbers = as_numbers(words)
        if numbers is None or numbers.null_count > words.null_count:
            return None
        values = flat(pc.fill_null(numbers, float("nan"))).astype(np.float32)
        if np.isinf(values).any():
            return None
        found.add(values)
        every.add(lengths)
        longest = max(longest, int(lengths.max(initial=0)))
    if written.text and longest < 2:  # a number is no list of one
        return None
    return found.array(), every.array()


def _words(texts: pa.Array, mark: str) -> tuple[pa.Array, NDArray[np.int64]]:
    trimmed = pc.utf8_trim_whitespace(texts)
    split = pc.split_pattern_regex(trimmed, r"\s+" if mark == " " else rf"\s*{re.escape(mark)}\s*")
    filled = flat(pc.not_equal(trimmed, ""))
    lengths = flat(pc.list_value_length(split)).astype(np.int64)
    words = split.flatten().filter(pa.array(np.repeat(filled, lengths)))
    return words, lengths * filled


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


# --- times --------------------------------------------------------------------------------------------------------------------


def times_of(frame: Frame, column: str, problems: Problems) -> tuple[NDArray[np.int64], str] | None:
    """Unix seconds of each row and how they were written; None where one cannot be read."""
    kind = frame.table.schema.field(column).type
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_time(kind):
        return _known_times(frame, column, _moment_numbers, "times", problems)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _known_times(frame, column, _as_is, "numbers", problems)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        problems.add(
            f"{frame.name}, column {column}", f"times are expected, this is {kind}", "name another column"
        )
        return None
    numeric, whole = 0, True
    for piece in frame.pieces():
        texts = _texts(piece, column)
        numeric += int(flat(pc.match_substring_regex(texts, _FLOAT)).sum())
        whole = whole and bool(pc.all(pc.match_substring_regex(texts, _WHOLE)).as_py())
    if numeric and numeric / frame.table.num_rows > 0.5:
        return _numbered_times(frame, column, problems, every=numeric == frame.table.num_rows, whole=whole)
    seconds, good = Growing(np.int64), True
    for piece in frame.pieces():
        found, wrong = _moments(_texts(piece, column))
        if wrong.any():
            good = False
            what = "a time like 2024-05-31 18:04:00 or unix seconds is expected"
            values = array_of(piece, column)
            first = str(values[int(np.flatnonzero(wrong)[0])].as_py())
            fix = _YEAR_FIRST if re.match(_DAY_FIRST, first) else ""
            _complain_of_values(piece, column, wrong, values, what, problems, fix)
        seconds.add(found)
    return (seconds.array(), "dates, in UTC where no zone is given") if good else None


def _numbered_times(
    frame: Frame, column: str, problems: Problems, *, every: bool, whole: bool
) -> tuple[NDArray[np.int64], str] | None:
    """Texts most of which are numbers."""
    before, expected = len(problems), "unix seconds are expected"
    for piece in frame.pieces():
        texts = _texts(piece, column)
        if not every:
            wrong = ~flat(pc.match_substring_regex(texts, _FLOAT))
        else:  # more than 64 bits hold
            wrong = flat(pc.match_substring_regex(texts, r"\d{19}")) & whole
        if wrong.any():
            _complain_of_values(piece, column, wrong, array_of(piece, column), expected, problems)
    if len(problems) > before:
        return None

    def numbers(values: pa.Array) -> pa.Array:
        texts = pc.fill_null(pc.cast(values, pa.string()), "")
        return pc.cast(pc.utf8_trim_whitespace(texts), pa.int64() if whole else NUMBER)

    return _known_times(frame, column, numbers, "numbers", problems)


def _texts(frame: Frame, column: str) -> pa.Array:
    return pc.fill_null(pc.cast(array_of(frame, column), pa.string()), "")


def _as_is(values: pa.Array) -> pa.Array:
    return values


def _moment_numbers(values: pa.Array) -> pa.Array:
    return pc.cast(pc.cast(values, pa.timestamp("s"), safe=False), pa.int64())


def _complain_of_values(
    frame: Frame,
    column: str,
    wrong: NDArray[np.bool_],
    values: pa.Array,
    what: str,
    problems: Problems,
    fix: str = "",
) -> None:
    def words(row: int) -> str:
        value = values[row].as_py()
        return f"{what}, {'nothing' if value in (None, '') else shown(value)} found"

    frame.complain(wrong, column, words, fix or _CORRECT, problems)


def _known_times(
    frame: Frame, column: str, numbers: Callable[[pa.Array], pa.Array], how: str, problems: Problems
) -> tuple[NDArray[np.int64], str] | None:
    """Seconds of times that `numbers` makes numbers of; their unit is told from the middle one."""
    made: Growing | None = None
    good = True
    for piece in frame.pieces():
        values = numbers(array_of(piece, column))
        unknown = flat(values.is_null())
        if unknown.any():
            good = False
            _complain_of_time(piece, column, unknown, problems)
            continue
        made = made or Growing(flat(values).dtype)
        made.add(flat(values))
    if not good:
        return None
    every = np.empty(0, np.int64) if made is None else made.array()
    divisor = 1
    if how == "numbers":
        divisor, how = next(
            ((each, name) for low, each, name in _UNITS if _middle_is_above(every, low)), (1, "seconds")
        )
    made, before = Growing(np.int64), 0
    for piece in frame.pieces():
        seconds = np.floor(np.floor_divide(every[before : before + piece.table.num_rows], divisor)).astype(
            np.int64
        )
        if (seconds < 0).any():
            good = False
            _complain_of_time(piece, column, seconds < 0, problems)
        made.add(seconds)
        before += len(seconds)
    return (made.array(), how if how == "times" else f"unix {how}") if good else None


def _complain_of_time(frame: Frame, column: str, unknown: NDArray[np.bool_], problems: Problems) -> None:
    what = "a time since 1970 is expected"
    _complain_of_values(frame, column, unknown, array_of(frame, column), what, problems)


def _middle_is_above(numbers: NDArray[Any], low: int) -> bool:
    """Whether the median is, told without putting them in order."""
    above, least, most = 0, float("inf"), float("-inf")
    for begin, end in blocks(len(numbers), MANY):
        piece = numbers[begin:end]
        over = piece > low
        above += int(over.sum())
        least = min(least, float(piece[over].min() if over.any() else np.inf))
        most = max(most, float(piece[~over].max() if not over.all() else -np.inf))
    if 2 * above != len(numbers) or not len(numbers):
        return 2 * above > len(numbers)
    return (least + most) / 2 > low


def _moments(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Unix seconds of dates in ISO 8601, and which are none."""
    parts = pc.extract_regex(texts, _MOMENT)
    wrong = flat(parts.is_null())

    def part(name: str, instead: str) -> pa.Array:
        text = pc.fill_null(pc.struct_field(parts, name), "")
        return pc.if_else(pc.equal(text, ""), instead, text)

    written = pc.binary_join_element_wise(part("date", "1970-01-01"), part("clock", "00:00"), "T")
    written = pc.binary_join_element_wise(written, part("second", ":00"), "")
    try:
        seconds = flat(pc.cast(pc.cast(written, pa.timestamp("s")), pa.int64()))
    except pa.ArrowInvalid:  # 2024-02-30: one by one, to know which
        each = [_moment(text) for text in written.to_pylist()]
        wrong |= np.array([moment is None for moment in each])
        seconds = np.array([moment or 0 for moment in each], np.int64)
    zone = pc.replace_substring(part("zone", "+0000"), ":", "")
    zone = pc.if_else(pc.is_in(zone, value_set=pa.array(["Z", "UTC"])), "+0000", zone)
    ahead = flat(pc.cast(pc.utf8_slice_codeunits(zone, 1, 3), pa.int64())) * 3600
    ahead = ahead + flat(pc.cast(pc.utf8_slice_codeunits(zone, 3, 5), pa.int64())) * 60
    seconds = seconds - np.where(flat(pc.starts_with(zone, "-")), -ahead, ahead)
    return seconds, wrong | (seconds < 0)


def _moment(text: str) -> int | None:
    try:
        return int(pc.cast(pc.cast(pa.array([text]), pa.timestamp("s")), pa.int64())[0].as_py())
    except pa.ArrowInvalid:
        return None


# --- clicks -------------------------------------------------------------------------------------------------------------------


def clicks_of(frame: Frame, column: str, above: float | None, problems: Problems) -> NDArray[np.bool_] | None:
    """Which rows are clicks: a label of 1, or one above `above`; None where one cannot be read."""
    values = array_of(frame, column)
    numbers = as_numbers(values)
    if numbers is None:
        problems.add(
            f"{frame.name}, column {column}",
            f"labels are numbers, this is {values.type}",
            "name another column",
        )
        return None
    wrong = flat(pc.invert(pc.fill_null(pc.is_finite(numbers), fill_value=False)))
    expected = "a number is expected" if above is not None else "0 or 1 is expected"
    fix = _CORRECT
    label = flat(pc.fill_null(numbers, 0.0))
    if above is None and not wrong.any():
        wrong = (label != 0) & (label != 1)
        fix = "where labels are ratings, say with above=3 that a rating above 3 is a click; else correct the value"
    if wrong.any():

        def words(row: int) -> str:
            value = values[row].as_py()
            return f"{expected}, {'nothing' if value in (None, '') else shown(value)} found"

        frame.complain(wrong, column, words, fix, problems)
        return None
    return np.asarray(label > (0 if above is None else above))


def as_numbers(values: pa.Array) -> pa.Array | None:
    """Doubles; a null where a value is missing or no number, None where the column cannot hold numbers."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_time(kind):
        return pc.cast(pc.cast(pc.cast(values, pa.timestamp("s"), safe=False), pa.int64()), NUMBER)
    if pa.types.is_boolean(kind):
        return pc.cast(pc.cast(values, pa.int8()), NUMBER)
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        return pc.cast(values, NUMBER, safe=False)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    texts = pc.utf8_trim_whitespace(pc.utf8_lower(pc.cast(values, pa.string())))
    texts = pc.if_else(pc.equal(texts, "true"), "1", pc.if_else(pc.equal(texts, "false"), "0", texts))
    fits = pc.fill_null(pc.match_substring_regex(texts, _FLOAT), fill_value=False)
    return pc.cast(pc.if_else(fits, texts, pa.scalar(None, pa.string())), NUMBER)


# --- attributes ---------------------------------------------------------------------------------------------------------------


def long_attribute_of(frame: Frame, column: str, kind: str, problems: Problems) -> pa.ChunkedArray | None:
    """The same of a column that is as long as a log, read piece by piece, and on disk if it is much."""
    before, words = len(problems), Words()
    written = written_in(frame, column, "|;,") if kind == "list" else None
    codes = pa.schema([(column, pa.int32() if kind == "category" else KINDS[kind])])
    whole = _whole(frame, column)

    def pieces() -> Iterator[pa.RecordBatch]:
        for piece in frame.pieces():
            values = attribute_of(piece, column, kind, problems, written=written, whole=whole)
            if values is not None:
                yield pa.RecordBatch.from_arrays(
                    [words.coded(values) if kind == "category" else values], schema=codes
                )
            elif any(each.where == f"{frame.name}, column {column}" for each in problems.shown):
                return  # what is wrong with a whole column is said once

    made = spooled(pieces(), codes)[column]
    if len(problems) > before:
        return None
    if kind != "category":
        return made
    chunks = [pa.DictionaryArray.from_arrays(chunk, words.known) for chunk in made.chunks]
    return pa.chunked_array(chunks, CATEGORY)


def _whole(frame: Frame, column: str) -> bool:
    """Whether the numbers of a column are whole ones."""
    if not pa.types.is_floating(frame.table.schema.field(column).type):
        return False
    return all(as_ids(array_of(piece, column)) is not None for piece in frame.pieces())


def attribute_of(
    frame: Frame,
    column: str,
    kind: str,
    problems: Problems,
    *,
    written: Written | None = None,
    whole: bool | None = None,
) -> pa.Array | None:
    """The column as an attribute of the kind; a blank text is missing. None where a value cannot be one.

    `written` and `whole` are what is known of the column that the frame has a piece of.
    """
    values = array_of(frame, column)
    if kind == "list":
        return _as_lists(frame, column, values, written, problems)
    if kind == "number":
        return _as_attribute_numbers(frame, column, values, problems)
    if _is_list(values.type):
        words = pc.cast(values, pa.list_(pa.string()))
        texts = pc.binary_join(words, ", ")
    else:
        texts = as_ids(values) if pa.types.is_floating(values.type) and whole is not False else None
        try:
            texts = pc.cast(values, TEXT) if texts is None else texts
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            what = f"is {values.type}, which cannot be text"
            problems.add(
                f"{frame.name}, column {column}", what, f"leave it out with kinds={{{column!r}: 'none'}}"
            )
            return None
    texts = pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar(None, TEXT), texts)
    return texts if kind == "text" else pc.cast(texts.dictionary_encode(), CATEGORY)


def _as_lists(
    frame: Frame, column: str, values: pa.Array, written: Written | None, problems: Problems
) -> pa.Array | None:
    if _is_list(values.type):
        lengths = flat(pc.fill_null(pc.list_value_length(values), 0)).astype(np.int64)
        words = values.flatten()
        try:
            words = pc.cast(words, TEXT)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            what = f"is {values.type}; lists of texts are expected"
            problems.add(
                f"{frame.name}, column {column}", what, f"leave it out with kinds={{{column!r}: 'none'}}"
            )
            return None
    else:
        texts = pc.cast(values, TEXT)
        words, lengths = (written or _written([pa.chunked_array([texts])], "|;,")).split(texts)
    real = flat(pc.fill_null(pc.not_equal(words, ""), fill_value=False))
    before = offsets_of(real)
    kept = Ragged(np.empty(0), before[offsets_of(lengths)])
    missing = flat(values.is_null())
    if pa.types.is_string(values.type):
        missing = missing | flat(pc.fill_null(pc.equal(values, ""), fill_value=True))
    return pa.ListArray.from_arrays(
        pa.array(kept.offsets, pa.int32()), words.filter(pa.array(real)), type=LIST, mask=pa.array(missing)
    )


def _as_attribute_numbers(frame: Frame, column: str, values: pa.Array, problems: Problems) -> pa.Array | None:
    numbers = as_numbers(values)
    if numbers is None:
        what = f"numbers are expected, this is {values.type}"
        problems.add(
            f"{frame.name}, column {column}", what, f"say what it is in kinds={{{column!r}: 'text'}}"
        )
        return None
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, NUMBER), numbers)
    given = pc.is_valid(values)
    if pa.types.is_string(values.type):
        given = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(values), ""), fill_value=False)
    lost = (
        pc.and_(given, pc.is_null(numbers))
        if not pa.types.is_floating(values.type)
        else pa.array(np.zeros(len(values), bool))
    )
    wrong = flat(pc.or_(lost, pc.fill_null(pc.is_inf(numbers), fill_value=False)))
    if wrong.any():
        fix = f"correct the value, or say that these are no numbers with kinds={{{column!r}: 'text'}}"
        _complain_of_values(frame, column, wrong, values, "a number is expected", problems, fix)
        return None
    return numbers
