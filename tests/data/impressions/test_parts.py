"""How a log is cut into parts, beside the slow way that sorts all of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.data.impressions import parts
from lego.data.impressions.parts import behind_later_parts, cut
from lego.data.raw import growing

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 3) | st.integers(0, 2**40), st.integers(-1, 2)), max_size=60
)


@pytest.fixture
def small(monkeypatch):
    """A few rows at a time."""
    for module, name, value in ((parts, "MANY", 5), (growing, "MANY", 3), (growing, "HELD", 16)):
        monkeypatch.setattr(module, name, value)


def slowly(rule, user, time, dev, test, seed):
    """Parts by sorting rows one by one."""
    part = [0] * len(user)

    def shares(count):
        tests = max(int(count * test + 1e-9), 1) if test > 0 and count > 1 else 0
        return tests, max(int(count * dev + 1e-9), 1) if dev > 0 and count - tests > 1 else 0

    if rule == "user":
        drawn = np.random.default_rng([seed, 9]).permutation(np.unique(user)).tolist()
        tests, devs = shares(len(drawn))
        number = dict.fromkeys(drawn[:tests], 2) | dict.fromkeys(drawn[tests : tests + devs], 1)
        return [number.get(each, 0) for each in user.tolist()]
    if rule == "time":
        order = sorted(range(len(user)), key=lambda row: (time[row], row))
        tests, devs = shares(len(order))
        for place, row in enumerate(reversed(order)):
            part[row] = 2 if place < tests else int(place < tests + devs)
        return part
    for each in set(user.tolist()):
        rows = sorted(np.flatnonzero(user == each).tolist(), key=lambda row: (time[row], row))
        if test > 0 and len(rows) >= 2:
            part[rows[-1]] = 2
        behind = 1 if test > 0 else 0
        if dev > 0 and len(rows) >= 2 + behind:
            part[rows[-1 - behind]] = 1
    return part


@pytest.mark.usefixtures("small")
@settings(max_examples=120, deadline=None)
@given(
    rows=ROWS,
    rule=st.sampled_from(["time", "user", "leave_last_out"]),
    shares=st.sampled_from([(0.1, 0.2), (0.0, 0.3), (0.4, 0.0), (0.0, 0.0), (0.45, 0.45)]),
)
def test_the_parts_are_those_of_sorting_all_rows(rows, rule, shares):
    """Many rows share a time, users are in any order, and it is asked for a few rows at a time."""
    user, time, _ = (np.array([row[place] for row in rows], np.int64) for place in range(3))
    made = cut(rule, user, time, *shares, 4)
    assert made.dtype == np.int8
    assert made.tolist() == slowly(rule, user, time, *shares, 4)


@pytest.mark.usefixtures("small")
@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_train_rows_behind_later_parts_are_counted(rows):
    """One by one it is the same: rows of no later part behind one of a later part, where equal times have train first."""
    user, time, part = (np.array([row[place] for row in rows], np.int64) for place in range(3))
    slow = 0
    for each in set(user.tolist()):
        mine = sorted((time[row], part[row], row) for row in np.flatnonzero(user == each))
        later = [place for place, (_, number, _) in enumerate(mine) if number > 0]
        slow += sum(number <= 0 for _, number, _ in mine[min(later, default=len(mine)) :])
    assert behind_later_parts(user, time, part.astype(np.int8)) == slow
