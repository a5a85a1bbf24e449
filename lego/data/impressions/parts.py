"""Train, dev and test from one log, by a declared rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.ragged import offsets_of

_STREAM = 9
"""Which stream of the seed chooses users; drawing candidates of the parts has 0, 1 and 2."""


def cut(
    rule: str, user: NDArray[np.int64], time: NDArray[np.int64], dev: float, test: float, seed: int
) -> NDArray[np.int8]:
    """0 train, 1 dev, 2 test for each row, which are in the order of the log."""
    part = np.zeros(len(user), np.int8)
    if rule == "user":
        users = np.unique(user)
        drawn = np.random.default_rng([seed, _STREAM]).permutation(users)
        tests, devs = _shares(len(users), dev, test)
        part[np.isin(user, drawn[:tests])] = 2
        part[np.isin(user, drawn[tests : tests + devs])] = 1
        return part
    if rule == "time":
        order = np.lexsort((np.arange(len(user)), time))
        tests, devs = _shares(len(user), dev, test)
        part[order[len(order) - tests - devs :]] = 1
        part[order[len(order) - tests :]] = 2
        return part
    order = np.lexsort((np.arange(len(user)), time, user))
    owner = user[order]
    lengths = np.bincount(owner)
    left = offsets_of(lengths)[1:][owner] - np.arange(len(owner))  # 1 is the last
    tests_row = (left == 1) & (lengths[owner] >= 2) if test > 0 else np.zeros(len(owner), bool)
    behind = 1 if test > 0 else 0
    devs_row = (
        (left == 1 + behind) & (lengths[owner] >= 2 + behind) if dev > 0 else np.zeros(len(owner), bool)
    )
    part[order[devs_row]] = 1
    part[order[tests_row]] = 2
    return part


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


def behind_later_parts(user: NDArray[np.int64], time: NDArray[np.int64], part: NDArray[np.int8]) -> int:
    """Train rows that stand behind a dev or test row of their user: their histories hold what is to be predicted."""
    order = np.lexsort((np.arange(len(user)), part, time, user))
    user, later = user[order], part[order] > 0
    so_far: NDArray[np.int64] = np.cumsum(later) - later
    first = np.searchsorted(user, user)
    return int((~later & (so_far > so_far[first])).sum())
