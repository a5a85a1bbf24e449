"""Train, dev and test from one log, by a declared rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lego.data.raw.growing import MANY, blocks, looked_up, on_disk
from lego.data.raw.order import sorted_rows

_STREAM = 9
"""Which stream of the seed chooses users; drawing candidates of the parts has 0, 1 and 2."""
_DIGIT = 16
"""Bits."""


def cut(
    rule: str, user: NDArray[Any], time: NDArray[np.int64], dev: float, test: float, seed: int
) -> NDArray[np.int8]:
    """0 train, 1 dev, 2 test for each row, which are in the order of the log; `user` is the place of each row's user.

    Memory is bounded by the users, not by the rows.
    """
    if rule == "user":
        return _cut_users(user, dev, test, seed)
    if rule == "time":
        return _cut_latest(time, dev, test)
    return _cut_last(user, time, dev, test)


def _cut_users(user: NDArray[Any], dev: float, test: float, seed: int) -> NDArray[np.int8]:
    """All rows of a user are in one part."""
    counts = _counts(user)
    users = np.flatnonzero(counts)
    drawn = np.random.default_rng([seed, _STREAM]).permutation(users)
    tests, devs = _shares(len(users), dev, test)
    part = np.zeros(len(counts), np.int8)
    part[drawn[:tests]] = 2
    part[drawn[tests : tests + devs]] = 1
    return looked_up(part, user)


def _cut_latest(time: NDArray[np.int64], dev: float, test: float) -> NDArray[np.int8]:
    """The latest rows of all; of those with one time the ones behind are the later ones."""
    tests, devs = _shares(len(time), dev, test)
    limits = [(number, *_from(time, count)) for number, count in ((1, tests + devs), (2, tests)) if count]
    met = dict.fromkeys((1, 2), 0)

    def piece(begin: int, end: int) -> NDArray[np.int8]:
        moments, part = time[begin:end], np.zeros(end - begin, np.int8)
        for number, limit, early in limits:
            same = np.flatnonzero(moments == limit)
            part[moments > limit] = number
            part[same[max(0, early - met[number]) :]] = number
            met[number] += len(same)
        return part

    return on_disk(len(time), np.int8, piece)


def _from(time: NDArray[np.int64], count: int) -> tuple[int, int]:
    """The earliest time among the `count` latest rows, and how many rows of that time are not among these.

    It is found digit by digit, the highest first, from how often each digit is there.
    """
    spans = [
        (int(time[begin:end].min()), int(time[begin:end].max())) for begin, end in blocks(len(time), MANY)
    ]
    low, high = min(least for least, _ in spans), max(most for _, most in spans)
    left, found, same = count, 0, 0
    for shift in range((high - low).bit_length() // _DIGIT * _DIGIT, -1, -_DIGIT):
        digits = np.zeros(1 << _DIGIT, np.int64)
        for begin, end in blocks(len(time), MANY):
            offset = (time[begin:end] - low).view(np.uint64) >> np.uint64(shift)
            inside = offset[offset >> np.uint64(_DIGIT) == np.uint64(found)] & np.uint64((1 << _DIGIT) - 1)
            digits += np.bincount(inside.astype(np.int64), minlength=len(digits))
        behind = np.cumsum(digits[::-1])[::-1]  # rows of this digit or a higher one
        digit = int(np.flatnonzero(behind >= left)[-1])
        left -= int(behind[digit] - digits[digit])
        found, same = found << _DIGIT | digit, int(digits[digit])
    return low + found, same - left


def _cut_last(user: NDArray[Any], time: NDArray[np.int64], dev: float, test: float) -> NDArray[np.int8]:
    """The last row of each user by time, and the one before it."""
    counts = _counts(user)
    before, last = _last_two(user, time, len(counts))
    tests = last[counts >= 2] if test > 0 else last[:0]
    devs = last[:0]
    if dev > 0:
        devs = before[counts >= 3] if test > 0 else last[counts >= 2]
    chosen = [(1, np.sort(devs)), (2, np.sort(tests))]

    def piece(begin: int, end: int) -> NDArray[np.int8]:
        part = np.zeros(end - begin, np.int8)
        for number, places in chosen:
            first, behind = np.searchsorted(places, (begin, end))
            part[places[first:behind] - begin] = number
        return part

    return on_disk(len(user), np.int8, piece)


def _last_two(
    user: NDArray[Any], time: NDArray[np.int64], users: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row before the last one of each user, and the last one, by time and then as they stand; -1 where there is none."""
    places = np.full((users, 2), -1, np.int64)
    moments = np.full((users, 2), np.iinfo(np.int64).min)
    for begin, end in blocks(len(user), MANY):
        owner, moment = user[begin:end], time[begin:end]
        order = np.lexsort((moment, owner))
        owner = owner[order]
        ends = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
        who = owner[ends]
        earlier = np.maximum(ends - 1, 0)
        alone = (ends == 0) | (owner[earlier] != who)
        here, then = begin + order, moment[order]
        found = [
            places[who],
            np.where(alone, -1, here[earlier])[:, None],
            here[ends][:, None],
        ]
        when = [
            moments[who],
            np.where(alone, np.iinfo(np.int64).min, then[earlier])[:, None],
            then[ends][:, None],
        ]
        every, all_times = np.concatenate(found, axis=1), np.concatenate(when, axis=1)
        latest = np.argsort(all_times, axis=1, kind="stable")[:, -2:]
        places[who] = np.take_along_axis(every, latest, axis=1)
        moments[who] = np.take_along_axis(all_times, latest, axis=1)
    return places[:, 0], places[:, 1]


