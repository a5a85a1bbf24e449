"""Tables of a user that are read some rows at a time, beside the same read at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lego import Tables
from lego.data.raw import arrow_frame, csv_frame, frame, growing, json_frame, spool
from lego.data.raw.values import _middle_is_above
from lego.errors import DataError


@pytest.fixture
def log(tmp_path):
    """A log of several users with a few equal times, and the items, as files."""
    (tmp_path / "items.csv").write_text("item_id,title\n" + "".join(f"i{n},Item {n}\n" for n in range(30)))
    generator = np.random.default_rng(0)
    rows = [
        (f"u{generator.integers(9)}", f"i{generator.integers(30)}", 10**9 + int(generator.integers(40)))
        for _ in range(400)
    ]
    lines = "".join(f"{user},{item},{time},{row % 3 > 0:d}\n" for row, (user, item, time) in enumerate(rows))
    (tmp_path / "log.csv").write_text("user,item,time,label\n" + lines)
    users, items, times = zip(*rows, strict=True)
    pq.write_table(pa.table({"user": users, "item": items, "time": times}), tmp_path / "log.parquet")
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """Gives what makes the pieces a few rows, all of it on disk."""

    def pieces():
        for module, name, value in (
            *((module, "ROWS", 7) for module in (frame, csv_frame, arrow_frame)),
            *((module, "BLOCK", 1 << 10) for module in (csv_frame, json_frame)),
            (spool, "HELD", 100),
            (growing, "HELD", 100),
        ):
            monkeypatch.setattr(module, name, value)

    return pieces


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
@pytest.mark.parametrize("split", ["time", "user", "leave_last_out"])
def test_pieces_give_what_the_whole_gives(log, small, name, split):
    """The same users, impressions, counts and rules."""
    source = Tables(str(log / "items.csv"), rows=str(log / name), split=split, negatives=3)
    whole = source.tables()
    small()
    made = source.tables()
    assert made.users.equals(whole.users)
    assert made.impressions == whole.impressions
    assert (made.dropped, made.rules) == (whole.dropped, whole.rules)


def test_what_is_wrong_is_named_by_its_line_in_the_file(log, small):
    """In whichever piece it stands; what is wrong with a whole column is said once."""
    text = (log / "log.csv").read_text().splitlines()
    for line in (30, 300):
        text[line - 1] = text[line - 1].rpartition(",")[0] + ",7"
    (log / "log.csv").write_text("\n".join(text) + "\n")
    small()
    with pytest.raises(DataError) as caught:
        Tables(str(log / "items.csv"), rows=str(log / "log.csv")).tables()
    assert [each.where for each in caught.value.problems] == [
        f"log.csv line {n}, column label" for n in (30, 300)
    ]
    table = pq.read_table(log / "log.parquet")
    pq.write_table(table.set_column(1, "item", pa.array([0.5] * len(table))), log / "log.parquet")
    with pytest.raises(DataError) as caught:
        Tables(str(log / "items.csv"), rows=str(log / "log.parquet")).tables()
    assert [each.where for each in caught.value.problems] == ["log.parquet, column item"]


@given(st.lists(st.integers(0, 12), max_size=9), st.integers(0, 12))
def test_the_unit_of_times_is_that_of_the_median(numbers, low):
    """Counted, and not sorted: numpy's median says the same, also where it lies between two numbers."""
    expected = bool(numbers) and bool(np.median(numbers) > low)
    assert _middle_is_above(np.array(numbers, np.int64), low) == expected
