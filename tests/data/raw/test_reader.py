from __future__ import annotations

import pyarrow as pa
import pytest

from lego.data.problems import LIMIT, Problems
from lego.data.raw import reader
from lego.data.raw.reader import DAY, MOMENT, Column, Layout, read_pieces, read_rows

COLUMNS = (Column("id", pa.int64(), low=0), Column("name"), Column("score", pa.float64(), low=0.5, high=5.0))


@pytest.fixture
def read(tmp_path):
    def run(content):
        path = tmp_path / "some.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        problems = Problems()
        return read_rows(path, COLUMNS, problems), problems

    return run


@pytest.mark.parametrize(
    "content",
    [
        'id,name,score\n1,one,0.5\n2,"two, too",5\n',
        'id,name,score\r\n1,one,0.5\r\n2,"two, too",5\r\n',
        '\ufeffid,name,score\n1,one,0.5\n\n2,"two, too",5.0',
        'more,score,id,name\n9,.5,1,one\n9,5e0,2,"two, too"\n',
        'id,name,score\n 1 ,one, 0.5\n2,"two, too",5\n',
    ],
)
def test_what_csv_allows_is_read(read, content):
    """Line ends of both kinds, a byte order mark, blank lines, columns in another order or of no interest."""
    table, problems = read(content)
    assert not len(problems)
    assert table.to_pydict() == {"id": [1, 2], "name": ["one", "two, too"], "score": [0.5, 5.0]}


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("", "some.csv", "is empty"),
        ("\n\n", "some.csv", "is empty"),
        ("id,name,score\n", "some.csv", "holds a header and no rows"),
        (
            "id,title,score\n1,a,1\n",
            "some.csv line 1",
            "the column name is missing; there are id, title, score",
        ),
        ("id,Name,score\n1,a,1\n", "some.csv line 1", "Did you mean 'Name'?"),
        ("id,id,name,score\n1,1,a,1\n", "some.csv line 1", "the column id is there twice"),
        ("id,name,score\n1,a,1\n2,b\n", "some.csv line 3", "3 columns are expected, 2 found"),
        ("id,name,score\n1,a,1\n2,b,c,2\n", "some.csv line 3", "3 columns are expected, 4 found"),
        (
            "id,name,score\nx,a,1\n",
            "some.csv line 2, column id",
            "a whole number, 0 or more is expected, 'x' found",
        ),
        ("id,name,score\n1.5,a,1\n", "some.csv line 2, column id", "'1.5' found"),
        ("id,name,score\n,a,1\n", "some.csv line 2, column id", "'' found"),
        ("id,name,score\n-1,a,1\n", "some.csv line 2, column id", "'-1' found"),
        (
            "id,name,score\n99999999999999999999,a,1\n",
            "some.csv line 2, column id",
            "'99999999999999999999' found",
        ),
        (
            "id,name,score\n1,a,good\n",
            "some.csv line 2, column score",
            "a number from 0.5 to 5 is expected, 'good' found",
        ),
        ("id,name,score\n1,a,5.5\n", "some.csv line 2, column score", "'5.5' found"),
        ("id,name,score\n1,a,nan\n", "some.csv line 2, column score", "'nan' found"),
        ("id,name,score\n1,a,\n", "some.csv line 2, column score", "'' found"),
        (b"id,name,score\n1,a,1\n2,caf\xe9,1\n", "some.csv line 3", "byte 6 of the line, 0xe9, is not UTF-8"),
        ('id,name,score\n1,"a,1\n2,b,2\n', "some.csv line 2", "a quote is opened and not closed"),
        ('id,name,score\n1,"a,1\n2,b",2\n', "some.csv line 2", "a quote is opened and not closed"),
        ("\n\nid,name,score\n\n1,a,x\n", "some.csv line 5, column score", "'x' found"),
    ],
)
def test_what_cannot_be_read_is_named(read, content, where, what):
    """The first problem stands at its line and column and says what was expected and what was found."""
    table, problems = read(content)
    assert table is None
    assert problems.shown[0].where == where
    assert what in problems.shown[0].what


def test_all_problems_of_a_file_come_at_once(read):
    """Problems of different kinds are collected, of each the first twenty in full and the rest counted."""
    table, problems = read(b"id,name,score\nx,a,9\n1,b\n2,\xff,1\n" + b"3,c,0\n" * 30)
    assert table is None
    assert [problem.where for problem in problems.shown[:4]] == [
        "some.csv line 2, column id",
        "some.csv line 2, column score",
        "some.csv line 3",
        "some.csv line 4",
    ]
    assert len(problems.shown) == LIMIT + 3
    assert len(problems) == 34


# --- piece by piece -----------------------------------------------------------------------------------------------------------