def latest_as_dev(
    time: NDArray[np.int64],
    impression: NDArray[np.int64],
    parts: NDArray[np.int8],
    sizes: list[int],
    count: int,
) -> NDArray[np.int8]:
    """The part of each of some logs, one after the other; of the first log the `count` latest rows, by (time, id), are dev."""
    early = sizes[0]
    columns = {
        "time": time[:early],
        "impression": impression[:early],
        "row": on_disk(early, np.int64, np.arange),
    }
    latest = np.empty(0, np.int64)
    if count:
        ordered = sorted_rows(columns, ("time", "impression"))["row"][early - count :]
        latest = sorted_rows({"row": ordered}, ["row"])["row"]
    ends = np.cumsum(sizes)

    def piece(begin: int, end: int) -> NDArray[np.int8]:
        made = parts[np.searchsorted(ends, np.arange(begin, end), "right")]
        first, behind = np.searchsorted(latest, (begin, end))
        made[latest[first:behind] - begin] = 1
        return made

    return on_disk(len(time), np.int8, piece)


def are_of(part: NDArray[np.int8], number: int) -> NDArray[np.bool_]:
    """Which rows are of the part of this number."""
    return on_disk(len(part), np.bool_, lambda begin, end: part[begin:end] == number)


def first_time(time: NDArray[np.int64], inside: NDArray[np.bool_]) -> str:
    """The earliest time of the rows of the mask in words; `none` where there is none."""
    found = [
        int(time[begin:end][inside[begin:end]].min())
        for begin, end in blocks(len(time), MANY)
        if inside[begin:end].any()
    ]
    return str(np.datetime64(min(found), "s")) + "Z" if found else "none"


def _counts(user: NDArray[Any]) -> NDArray[np.int64]:
    """How many rows each user has."""
    found = np.zeros(0, np.int64)
    for begin, end in blocks(len(user), MANY):
        piece = np.bincount(user[begin:end], minlength=len(found))
        piece[: len(found)] += found
        found = piece
    return found


def _shares(count: int, dev: float, test: float) -> tuple[int, int]:
    """How many are test and dev: the shares rounded down, but one at least where there are enough."""
    tests = max(int(count * test + 1e-9), 1) if test > 0 and count > 1 else 0
    devs = max(int(count * dev + 1e-9), 1) if dev > 0 and count - tests > 1 else 0
    return tests, devs


def in_words(rule: str, dev: float, test: float, seed: int, unit: str) -> str:
    """The rule, for the manifest."""
    if rule == "user":
        shares = [f"{share:g} {part}" for share, part in ((test, "test"), (dev, "dev")) if share]
        return f"by user, all {unit} of one in one part: {' and '.join(shares) or 'all train'}; drawn by seed {seed}"
    last, before = (
        ("the latest", "those before them")
        if rule == "time"
        else ("the last of each user", "the one before it")
    )
    shares = [f"{share:g}" if rule == "time" else "" for share in (test, dev)]
    if test and dev:
        words = f"{last} {shares[0]} test, {before} {shares[1]} dev"
    elif test or dev:
        words = f"{last} {shares[0 if test else 1]} {'test' if test else 'dev'}"
    else:
        words = "all train"
    return f"{unit} by {'time' if rule == 'time' else 'user'}: {' '.join(words.split())}".replace(" ,", ",")


def behind_later_parts(user: NDArray[Any], time: NDArray[np.int64], part: NDArray[np.int8]) -> int:
    """Train rows that stand behind a dev or test row of their user: their histories hold what is to be predicted."""
    first = np.full(
        len(_counts(user)), np.iinfo(np.int64).max
    )  # time of the first such row; train stands before it
    for begin, end in blocks(len(user), MANY):
        later = part[begin:end] > 0
        np.minimum.at(first, user[begin:end][later], time[begin:end][later])
    return sum(
        int(((part[begin:end] <= 0) & (time[begin:end] > first[user[begin:end]])).sum())
        for begin, end in blocks(len(user), MANY)
    )
