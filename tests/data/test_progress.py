from __future__ import annotations

import pyarrow as pa
import pytest

from lego.data.problems import Problems
from lego.data.progress import Reading, count, watched
from lego.data.raw.read_frame import read_frame
from lego.data.raw.reader import Column, read_rows


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


def test_files_that_are_read_in_one_go_are_counted(tmp_path):
    """Rows and bytes of a file of known columns, and of a table of anybody's."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1,2\n" * 50)
    problems = Problems()
    with watched(print, [path]) as reading:
        assert read_rows(path, [Column("a", pa.int64()), Column("b", pa.int64())], problems).num_rows == 50
        assert (reading.rows, reading.read > 0) == (50, True)
    with watched(print, [path]) as reading:
        assert read_frame(path, path.name, problems).table.num_rows == 50
        assert (reading.rows, reading.read) == (50, reading.bytes)
    assert not len(problems)
