from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from lego.data.impressions import recent
from lego.data.impressions.recent import most_recent


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("rows", [7, 50, 4_000_000])
def test_the_latest_rows_of_each_user_are_kept(monkeypatch, rows, newest_first):
    """Against a sort in plain Python, whatever is held at a time; ties are settled by the place in the log."""
    monkeypatch.setattr(recent, "_ROWS", rows)
    generator = np.random.default_rng(0)
    log = [(int(u), i, int(t)) for i, (u, t) in enumerate(generator.integers(0, 9, (200, 2)))]
    by_user = defaultdict(list)
    for user, place, time in log:
        by_user[user].append((time, -place if newest_first else place))
    kept = {abs(place) for each in by_user.values() for _, place in sorted(each)[-5:]}
    table = pa.table({name: [row[k] for row in log] for k, name in enumerate(("user", "item", "time"))})
    dropped = {}
    pieces = [table.slice(first, 20) for first in range(0, 200, 20)]
    found = pa.concat_tables(most_recent(pieces, 5, dropped, "old", newest_first=newest_first))
    assert found["item"].to_pylist() == sorted(kept)
    assert dropped == {"old": 200 - len(kept)}


def test_no_rows_are_none():
    """A log without pieces gives none."""
    assert list(most_recent([], 5, {}, "old")) == []
