from __future__ import annotations

import pyarrow as pa
import pytest

from lego.data.problems import Problems
from lego.data.raw import csv_frame
from lego.data.raw.csv_frame import read_csv


@pytest.fixture
def sizes(monkeypatch):
    """Bytes of the pieces that each try reads; 64 at first."""
    tried, real = [], csv_frame._spooled_csv

    def spooled(path, names, delimiter, size):
        tried.append(size)
        return real(path, names, delimiter, size)

    monkeypatch.setattr(csv_frame, "_spooled_csv", spooled)
    monkeypatch.setattr(csv_frame, "_PIECE", 64)
    monkeypatch.setattr(csv_frame, "BLOCK", 4096)
    return tried


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n" + "1,2\n" * 30 + "x" * 500 + ",3\n",
        f"{'a' * 500},b\n1,2\n",
        'a,b\n1,"' + "x " * 300 + '"\n',
    ],
    ids=["row", "names", "quoted"],
)
def test_a_row_longer_than_a_piece_is_read_in_larger_ones(tmp_path, sizes, text):
    """A row, one in quotes, or the line of names."""
    path, problems = tmp_path / "long.csv", Problems()
    path.write_text(text)
    frame = read_csv(path, "long.csv", "csv", problems)
    assert not len(problems)
    assert frame.table.num_rows == text.count("\n") - 1
    assert sizes == [64, 4096]


def test_a_malformed_table_is_read_once(tmp_path, sizes):
    """Larger pieces make a line with another number of columns no better."""
    path, problems = tmp_path / "wrong.csv", Problems()
    path.write_text("a,b\n" + "1,2\n" * 40 + "1,2,3\n")
    assert read_csv(path, "wrong.csv", "csv", problems) is None
    assert [each.what for each in problems.shown] == ["2 columns are expected, 3 found"]
    assert sizes == [64]


def test_arrow_says_so_of_a_row_that_does_not_fit(tmp_path):
    """In words that are known, whatever its version."""
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "1,2\n" * 30 + "x" * 500 + ",3\n")
    with pytest.raises(pa.ArrowInvalid) as told:
        csv_frame._spooled_csv(path, ["a", "b"], ",", 64)
    assert any(each in str(told.value) for each in csv_frame._LONGER)
