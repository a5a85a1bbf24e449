from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
import pytest

from lego.data.impressions import log as module
from lego.data.impressions import shared_histories
from lego.data.impressions.growing_log import GrowingLog
from lego.data.impressions.log import Log, drop_missing, join_logs, part_of_log
from lego.data.impressions.shared_histories import share_histories, signals_of_shared
from lego.data.raw import growing
from lego.data.table import CATEGORY, ragged
from lego.ragged import Ragged


def some_log(seed, rows=60):
    """Few users and items, so that histories are often the same, or the beginning of another."""
    chance = np.random.default_rng(seed)
    past, shown = chance.integers(0, 5, rows), chance.integers(1, 6, rows)
    return Log(
        impression=np.arange(rows),
        user=pa.chunked_array([[f"u{each}" for each in chance.integers(0, 4, rows)]]),
        time=chance.integers(0, 100, rows),
        history=Ragged.from_lengths(chance.integers(1, 3, past.sum()).astype(np.int32), past),
        candidates=Ragged.from_lengths(chance.integers(1, 9, shown.sum()).astype(np.int32), shown),
        labels=chance.integers(0, 2, shown.sum()).astype(np.int8),
    )


@pytest.fixture(params=[(1 << 13, 1 << 20, 1 << 26, 1 << 22), (3, 4, 10, 0)])
def sizes(request, monkeypatch):
    """How much is looked at at a time: all, or very little, which is then put on disk."""
    rows, values, pending, held = request.param
    monkeypatch.setattr(module, "_FEW", rows)
    monkeypatch.setattr(module, "MANY", values)
    for name, size in (("_FEW", rows), ("MANY", values), ("_PENDING", pending), ("_SHARED", 2 * pending)):
        monkeypatch.setattr(shared_histories, name, size)
    monkeypatch.setattr(growing, "MANY", values)
    monkeypatch.setattr(growing, "HELD", held)


def test_histories_are_shared_whatever_is_looked_at_at_a_time(sizes):
    """Every impression finds its own history at the beginning of its row; no row begins another one of its user."""
    logs = [some_log(1), some_log(2)]
    users, row, stop = share_histories(logs)
    history, names = ragged(users["history"]), users["user_id"].to_pylist()
    wanted = [each.history[place].tolist() for each in logs for place in range(len(each.history))]
    owners = [name for each in logs for name in each.user.to_pylist()]
    assert [history[r][:n].tolist() for r, n in zip(row, stop, strict=True)] == wanted
    assert [names[r] for r in row] == owners
    assert sorted(set(row.tolist())) == list(range(len(users)))
    assert list(dict.fromkeys(names)) == list(dict.fromkeys(owners))
    for one in range(len(users)):
        for other in range(len(users)):
            same = names[one] == names[other] and one != other
            assert not (same and history[other][: len(history[one])].tolist() == history[one].tolist())


def test_numbers_beside_a_shared_history_are_those_of_who_has_seen_most_of_it(sizes):
    """Of several that have seen all of it the last one."""
    log, chance = some_log(5), np.random.default_rng(6)
    numbers = chance.random(len(log.history.values)).astype(np.float32)
    log = attrs.evolve(log, history_signals={"read": numbers})
    users, row, stop = share_histories([log])
    found = signals_of_shared([log], row)["read"]
    beside = Ragged(numbers, log.history.offsets)
    for user, length in enumerate(ragged(users["history"]).lengths):
        last = max(place for place in range(60) if row[place] == user and stop[place] == length)
        assert found[user].tolist() == beside[last].tolist()


def test_a_log_that_grows_is_what_was_added(sizes):
    """Piece by piece: ids, lists, attributes whose words other pieces lack, numbers, missing ones."""
    words = (["a", None, "b"], ["c", "a", None], [None, None, None])
    pieces = [
        attrs.evolve(
            some_log(seed, 3),
            attributes=pa.table(
                {
                    "kind": pa.array(each).cast(pa.string()).dictionary_encode().cast(CATEGORY),
                    "size": pa.array([1.5, None, seed]),
                }
            ),
            signals={"place": np.arange(len(some_log(seed, 3).labels), dtype=np.float32)},
        )
        for seed, each in enumerate(words)
    ]
    made, whole = GrowingLog.of(pieces), join_logs(pieces)
    for name in ("impression", "time", "labels"):
        assert getattr(made, name).tolist() == getattr(whole, name).tolist()
    for name in ("history", "candidates"):
        rows, wanted = getattr(made, name), getattr(whole, name)
        assert (rows.values.tolist(), rows.offsets.tolist()) == (
            wanted.values.tolist(),
            wanted.offsets.tolist(),
        )
    assert made.user.to_pylist() == whole.user.to_pylist()
    assert made.attributes.to_pylist() == whole.attributes.to_pylist()
    assert made.attributes.schema == whole.attributes.schema
    assert made.signals["place"].tolist() == whole.signals["place"].tolist()


def test_parts_have_the_candidates_of_their_rows(sizes):
    """In the order in which the rows are named; all rows, some, none."""
    log = some_log(3)
    for rows in (np.arange(60), np.array([5, 2, 2, 59]), np.empty(0, np.int64)):
        part = part_of_log(log, rows, np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int64))
        labels = Ragged(log.labels, log.candidates.offsets)
        assert part["candidates"].to_pylist() == [log.candidates[row].tolist() for row in rows]
        assert part["labels"].to_pylist() == [labels[row].tolist() for row in rows]


def test_missing_items_leave_lists_and_the_others_stay(sizes):
    """Row by row what is left is what a plain filter leaves; an impression without candidates is counted and gone."""
    log, dropped = some_log(4), {}
    (left,) = drop_missing([log], 3, 5, dropped)
    shown = [[item for item in log.candidates[row].tolist() if item <= 3] for row in range(60)]
    past = [[item for item in log.history[row].tolist() if item <= 3] for row in range(60)]
    rows = [row for row in range(60) if shown[row]]
    assert left.impression.tolist() == rows
    assert [left.candidates[place].tolist() for place in range(len(rows))] == [shown[row] for row in rows]
    assert [left.history[place].tolist() for place in range(len(rows))] == [past[row] for row in rows]
    assert len(left.labels) == len(left.candidates.values)
    assert dropped["impressions_without_candidates"] == 60 - len(rows)
    assert dropped["missing_items"] == 5
