"""Lines of behaviors.tsv, thousands at once: from bytes to numbers without a text for each id.

What is read here is the file as it is published: five columns with one tab between them, ids of at most eight ASCII characters
with one blank between them, lines that end with a line feed. Of anything else nothing is said but that it is something else: who
reads it then does so with more care, and finds what is wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.impressions.log import Catalog, Log
from lego.data.progress import count
from lego.data.raw.growing import Growing
from lego.data.raw.raw_file import RawFile
from lego.data.raw.short_ids import LONGEST, ShortIds, numbers_of, texts_at
from lego.data.raw.times import seconds_from
from lego.ragged import Ragged

_PIECE = 1 << 21
"""Bytes that are worked on at a time: what is made of them stays in the caches of the processor."""
_LINE = 1 << 24
"""Bytes of a line at the most."""
_WORKERS = 2
_TAB, _FEED, _BLANK, _DASH, _ZERO, _SLASH, _COLON = b"\t\n -0/:"
_COLUMNS = 5
_CLOCK, _YEAR = 7, 4
"""Characters of the shortest time of day, `6:42:51`, and of a year."""


@attrs.frozen(eq=False, kw_only=True)
class _Piece:
    """What some lines say."""

    size: int
    """Bytes."""
    impression: NDArray[np.int64]
    user: pa.Array
    time: NDArray[np.int64]
    history: NDArray[np.int32]
    history_lengths: NDArray[np.int64]
    candidates: NDArray[np.int32]
    candidate_lengths: NDArray[np.int64]
    labels: NDArray[np.int8]
    unknown: tuple[pa.Array, pa.Array]
    """Ids that no item has, of the history and of the candidates, where these have row 0."""


def read_lines(file: RawFile, catalog: Catalog, *, labeled: bool = True) -> Log | None:
    """The log of the file; None where some of it is not as it is published. Candidates that are not `labeled` have label 0."""
    known = ShortIds.of(catalog.known)
    numbers = {name: Growing(np.int64) for name in ("impression", "time")}
    lengths = {name: Growing(np.int32) for name in ("history", "candidates")}
    items = {name: Growing(np.int32) for name in ("history", "candidates")}
    labels = Growing(np.int8)
    users = []
    with file.open() as opened:
        for piece in _in_turn(opened, known, labeled=labeled):
            if piece is None:
                return None
            count(len(piece.impression), piece.size)
            for rows, ids in zip((piece.history, piece.candidates), piece.unknown, strict=True):
                if len(ids):
                    rows[rows == 0] = catalog.further_rows(ids)
            numbers["impression"].add(piece.impression)
            numbers["time"].add(piece.time)
            items["history"].add(piece.history)
            items["candidates"].add(piece.candidates)
            lengths["history"].add(piece.history_lengths)
            lengths["candidates"].add(piece.candidate_lengths)
            labels.add(piece.labels)
            users.append(piece.user)
    if not users:
        return None
    return Log(
        impression=numbers["impression"].array(),
        user=pa.chunked_array(users),
        time=numbers["time"].array(),
        history=Ragged.from_lengths(items["history"].array(), lengths["history"].array()),
        candidates=Ragged.from_lengths(items["candidates"].array(), lengths["candidates"].array()),
        labels=labels.array(),
    )


def _in_turn(opened: IO[bytes], known: ShortIds, *, labeled: bool) -> Iterator[_Piece | None]:
    """What each piece of the file says, in its order, while the next ones are worked on."""
    under_way: deque[Future[_Piece | None]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for block in _pieces(opened):
                under_way.append(pool.submit(_read, block, known, labeled))
                if len(under_way) > _WORKERS:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for each in under_way:
                each.cancel()


def _pieces(opened: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, each with its end, and behind them `LONGEST` zero bytes."""
    rest = b""
    while read := opened.read(_PIECE):
        end = read.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(read)[:end], bytes(LONGEST)))
            rest = read[end:]
        elif len(rest) < _LINE:
            rest += read
        else:
            yield bytes(LONGEST + 1)  # a zero byte, which is in no line as it is published
            return
    if rest:
        yield rest + b"\n" + bytes(LONGEST)


