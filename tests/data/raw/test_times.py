from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.data.problems import Problems
from lego.data.raw.times import ENGLISH, ISO, read_times, seconds_of

FORM = "%a %b %d %H:%M:%S %z %Y"


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)), st.integers(-14, 14), st.booleans()
        ),
        min_size=1,
    )
)
def test_dates_are_those_of_the_standard_library(rows):
    """Every day, every zone, at once."""
    zones = [
        timezone((-1 if half else 1) * timedelta(hours=abs(hours), minutes=30 * half))
        for _, hours, half in rows
    ]
    dates = [day.replace(microsecond=0, tzinfo=zone) for (day, *_), zone in zip(rows, zones, strict=True)]
    found, known = seconds_of(pa.chunked_array([[each.strftime(FORM) for each in dates]]), ENGLISH)
    assert known.all()
    assert found.tolist() == [int(each.astimezone(UTC).timestamp()) for each in dates]


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        "2017-08-17",
        "Thu Aug 17 24:15:28 -0700 2017",
        "Thu Agu 17 15:15:28 -0700 2017",
        "Thu Aug 00 15:15:28 -0700 2017",
    ],
)
def test_what_is_no_date_is_known(text):
    """Blank, missing, of another form, or of no day."""
    assert not seconds_of(pa.chunked_array([pa.array([text], pa.string())]), ENGLISH)[1].any()


def test_days_and_moments_of_iso_are_in_utc():
    """A day alone begins at midnight; a blank or a T stands before the clock; the rest is no time."""
    texts = [
        "2010-02-01",
        "2010-02-01T00:00:00",
        "2010-02-01 00:00:07",
        "2010-02-30",
        "2010-13-01",
        "1.2.2010",
        None,
        "",
    ]
    seconds, known = seconds_of(pa.array(texts), ISO)
    assert known.tolist() == [True] * 3 + [False] * 5
    begin = int(datetime(2010, 2, 1, tzinfo=UTC).timestamp())
    assert seconds[:3].tolist() == [begin, begin, begin + 7]


def test_what_is_no_time_is_named_and_blanks_are_counted():
    """File, line and column of each; the first twenty in words."""
    table = pa.table({"date": ["2010-02-01", "", None, "never", *["x"] * 30], "line": range(3, 37)})
    problems = Problems()
    _, known, blank = read_times("log.json", "date", table, ISO, "2010-02-01", problems)
    assert (known.sum(), blank, len(problems)) == (1, 2, 31)
    assert problems.shown[0].where == "log.json line 6, column date"
    assert problems.shown[0].what == "a date like 2010-02-01 is expected, 'never' found"
