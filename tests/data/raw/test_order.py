"""Rows that are sorted in runs and merged, beside numpy's own sort of all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.data.raw import growing, order
from lego.data.raw.order import sorted_rows


@pytest.fixture
def small(monkeypatch):
    """Runs of a few rows, each array on disk."""
    for module, name, value in ((order, "_RUN", 7), (order, "_MERGED", 5), (growing, "HELD", 16)):
        monkeypatch.setattr(module, name, value)


def both(columns, keys):
    """What is made, and what numpy makes of it."""
    places = np.lexsort([columns[name] for name in reversed(keys)])
    return sorted_rows(columns, keys), {name: values[places] for name, values in columns.items()}


@pytest.mark.usefixtures("small")
@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(-(2**62), 2**62) | st.integers(0, 2), st.integers(0, 2)),
        max_size=60,
    ),
    keys=st.sampled_from([("user",), ("time",), ("user", "time"), ("user", "time", "part")]),
)
def test_it_is_the_stable_order_of_all_rows(rows, keys):
    """Whatever is equal stays as it stands, from no row to many runs."""
    user, time, part = (np.array([row[place] for row in rows], np.int64) for place in range(3))
    columns = {
        "user": user.astype(np.int32),
        "time": time,
        "part": part.astype(np.int8),
        "row": np.arange(len(rows)),
    }
    made, wanted = both(columns, keys)
    for name, values in wanted.items():
        assert made[name].dtype == values.dtype
        np.testing.assert_array_equal(made[name], values, name)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("of", ["equal", "ascending", "descending", "one apart"])
def test_no_stretch_is_longer_than_what_is_merged_together(of, monkeypatch):
    """Even where all rows have one key, or the runs are in the worst order."""
    key = {
        "equal": np.zeros(500, np.int64),
        "ascending": np.arange(500),
        "descending": np.arange(500)[::-1],
        "one apart": np.repeat([3, 1, 3], [200, 1, 299]),
    }[of]
    monkeypatch.setattr(order, "_RUN", 50)
    monkeypatch.setattr(order, "_MERGED", 100)
    together, plain = [], order._order

    def seen(columns, keys):
        together.append(len(columns[keys[0]]))
        return plain(columns, keys)

    monkeypatch.setattr(order, "_order", seen)
    columns = {"key": np.ascontiguousarray(key), "row": np.arange(500)}
    made, wanted = both(columns, ("key",))
    np.testing.assert_array_equal(made["row"], wanted["row"])
    assert max(together) <= 100