def _read(block: bytes, known: ShortIds, labeled: bool) -> _Piece | None:  # noqa: FBT001 - a thread calls it
    text = np.frombuffer(block, np.uint8)[:-LONGEST]
    if text.max() > 127:
        return None
    ends = np.flatnonzero(text <= _BLANK)  # of words
    mark = text[ends]
    tabs, feeds = np.flatnonzero(mark == _TAB), np.flatnonzero(mark == _FEED)
    lines = len(feeds)
    if len(tabs) != (_COLUMNS - 1) * lines or len(tabs) + lines + np.count_nonzero(mark == _BLANK) != len(
        ends
    ):
        return None
    # Of each line, the word that ends its columns, and the one before the first.
    before = np.concatenate([[-1], feeds[:-1]])
    number, user, time, past = tabs.reshape(lines, _COLUMNS - 1).T
    if (
        (number != before + 1).any()
        or (user != number + 1).any()
        or (time != user + 3).any()
        or (past > feeds).any()
    ):
        return None
    begins = np.empty_like(ends)
    begins[0] = 0
    np.add(ends[:-1], 1, out=begins[1:])
    # An empty word may stand in the place of a history, and nowhere else.
    lacks = (past == time + 1) & (begins[past] == ends[past])
    if np.count_nonzero(begins == ends) != np.count_nonzero(lacks):
        return None
    impression = _decimal(text, ends[number], ends[number] - begins[number], most=18)
    seconds = _seconds(text, begins, ends, user)
    if impression is None or seconds is None:
        return None
    wanted = _alternately(time - before, feeds - time)
    wanted[past[lacks]] = False
    begin, end = begins[wanted], ends[wanted]
    history_lengths, candidate_lengths = past - time - lacks, feeds - past
    shown = _alternately(history_lengths, candidate_lengths)
    length = np.minimum(end - begin, 127).astype(np.int8)
    if labeled:
        length -= shown.view(np.int8) * np.int8(2)  # without -0 or -1
    if length.min() < 1 or length.max() > LONGEST:
        return None
    shown_end = end[shown]
    if labeled:
        labels = text[shown_end - 1] - np.uint8(_ZERO)
        if labels.max() > 1 or (text[shown_end - 2] != _DASH).any():
            return None
    else:
        labels = np.zeros(len(shown_end), np.uint8)
        # An id has no dash; nothing stands two places before the end of a shorter word but what is before it.
        if (text[shown_end - 2] == _DASH).any():
            return None
    rows = known.rows(numbers_of(block, begin, length))
    history, candidates = rows[~shown], rows[shown]
    nothing = pa.array([], pa.string())
    unknown = (nothing, nothing)
    absent = rows == 0
    if absent.any():
        old, new = (np.flatnonzero(absent & each) for each in (~shown, shown))
        unknown = (
            texts_at(text, begin[old], length[old].astype(np.int64)),
            texts_at(text, begin[new], length[new].astype(np.int64)),
        )
    return _Piece(
        size=len(text),
        impression=impression,
        user=texts_at(text, begins[user], ends[user] - begins[user]),
        time=seconds,
        history=history,
        history_lengths=history_lengths,
        candidates=candidates,
        candidate_lengths=candidate_lengths,
        labels=labels.view(np.int8),
        unknown=unknown,
    )


def _alternately(no: NDArray[np.int64], yes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """So many times no, so many times yes, and so on."""
    turns = np.empty(2 * len(no), np.int64)
    turns[::2], turns[1::2] = no, yes
    return np.repeat(np.tile([False, True], len(no)), turns)


def _decimal(
    text: NDArray[np.uint8], end: NDArray[np.int64], length: NDArray[np.int64], *, most: int
) -> NDArray[np.int64] | None:
    """The whole number that ends at each position and has so many digits; None where one is none."""
    fewest, longest = int(length.min()), int(length.max())
    if fewest < 1 or longest > most:
        return None
    number = np.zeros(len(end), np.int64)
    for place in range(longest):
        digit = text[np.maximum(end - 1 - place, 0)] - np.uint8(_ZERO)
        if place >= fewest:
            digit *= place < length
        if digit.max() > 9:
            return None
        number += digit * np.int64(10**place)
    return number


def _seconds(
    text: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64], user: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Of the three words behind the user, `11/9/2019 6:42:51 PM`; None where they say something else."""
    (date, clock, half), begin = (ends[user + each] for each in (1, 2, 3)), begins[user + 1]
    hours = clock - begins[user + 2] - _CLOCK + 1
    dated = date - begin
    # A date has 8 to 10 characters and a clock 7 or 8, so that no look back leaves the text.
    if dated.min() < _YEAR + 4 or dated.max() > _YEAR + 6 or hours.min() < 1 or hours.max() > 2:
        return None
    days = np.where(text[date - _YEAR - 3] == _SLASH, 1, 2)
    fits = [
        text[date - _YEAR - 1] == _SLASH,
        text[date - _YEAR - 2 - days] == _SLASH,
        text[clock - 3] == _COLON,
        text[clock - 6] == _COLON,
        half - begins[user + 3] == 2,
        text[half - 1] == ord("M"),
        (text[half - 2] == ord("A")) | (text[half - 2] == ord("P")),
    ]
    if not all(each.all() for each in fits):
        return None
    two = np.full(len(date), 2)
    parts = [
        _decimal(text, date, two * 2, most=_YEAR),
        _decimal(text, date - _YEAR - 2 - days, dated - _YEAR - 2 - days, most=2),
        _decimal(text, date - _YEAR - 1, days, most=2),
        _decimal(text, clock - 6, hours, most=2),
        _decimal(text, clock - 3, two, most=2),
        _decimal(text, clock, two, most=2),
    ]
    year, month, day, hour, minute, second = (
        np.full(len(date), -1) if each is None else each for each in parts
    )
    if (hour < 1).any() or (hour > 12).any():
        return None
    hour = hour % 12 + np.where(text[half - 2] == ord("P"), 12, 0)
    seconds, known = seconds_from(year, month, day, hour, minute, second)
    return seconds if known.all() else None
