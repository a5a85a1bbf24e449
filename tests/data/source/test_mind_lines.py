"""Many lines at once give what lines read with care give, or nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lego.data.impressions.log import Catalog
from lego.data.problems import Problems
from lego.data.raw.raw_file import RawFile
from lego.data.source import mind_behaviors, mind_lines
from lego.errors import DataError

KNOWN = [f"N{row}" for row in range(1, 400)]
LINES = [
    "1\tU1\t11/9/2019 12:00:01 AM\tN1 N22 N333\tN3-1 N1-0\n",
    "20\tU22\t1/19/2020 1:02:03 PM\t\tN2-0\n",
    "3\tU1\t12/31/1999 12:59:59 PM\tX\tY-1 X-0\n",
    "4\tU1\t2/29/2020 09:08:07 AM\tN1 Z N2\tZ-1\n",
]


def read(tmp_path, text, known=KNOWN, *, labeled=True):
    path = tmp_path / "behaviors.tsv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    catalog = Catalog(pa.array(known))
    return mind_lines.read_lines(RawFile(path), catalog, labeled=labeled), catalog


def with_care(tmp_path, monkeypatch, *, labeled=True):
    monkeypatch.setattr(mind_behaviors, "read_lines", lambda *_, **__: None)
    catalog, problems = Catalog(pa.array(KNOWN)), Problems()
    log = mind_behaviors.read_log(RawFile(tmp_path / "behaviors.tsv"), catalog, problems, labeled=labeled)
    problems.raise_any()
    return log, catalog


def assert_same(one, other, catalogs=None):
    for name in ("impression", "time", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    for name in ("history", "candidates"):
        values = [getattr(log, name).values for log in (one, other)]
        if catalogs:  # what is missing is numbered piece by piece: compared by what it is
            named = [np.array(["", *KNOWN, *each.missing.to_pylist()]) for each in catalogs]
            values = [names[rows] for names, rows in zip(named, values, strict=True)]
        np.testing.assert_array_equal(*values)
        np.testing.assert_array_equal(getattr(one, name).offsets, getattr(other, name).offsets)
        assert getattr(one, name).values.dtype == getattr(other, name).values.dtype
    assert one.user.to_pylist() == other.user.to_pylist()


@pytest.mark.parametrize("piece", [7, 60, 1 << 20])
def test_lines_give_what_care_gives(tmp_path, monkeypatch, piece):
    """Wherever the file is cut, with unknown ids among them, and without a line feed at its end."""
    monkeypatch.setattr(mind_lines, "_PIECE", piece)
    fast, catalog = read(tmp_path, "".join(LINES)[:-1])
    slow, other = with_care(tmp_path, monkeypatch)
    assert_same(fast, slow, (catalog, other))
    assert set(catalog.missing.to_pylist()) == set(other.missing.to_pylist()) == {"X", "Y", "Z"}


def test_random_lines_give_what_care_gives(tmp_path, monkeypatch):
    """Thousands of lines of any length and time."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(mind_lines, "_PIECE", 1 << 14)

    def line(row):
        past = " ".join(f"N{item}" for item in rng.integers(1, 400, rng.integers(0, 9)))
        shown = " ".join(f"N{item}-{item % 2}" for item in rng.integers(1, 400, rng.integers(1, 9)))
        day = f"{rng.integers(1, 13)}/{rng.integers(1, 29)}/{rng.integers(1000, 3000)}"
        half = "AP"[rng.integers(2)]
        clock = f"{rng.integers(1, 13)}:{rng.integers(60):02d}:{rng.integers(60):02d} {half}M"
        return f"{row}\tU{rng.integers(99)}\t{day} {clock}\t{past}\t{shown}\n"

    fast, _ = read(tmp_path, "".join(line(row) for row in range(3000)))
    assert fast is not None
    slow, _ = with_care(tmp_path, monkeypatch)
    assert_same(fast, slow)


@pytest.mark.parametrize(
    "change",
    [
        ("N22", "N22 "),
        ("N22", "N2222222222"),
        ("N22", "Né"),
        ("N22", "N\x00"),
        ("N3-1", "N3-2"),
        ("N3-1", "N3_1"),
        ("N3-1", "-1"),
        ("N3-1 N1-0", ""),
        ("1\tU1", "\tU1"),
        ("1\tU1", "x\tU1"),
        ("1\tU1", "1\t"),
        ("1\tU1", "1\tU 1"),
        ("\tN1 N22 N333", ""),
        ("\n", "\t\n"),
        ("\n", "\r\n"),
        ("\n", "\n\n"),
        ("11/9", "13/9"),
        ("11/9", "11/31"),
        ("11/9", "11/0"),
        ("11/9", "119"),
        ("11/9", "1/1/9"),
        ("/2019", "/20193"),
        ("12:00:01", "13:00:01"),
        ("12:00:01", "0:00:01"),
        ("12:00:01", "1:60:01"),
        ("12:00:01", "1:0:01"),
        ("12:00:01 AM", "12:00:01 XM"),
        ("12:00:01 AM", "12:00:01  AM"),
        ("12:00:01 AM", "12:00:01"),
        ("11/9/2019 12:00:01 AM", ""),
    ],
)
def test_what_is_not_as_published_is_left_to_care(tmp_path, change):
    """Nothing comes of a file with one line that is odd, wherever it stands."""
    for place in (0, 2):
        lines = LINES[1:]
        lines.insert(place, LINES[0].replace(*change, 1))
        assert LINES[0] != lines[place]
        assert read(tmp_path, "".join(lines))[0] is None


def test_a_line_without_end_is_left_to_care(tmp_path, monkeypatch):
    """What is longer than a line can be is not collected; an empty file is none either."""
    monkeypatch.setattr(mind_lines, "_PIECE", 10)
    monkeypatch.setattr(mind_lines, "_LINE", 20)
    assert read(tmp_path, LINES[0])[0] is None
    assert read(tmp_path, "")[0] is None


@pytest.mark.parametrize("piece", [60, 1 << 20])
def test_lines_without_labels_are_read_as_they_are(tmp_path, monkeypatch, piece):
    """Ids of one character up to eight; one label among them is left to care, which refuses it."""
    monkeypatch.setattr(mind_lines, "_PIECE", piece)
    bare = (
        "".join(LINES).replace("-0", "").replace("-1", "")
        + "5\tU3\t2/29/2020 09:08:07 AM\t\tN2 N1234567 N399 Q\n"
    )
    fast, catalog = read(tmp_path, bare, labeled=False)
    slow, other = with_care(tmp_path, monkeypatch, labeled=False)
    assert_same(fast, slow, (catalog, other))
    assert not fast.labels.any()
    assert set(catalog.missing.to_pylist()) == {"X", "Y", "Z", "N1234567", "Q"}
    assert read(tmp_path, bare + LINES[0], labeled=False)[0] is None
    with pytest.raises(DataError, match="line 6, column impressions: candidates have labels"):
        with_care(tmp_path, monkeypatch, labeled=False)