SEMICOLONS = Layout(delimiter=";", encoding="latin-1", quotes=True, escape="\\")


@pytest.fixture
def pieces(tmp_path):
    def run(content, columns=COLUMNS, layout=reader.CSV, odd=None):
        path = tmp_path / "some.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(layout.encoding))
        problems = Problems()
        return list(read_pieces(path, columns, problems, layout, odd)), problems

    return run


def test_pieces_put_together_are_the_file(pieces, read, monkeypatch):
    """Blocks of 64 bytes give several pieces, whose rows are those of reading in one go."""
    content = "id,name,score\n" + "".join(f"{row},number {row},{row % 9 / 2 + 0.5}\n" for row in range(100))
    monkeypatch.setattr(reader, "_BLOCK", 64)
    found, problems = pieces(content)
    assert not len(problems)
    assert len(found) > 5
    assert pa.concat_tables(found).equals(read(content)[0])


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("", "some.csv", "is empty"),
        ("id,name,score\n", "some.csv", "holds a header and no rows"),
        ("id,title,score\n1,a,1\n", "some.csv line 1", "the column name is missing"),
        ("id,name,score\n1,a,1\n2,b\n", "some.csv line 3", "3 columns are expected, 2 found"),
        ("id,name,score\n1,a,1\n2,b,9\n", "some.csv line 3, column score", "'9' found"),
        ("id,name,score\n1,a,1\nx,b,1\n", "some.csv line 3, column id", "'x' found"),
        (b"id,name,score\n1,a,1\n1,\xff,1\n", "some.csv line 3", "0xff, is not UTF-8"),
        ('id,name,score\n1,"a\n1,b,1\n1,c",1\n', "some.csv line 2", "a quote is opened and not closed"),
    ],
)
def test_what_is_wrong_in_a_piece_is_named(pieces, content, where, what):
    """By line and column, as where a file is read in one go."""
    _, problems = pieces(content)
    assert problems.shown[0].where == where
    assert what in problems.shown[0].what


def test_rows_of_another_length_are_left_out_where_it_is_said(pieces):
    """Their text is handed over, so that they can be counted, or read otherwise; what else is wrong stays wrong."""
    odd = []
    found, problems = pieces("id,name,score\n1,a,1\n2,b\n3,c,4,5\n4,d,2\n", odd=odd)
    assert not len(problems)
    assert pa.concat_tables(found)["id"].to_pylist() == [1, 4]
    assert odd == ["2,b", "3,c,4,5"]
    _, problems = pieces("id,name,score\n1,a,1\n2,b\nx,c,4\n", odd=[])
    assert [problem.where for problem in problems.shown] == ["some.csv line 4, column id"]


def test_quotes_behind_a_backslash_are_read(pieces):
    """Semicolons, everything in quotes, in Latin-1."""
    line = '"1";"The \\"Caf\u00e9\\"; a tale";"5"'
    found, problems = pieces(f'"id";"name";"score"\n{line}\n', layout=SEMICOLONS)
    assert not len(problems)
    assert found[0]["name"].to_pylist() == ['The "Caf\u00e9"; a tale']
    _, problems = pieces('"id";"name";"score"\n"1";"a \\"b\\" c";"none"\n', layout=SEMICOLONS)
    assert problems.shown[0].where == "some.csv line 2, column score"


def test_a_value_goes_over_lines_where_it_is_said(pieces):
    """A line break in quotes is part of the value, and lines are counted on."""
    layout = Layout(breaks=True)
    found, problems = pieces('id,name,score\n1,"two\nlines",1\n2,b,2\n', layout=layout)
    assert not len(problems)
    assert found[0]["name"].to_pylist() == ["two\nlines", "b"]
    _, problems = pieces('id,name,score\n1,"two\nlines",1\nx,b,2\n', layout=layout)
    assert problems.shown[0].where == "some.csv line 4, column id"


def test_days_and_times_are_read(pieces):
    """As seconds since 1970; a day that no calendar has is named."""
    columns = (Column("day", DAY), Column("time", MOMENT))
    found, problems = pieces("day,time\n1970-01-02,1970-01-01T00:01:00Z\n", columns)
    assert not len(problems)
    assert found[0]["time"].cast(pa.int64()).to_pylist() == [60]
    assert found[0]["day"].cast(pa.timestamp("s")).cast(pa.int64()).to_pylist() == [86400]
    _, problems = pieces("day,time\n2020-02-30,noon\n", columns)
    assert [problem.what for problem in problems.shown] == [
        "a day like 2020-09-16 is expected, '2020-02-30' found",
        "a time like 2020-09-16T08:15:00Z is expected, 'noon' found",
    ]
