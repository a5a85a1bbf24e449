"""Which of several rows of a user id is the latest."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from lego.data.store import Impressions, Users
from lego.ragged import Ragged
from lego.runtime.latest import latest_of

USERS = Users(
    user_ids=pa.array(["a", "b", "a", "a", "c", "c"]),
    history=Ragged.from_lengths(np.arange(1, 16), np.array([3, 2, 4, 1, 3, 2])),
)


def part(rows, times=None):
    """Impressions of (user row, start, stop), counted within the user."""
    user = np.array([row for row, _, _ in rows], np.int32)
    base = USERS.history.offsets[user]
    return Impressions(
        impression=np.arange(len(rows)),
        user=user,
        start=base + np.array([start for _, start, _ in rows], np.int64),
        stop=base + np.array([stop for _, _, stop in rows], np.int64),
        time=None if times is None else np.array(times, np.int64),
        candidates=Ragged(np.empty(0, np.int32), np.zeros(len(rows) + 1, np.int64)),
        labels=np.empty(0, np.int8),
    )


def found(parts, *ids):
    store = SimpleNamespace(users=USERS, parts=tuple(parts), part=parts.__getitem__)
    got = latest_of(store, pa.array(ids, pa.string()))
    values = USERS.history.values
    return [
        (row, values[start:stop].tolist())
        for row, start, stop in zip(got.row.tolist(), got.start, got.stop, strict=True)
    ]


@pytest.mark.parametrize(
    ("train", "test", "wanted"),
    [
        (([(0, 0, 3), (2, 0, 4)], [50, 90]), ([(3, 0, 1)], [70]), (2, [6, 7, 8, 9])),
        (([(0, 0, 3), (2, 0, 4)], [50, 40]), ([(3, 0, 1)], [30]), (0, [1, 2, 3])),
        (([(0, 0, 3), (2, 0, 4)], None), ([(3, 0, 1)], None), (3, [10])),
        (([(2, 0, 4)], None), ([(3, 0, 1), (0, 0, 2)], None), (0, [1, 2])),
        (([(2, 0, 4)], [-1]), ([(3, 0, 1)], [-1]), (3, [10])),
    ],
    ids=["time", "time of another part", "part", "length in the part", "unknown times"],
)
def test_the_latest_impression_decides(train, test, wanted):
    """The greatest time; without times the latest part, and in it the longest history."""
    assert found({"train": part(*train), "test": part(*test)}, "a") == [wanted]


def test_who_has_no_impression_has_the_longest_history():
    """And ids come in the order asked for; an unknown one has row -1 and nothing."""
    empty = {"train": part([(1, 0, 1)]), "test": part([])}
    assert found(empty, "c", "nobody", "b", "a") == [
        (4, [11, 12, 13]),
        (-1, []),
        (1, [4]),
        (2, [6, 7, 8, 9]),
    ]
