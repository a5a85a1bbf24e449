"""The impressions of MIND: read with care where they are not quite as they are published, and what is wrong in them by line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.growing_log import GrowingLog
from lego.data.impressions.log import (
    Catalog,
    Log,
)
from lego.data.problems import LIMIT, Problems
from lego.data.raw.bounded import lines_of
from lego.data.raw.raw_file import BROKEN, RawFile, broken
from lego.data.raw.repeats import Repeats
from lego.data.raw.times import AMERICAN, seconds_of
from lego.data.source.mind_lines import read_lines
from lego.data.source.mind_rows import COMPARE, WORD, MalformedError, all_match, blocks, ensure, records, say
from lego.data.table import flat
from lego.errors import DataError, Problem
from lego.ragged import Ragged

_BEHAVIORS = ("impression id", "user id", "time", "history", "impressions")
_HISTORY = r"^(\S+( \S+)*)?$"
_SHOWN = r"^\S+-[01]( \S+-[01])*$"
_UNLABELED = r"^\S+( \S+)*$"
_LABEL = r"-[01]( |$)"


def is_labeled(file: RawFile) -> bool:
    """Whether candidates of the first line that is not empty have labels; so where none can be read, which is said elsewhere."""
    try:
        with file.open() as opened:
            first = next((line for line in lines_of(opened) if line.strip()), b"")
    except BROKEN:
        return True
    *_, shown = first.decode("utf-8", "replace").rstrip("\r\n").split("\t")
    return not shown or any(re.search(_LABEL, word) for word in shown.split(" "))


def read_log(file: RawFile, catalog: Catalog, problems: Problems, *, labeled: bool) -> Log | None:
    """The log of behaviors.tsv; None where something is wrong, which is then among the problems."""
    types = {"impression id": pa.int64(), **dict.fromkeys(_BEHAVIORS[1:], pa.string())}
    try:
        log = read_lines(file, catalog, labeled=labeled)
        if log is None:
            log = GrowingLog.of(
                _block(block, catalog, labeled=labeled) for block in blocks(file, _BEHAVIORS, types)
            )
        ensure(not len(Repeats.of(log.impression).rows), "an impression id stands twice")
    except (pa.ArrowInvalid, MalformedError) as failure:
        say(file, _wrong_log(file, labeled=labeled), str(failure), problems)
        return None
    except BROKEN as failure:
        broken(file, failure, problems)
        return None
    return log


def _block(block: pa.RecordBatch, catalog: Catalog, *, labeled: bool) -> Log:
    impression, user, time, history, shown = (block[name] for name in _BEHAVIORS)
    for column, pattern in ((user, WORD), (history, _HISTORY), (shown, _SHOWN if labeled else _UNLABELED)):
        ensure(all_match(column, pattern), f"a value does not have the form {pattern}")
    if not labeled:
        marked = pc.match_substring_regex(shown, _LABEL)
        ensure(
            not pc.any(marked, min_count=0).as_py(),
            "a candidate has a label, and those of the first line have none",
        )
    numbers = flat(impression)
    ensure(bool((numbers >= 0).all()), "an impression id is negative")
    ids, lengths = _words(history)
    clicks = Ragged.from_lengths(catalog.rows(ids), lengths)
    marked, lengths = _words(shown)
    labels = flat(pc.ends_with(marked, "-1")).astype(np.int8) if labeled else np.zeros(len(marked), np.int8)
    named = pc.utf8_slice_codeunits(marked, 0, -2) if labeled else marked
    candidates = Ragged.from_lengths(catalog.rows(named), lengths)
    return Log(
        impression=numbers,
        user=pa.chunked_array([user]),
        time=_seconds(time),
        history=clicks,
        candidates=candidates,
        labels=labels,
    )


def _words(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """The blank separated words of all cells one after the other, and how many each cell has."""
    split = pc.split_pattern(column, " ")
    words = split.flatten()
    full = flat(pc.not_equal(column, "")).astype(np.int64)  # an empty cell splits into one empty word
    return words.filter(pc.not_equal(words, "")), flat(pc.list_value_length(split)) * full


def _seconds(column: pa.Array) -> NDArray[np.int64]:
    """Unix seconds of each time as UTC."""
    seconds, good = seconds_of(column, AMERICAN)
    ensure(bool(good.all()), "a time has another form, or there is no such time")
    return seconds


def _wrong_log(file: RawFile, *, labeled: bool) -> Iterator[Problem]:
    first: dict[int, int] = {}
    unlabelled: list[int] = []
    for number, fields in records(file, _BEHAVIORS):
        if isinstance(fields, Problem):
            yield fields
            continue
        where = f"{file.label} line {number}, column ".__add__
        impression, user, time, history, shown = fields
        if not re.fullmatch(r"[0-9]{1,18}", impression):
            what = f"a whole number is expected, {impression!r} found"
            yield Problem(where("impression id"), what, COMPARE)
        elif first.setdefault(int(impression), number) < number:
            what = f"{impression} is already in line {first[int(impression)]}"
            yield Problem(where("impression id"), what, "keep one of the lines, or number them anew")
        if not re.match(WORD, user, re.ASCII):
            what = f"an id without blanks is expected, {user!r} found"
            yield Problem(where("user id"), what, COMPARE)
        if not _is_time(time):
            what = f"a time like 11/9/2019 6:42:51 PM is expected, {time!r} found"
            yield Problem(where("time"), what, COMPARE)
        if not re.match(_HISTORY, history, re.ASCII):
            what = f"ids with one blank between them are expected, {_short(history)} found"
            yield Problem(where("history"), what, COMPARE)
        if not labeled:
            if not re.match(_UNLABELED, shown, re.ASCII):
                what = f"ids with one blank between them are expected, {_short(shown)} found"
                yield Problem(where("impressions"), what, COMPARE)
            elif re.search(_LABEL, shown):
                what = "candidates have labels (-0 or -1), and those of the first line have none"
                yield Problem(where("impressions"), what, "give all lines labels, or none")
            continue
        wrong = [word for word in shown.split(" ") if not re.match(_SHOWN, word, re.ASCII)]
        if shown and not any("-" in word for word in shown.split(" ")):
            unlabelled.append(number)
        elif wrong:
            what = f"ids with a label, like N123-0 or N123-1, are expected, {_short(wrong[0])} found"
            yield Problem(where("impressions"), what, COMPARE)
    if unlabelled:
        several = f" and {len(unlabelled) - 1} more lines" if len(unlabelled) > 1 else ""
        yield Problem(
            f"{file.label} line {unlabelled[0]}, column impressions",
            f"the candidates of this line{several} have no labels (-0 or -1), so nothing can be learned or measured",
            "the test part of MINDlarge is published without labels: keep it in a folder MINDlarge_test beside train and dev, "
            'and choose test="test"',
        )


def _is_time(text: str) -> bool:
    try:
        _seconds(pa.array([text]))
    except MalformedError:
        return False
    return True


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}…"


def missing_news(
    ids: pa.Array,
    files: list[RawFile],
    labeled: list[bool],
    columns: tuple[str, ...] = ("history", "impressions"),
) -> DataError:
    """Where the first twenty of them stand for the first time. Candidates of a ranking to hand in cannot be dropped."""
    absent = set(ids.to_pylist())
    choice = 'missing="drop" or missing="empty"' if all(labeled) else 'missing="empty"'
    fix = f"use the news.tsv of the same edition, or choose {choice}"
    problems = []
    for file, has in zip(files, labeled, strict=True):
        for number, fields in records(file, _BEHAVIORS):
            assert not isinstance(fields, Problem)  # the file was read before
            shown = [word[:-2] if has else word for word in fields[4].split(" ")]
            words = {"history": fields[3].split(" "), "impressions": shown}
            for column in columns:
                for news in words[column]:
                    if news not in absent:
                        continue
                    absent.discard(news)
                    where = f"{file.label} line {number}, column {column}"
                    problems.append(Problem(where, f"no news.tsv has {news}", fix))
                    if len(problems) == LIMIT or not absent:
                        return DataError(problems, more=len(absent))
    return DataError(problems, more=len(absent))
