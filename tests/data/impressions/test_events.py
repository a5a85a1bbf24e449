from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.data.impressions import events as module
from lego.data.impressions.events import gather
from lego.data.raw import growing, order

TEXTS = st.sampled_from(["b", "a", "A", "é", "Z", "10", "9", ""])
NUMBERS = st.sampled_from([10, 9, -3, 0, 2**40])


def _rows(ids):
    return st.lists(st.tuples(ids, ids, st.integers(0, 9), st.integers(-5, 5)), max_size=20)


def _piece(rows, columns=("user", "item", "value", "time")):
    types = {"value": pa.int64(), "time": pa.int32()}
    flipped = list(zip(*rows, strict=True)) if rows else [[]] * 4
    named = dict(zip(("user", "item", "value", "time"), flipped, strict=True))
    return pa.table({name: pa.array(named[name], types.get(name)) for name in columns})


@given(st.one_of(_rows(TEXTS), _rows(NUMBERS)), st.lists(st.integers(1, 7), max_size=5))
@settings(max_examples=60, deadline=None)
def test_rows_are_the_same_however_the_log_is_cut_into_pieces(rows, cuts):
    """Ids are distinct and ascending, and a row's numbers lead back to what the log said, in its order."""
    pieces, rest = [], rows
    for size in cuts:
        pieces.append(_piece(rest[:size]))
        rest = rest[size:]
    found = gather(iter([*pieces, _piece(rest)]))
    users, items = found.user_ids.to_pylist(), found.item_ids.to_pylist()
    assert users == sorted({row[0] for row in rows})
    assert items == sorted({row[1] for row in rows})
    assert len(found) == len(rows)
    assert [(users[u], items[i]) for u, i in zip(found.user, found.item, strict=True)] == [
        r[:2] for r in rows
    ]
    if rows:
        assert found.value.tolist() == [row[2] for row in rows]
        assert found.time.tolist() == [row[3] for row in rows]


def test_columns_that_are_not_there_are_none():
    """A log that just says who took what has neither values nor times."""
    found = gather([_piece([("u", "i", 1, 2)], ("user", "item"))])
    assert found.value is None
    assert found.time is None


def test_a_count_beyond_what_a_float_holds_exactly_is_rounded():
    """Play counts may be large; they are compared with thresholds, so the nearest number will do."""
    found = gather([pa.table({"user": ["u"], "item": ["i"], "value": pa.array([2**24 + 1], pa.int64())})])
    assert found.value.tolist() == [2.0**24]


def test_pieces_must_have_the_same_columns():
    """Values of some rows would stand beside other rows."""
    first, second = _piece([("u", "i", 1, 2)]), _piece([("u", "i", 1, 2)], ("user", "item", "time"))
    with pytest.raises(ValueError, match="value"):
        gather([first, second])


def test_dictionaries_of_many_pieces_are_joined_on_the_way(monkeypatch):
    """So that ids which every piece names again are not held once per piece; the result is the same."""
    rows = [(f"u{n % 7}", f"i{n % 5}", n % 3, n) for n in range(200)]
    pieces = [_piece(rows[at : at + 8]) for at in range(0, 200, 8)]
    whole = gather([_piece(rows)])
    monkeypatch.setattr(module, "HELD", 20)
    cut = gather(pieces)
    assert cut.user_ids.equals(whole.user_ids)
    assert cut.item_ids.equals(whole.item_ids)
    np.testing.assert_array_equal(cut.user, whole.user)
    np.testing.assert_array_equal(cut.item, whole.item)


def test_a_piece_is_let_go_before_the_next_is_asked_for():
    """A log that is larger than memory is read piece by piece."""
    import gc
    import weakref

    alive = []

    def pieces():
        for _ in range(3):
            gc.collect()
            assert not any(each() is not None for each in alive)
            piece = _piece([("u", "i", 1, 2)])
            alive.append(weakref.ref(piece))
            yield piece
            del piece

    assert len(gather(pieces())) == 3


def _written_out(events):
    return [each.tolist() for each in (events.user, events.item, events.value, events.time)]


def test_some_of_the_rows():
    """Those of a mask, with their values and times; the ids stay."""
    found = gather([_piece([("u", "i", 1, 2), ("v", "j", 3, 4)])]).where(np.array([False, True]))
    assert _written_out(found) == [[1], [1], [3.0], [4]]
    assert found.user_ids.to_pylist() == ["u", "v"]


@pytest.mark.parametrize("count", [0, 1, 500])
def test_another_order_of_all_rows(count, monkeypatch):
    """Drawn by the seed as numpy permutes, or the last row first: never with more rows in memory than are looked at together."""
    log = gather([_piece([(f"u{n % 7}", f"i{n % 5}", n, n) for n in range(max(count, 1))])])
    log = log.where(np.arange(len(log)) < count)
    rows = np.random.default_rng([4, module._ORDER_STREAM]).permutation(count)
    wanted = [np.array(column)[rows].tolist() for column in _written_out(log)]
    monkeypatch.setattr(growing, "HELD", 0)
    monkeypatch.setattr(growing, "MANY", 16)
    monkeypatch.setattr(order, "_RUN", 64)
    monkeypatch.setattr(order, "_MERGED", 64)
    together, add = [], growing.Growing.add
    monkeypatch.setattr(
        growing.Growing, "add", lambda self, values: [together.append(len(values)), add(self, values)][1]
    )
    assert _written_out(module.shuffled(log, 4)) == wanted
    assert max(together, default=0) <= 64
    assert _written_out(log.turned()) == [column[::-1] for column in _written_out(log)]
