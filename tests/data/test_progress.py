from __future__ import annotations

import pytest

from lego.data.progress import Reading, count, watched


def test_what_is_told_has_speed_and_time_left():
    """Every second at most; the share is that of the bytes."""
    moments, told = iter([0.0, 0.5, 2.0, 2.1, 4.0]), []
    reading = Reading(told.append, 1000, clock=lambda: next(moments))
    for _ in range(4):
        reading.add(100, 100)
    assert told == [
        "reading: 200 rows, 100 a second, 20%, about 8 s left",
        "reading: 400 rows, 100 a second, 40%, about 6 s left",
    ]


def test_without_bytes_nothing_is_said_of_what_is_left():
    """Rows alone are counted."""
    assert Reading(print, 0).line(2.0) == "reading: 0 rows, 0 a second"


def test_who_reads_need_not_know_who_listens(tmp_path):
    """Rows are counted for the innermost who watches, and for nobody outside."""
    path = tmp_path / "raw"
    path.write_bytes(b"x" * 10)
    count(5)
    with watched(print, [path, tmp_path / "gone"]) as reading:
        count(3, 4)
        assert (reading.rows, reading.read, reading.bytes) == (3, 4, 10)
    count(5)
    assert reading.rows == 3
    with pytest.raises(ValueError, match="stop"), watched(print, []):
        raise ValueError("stop")
    count(1)
