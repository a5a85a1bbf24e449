"""Tables of one's own: what is read as what, how parts and candidates come about, and what is said of bad input."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from lego.data.describe import doubts, dropped_line
from lego.data.prepare import prepare
from lego.data.problems import LIMIT
from lego.data.raw.guess import looks_like
from lego.data.source.mind import MIND
from lego.data.source.tables import Tables
from lego.data.store import Store
from lego.errors import DataError, SpecError
from lego.expression import parse
from lego.home import home
from lego.spec import any_of

ITEMS = "item_id,title,kind\na,One thing,x\nb,Two things,x\nc,Three,y\nd,Four,y\n"
ROWS = "user,item,time\nu,a,1\nu,b,2\nu,c,3\nv,b,4\nv,d,5\nv,a,6\n"
SHOWN = "user,time,history,impressions\nu,1,a b,c-1 d-0\nu,2,a b c,d-0 a-0\nv,3,,a-1 b-0\nw,4,d,a-0 b-1\n"


@pytest.fixture
def write(tmp_path):
    def written(text, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return written


@pytest.fixture
def made(write):
    """The tables of a log, beside the items."""

    def make(log=ROWS, kind="rows", *, items=ITEMS, name="log.csv", **options):
        return Tables(write(items, "items.csv"), **{kind: write(log, name)}, **options).tables()

    return make


@pytest.fixture
def complaint(made):
    def complain(*given, **options):
        with pytest.raises(DataError) as caught:
            made(*given, **options)
        return str(caught.value)

    return complain


def shown(tables, part):
    """User id, history as ids, candidates as ids, labels, of each impression."""
    ids = [None, *tables.items["item_id"].to_pylist()]
    rows = []
    for row in tables.impressions[part].to_pylist():
        user = tables.users.slice(row["user"], 1).to_pylist()[0]
        past = [ids[item] for item in user["history"][row["start"] : row["stop"]]]
        rows.append((user["user_id"], past, [ids[item] for item in row["candidates"]], row["labels"]))
    return rows


def clicks(tables, part):
    """User, history and what was clicked."""
    return [
        (user, "".join(past), "".join(c for c, y in zip(candidates, labels, strict=True) if y))
        for user, past, candidates, labels in shown(tables, part)
    ]


# --- logs ---------------------------------------------------------------------------------------------------------------------


def test_a_click_is_shown_among_items_the_user_never_met(made):
    """Each click of rows without impression ids is an impression whose history is all clicks of the user before it."""
    tables = made(negatives=2)
    assert clicks(tables, "train") == [("u", "", "a"), ("u", "a", "b"), ("u", "ab", "c"), ("v", "", "b")]
    assert clicks(tables, "dev") == [("v", "b", "d")]
    assert clicks(tables, "test") == [("v", "bd", "a")]
    met = {"u": set("abc"), "v": set("abd")}
    for part in tables.impressions:
        for user, _, candidates, labels in shown(tables, part):
            assert not met[user] & {c for c, y in zip(candidates, labels, strict=True) if not y}
            assert sum(labels) == 1
    assert tables.users["times"].to_pylist() == [[1, 2, 3], [4, 5, 6]]


def test_a_row_without_a_click_is_never_drawn(made):
    """What was labelled 0 is no click, is in no history, and is not drawn for its user."""
    log = "user,item,label,time\nu,a,1,1\nu,b,0,2\nu,c,1,3\nv,d,1,4\nv,a,1,5\n"
    tables = made(log, negatives=3, candidates="uniform", dev=0)
    every = [row for part in tables.impressions for row in shown(tables, part) if row[0] == "u"]
    assert [row[1] for row in every] == [[], ["a"]]
    assert not any("b" in row[2] for row in every)


def test_ratings_become_clicks_above_a_bound(made, complaint):
    """A rating is no label until it is said which are clicks."""
    log = "user,item,rating\nu,a,5\nu,b,2\nu,c,4.5\nv,a,4\nv,b,3.5\n"
    assert "above=3" in complaint(log)
    tables = made(log, above=3, negatives=2, dev=0, candidates="uniform")
    assert clicks(tables, "train") + clicks(tables, "test") == [
        ("u", "", "a"),
        ("v", "", "a"),
        ("u", "a", "c"),
        ("v", "a", "b"),
    ]
    assert tables.rules["click"] == "label above 3"


def test_rows_of_one_impression_stay_together(made):
    """Candidates and labels are those of the rows, the history is earlier clicks; one without a click stays."""
    log = "user,item,click,time,impression_id\nu,a,1,10,7\nv,c,0,30,8\nu,b,0,10,7\nu,d,1,40,9\nu,a,0,40,9\nv,b,1,50,11\n"
    tables = made(log, dev=0, test=0.25)
    assert shown(tables, "train") == [
        ("u", [], ["a", "b"], [1, 0]),
        ("v", [], ["c"], [0]),
        ("u", ["a"], ["d", "a"], [1, 0]),
    ]
    assert shown(tables, "test") == [("v", [], ["b"], [1])]
    assert tables.impressions["train"]["impression"].to_pylist() == [7, 8, 9]
    assert tables.rules["one_class"]["train"] == {"no_click": 1, "only_clicks": 0}


def test_an_impression_has_one_user(complaint):
    """An id that two users share is named with both lines."""
    text = complaint("user,item,label,impression\nu,a,1,7\nv,b,0,7\n")
    assert "log.csv line 3, column user: impression 7 has another user in line 2" in text


def test_impressions_with_histories_are_kept_as_they_are(made):
    """A user with several histories has a row for each, unless one continues the other; no history is legal."""
    tables = made(SHOWN, "impressions", dev=0, test=0.25)
    assert shown(tables, "train") == [
        ("u", ["a", "b"], ["c", "d"], [1, 0]),
        ("u", ["a", "b", "c"], ["d", "a"], [0, 0]),
        ("v", [], ["a", "b"], [1, 0]),
    ]
    assert tables.users["user_id"].to_pylist() == ["u", "v", "w"]
    assert tables.rules["one_class"]["train"] == {"no_click": 1, "only_clicks": 0}


@pytest.mark.parametrize(
    "log",
    [
        "user,candidates,labels\nu,a b,1 0\nu,c d,0 1\nv,c d,0 0\n",
        "user,candidates,labels\nu,a|b,1|0\nu,c|d,0|1\nv,c|d,0|0\n",
        "user;candidates;labels\nu;a,b;1,0\nu;c, d;0, 1\nv;c,d;0,0\n",
        "user,candidates,labels\nu,\"['a', 'b']\",\"[1, 0]\"\nu,\"['c', 'd']\",\"[0, 1]\"\nv,\"['c', 'd']\",\"[0, 0]\"\n",
        "user,candidates,labels\nu,['a' 'b'],[1 0]\nu,['c' 'd'],[0 1]\nv,['c' 'd'],[0 0]\n",
        'user,candidates,labels\nu,"[""a"",""b""]","[1,0]"\nu,"[""c"",""d""]","[0,1]"\nv,"[""c"",""d""]","[0,0]"\n',
        "user,candidates,clicked\nu,a b,a\nu,c d,d\nv,c d,\n",
        "user,inview,clicked_items\nu,a b,a\nu,c d,d\nv,c d,\n",
        "user,impressions\nu,a-1 b-0\nu,c-0 d-1\nv,c-0 d-0\n",
    ],
)
def test_candidates_and_labels_are_read_however_they_are_written(made, log):
    """Lists with blanks, bars, commas or brackets, a list of what was clicked, or labels behind the ids."""
    tables = made(log, "impressions", dev=0)
    assert shown(tables, "train") == [("u", [], ["a", "b"], [1, 0]), ("v", [], ["c", "d"], [0, 0])]
    assert shown(tables, "test") == [("u", ["a"], ["c", "d"], [0, 1])]


def test_sequences_are_clicks_in_order(made):
    """A row per user with the list of items; a user of one item is in train alone."""
    tables = made("user,items\nu,a b c\nv,b d\nw,d\n", "sequences", negatives=2)
    assert clicks(tables, "train") == [("u", "", "a"), ("v", "", "b"), ("w", "", "d")]
    assert clicks(tables, "dev") == [("u", "a", "b")]
    assert clicks(tables, "test") == [("u", "ab", "c"), ("v", "b", "d")]


def test_sequences_may_be_rows_too(made):
    """A row per user and item, where every row is a click."""
    rows = made(ROWS, "rows", negatives=2)
    assert made(ROWS, "sequences", negatives=2).impressions["train"].equals(rows.impressions["train"])


def test_users_bring_attributes_and_a_history(made, write):
    """What users have precedes the log; who is not among them has no attributes and is counted; one without a log stays."""
    users = write("id,history,age,gender\nu,d,31,f\nx,,,m\ny,a b,20,f\nz,,,m\n", "users.csv")
    tables = made(items=ITEMS + "e,Five,x\n", users=users, negatives=1, dev=0, candidates="uniform")
    assert tables.users["user_id"].to_pylist() == ["u", "v", "x", "y", "z"]
    assert tables.users["age"].to_pylist() == [31, None, None, 20, None]
    assert tables.user_attributes == {"age": "number", "gender": "category"}
    assert ("u", "d", "a") in clicks(tables, "train")
    assert tables.dropped["users_without_attributes"] == 1
    assert "times" not in tables.users.column_names
    assert tables.users["history"].to_pylist()[2:] == [[], [1, 2], []]


# --- formats ------------------------------------------------------------------------------------------------------------------


def columns(text):
    head, *rows = [line.split(",") for line in text.splitlines()]
    return {name: [row[place] for row in rows] for place, name in enumerate(head)}


def test_every_format_gives_the_same(made, write, tmp_path):
    """CSV, TSV, JSON lines, an array, Parquet, Feather, a stream of Arrow, and what gzip packed."""
    first = made()
    table = pa.table(columns(ROWS))
    lines = "\n".join(json.dumps(row) for row in table.to_pylist())
    pq.write_table(table, tmp_path / "log.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "log.feather")
    with (
        pa.OSFile(str(tmp_path / "log.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as stream,
    ):
        stream.write_table(table)
    write(ROWS.replace(",", "\t"), "log.tsv")
    write(lines, "log.jsonl")
    write(json.dumps(table.to_pylist()), "log.json")
    write(gzip.compress(ROWS.encode(), mtime=0), "log.csv.gz")
    write(gzip.compress(lines.encode(), mtime=0), "log.jsonl.gz")
    write(b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode(), "marked.csv")
    write(ROWS.replace(",", ";"), "semicolons.csv")
    names = ("log.parquet", "log.feather", "log.arrow", "log.tsv", "log.jsonl", "log.json", "log.csv.gz", "log.jsonl.gz",
             "marked.csv", "semicolons.csv")  # fmt: skip
    for name in names:
        again = Tables(write(ITEMS, "items.csv"), rows=str(tmp_path / name)).tables()
        assert again.impressions == first.impressions, name
        assert again.users == first.users, name


@pytest.fixture
def parts(tmp_path):
    """A folder of Parquet parts, each with the given columns, named in the order they come."""

    def written(name, *tables):
        folder = tmp_path / name
        folder.mkdir()
        for place, columns in enumerate(tables):
            pq.write_table(pa.table(columns), folder / f"part-{place}.parquet")
        (folder / "_SUCCESS").touch()
        return str(folder)

    return written


def test_a_folder_of_parquet_parts_is_one_table(made, write, parts, tmp_path):
    """In the order of the names, columns in any order; what the parts were is part of the fingerprint."""
    items = parts(
        "items",
        {
            "item_id": ["a", "b"],
            "title": ["One thing", "Two things"],
            "kind": pa.array(["x", "x"]).dictionary_encode(),
        },
        {"kind": ["y", "y"], "item_id": ["c", "d"], "title": ["Three", "Four"]},
    )
    rows = {"user": list("uuuvvv"), "item": list("abcbda"), "time": [1, 2, 3, 4, 5, 6]}
    log = parts("log", *({k: v[begin : begin + 3] for k, v in rows.items()} for begin in (0, 3)))
    source = Tables(items, rows=log)
    tables, single = source.tables(), made()
    assert tables.items.equals(single.items)
    assert tables.impressions == single.impressions
    assert [path.name for path in source.files()] == ["part-0.parquet", "part-1.parquet"] * 2
    assert source.reads == Tables(write(ITEMS, "items.csv"), rows=log).reads
    assert prepare(source, tmp_path / "home").item_count == 4


def test_parts_of_other_columns_are_named(parts):
    """Which part, and what it lacks or holds; a type that is another one; rows are counted in their part."""
    items = parts("items", {"item_id": ["a"]}, {"item_id": ["b"], "more": [1]}, {"id": ["c"]})
    log = parts("log", {"user": ["u"], "item": ["a"]}, {"user": ["u"], "item": [["b"]]})
    with pytest.raises(DataError) as caught:
        Tables(items, rows=log).tables()
    text = str(caught.value)
    assert "items/part-1.parquet: its columns are not those of items/part-0.parquet: it has more" in text
    assert (
        "items/part-2.parquet: its columns are not those of items/part-0.parquet: it lacks item_id and has id"
        in text
    )
    assert "log/part-1.parquet, column item: is list" in text
    good = parts("good", {"item_id": ["a", "b"]}, {"item_id": ["c", None]})
    with pytest.raises(DataError, match=r"good/part-1\.parquet row 2, column item_id: an id is expected"):
        Tables(good, rows=parts("short", {"user": ["u"], "item": ["a"]})).tables()


def test_a_folder_of_other_things_is_refused(parts, write, tmp_path):
    """Tables beside the parts, or parts in folders below, would be left out in silence."""
    folder = parts("items", {"item_id": ["a"]})
    (tmp_path / "items" / "more.csv").touch()
    with pytest.raises(DataError, match=r"is a folder that holds more\.csv"):
        Tables(folder, rows=write(ROWS)).tables()


def test_quotes_hold_commas_and_line_breaks(made):
    """As CSV has it, in an item's text."""
    tables = made(items='item_id,title\na,"One, ""two"""\nb,"x\ny"\nc,\nd,5" nail\n')
    assert tables.items["title"].to_pylist() == ['One, "two"', "x\ny", None, '5" nail']


def test_tables_in_memory_are_kept_by_content(made, write):
    """An Arrow table, a list of dicts and a dict of columns become one file; the spec holds its path, prints and parses."""
    columns_of_log = columns(ROWS)
    columns_of_log["time"] = [int(each) for each in columns_of_log["time"]]
    table = pa.table(columns_of_log)
    items = pa.table(columns(ITEMS))
    forms = [table, table.to_pylist(), columns_of_log, table.to_batches()[0]]
    specs = [Tables(items, rows=form) for form in forms]
    assert len({spec.rows for spec in specs}) == 1
    assert specs[0].rows.startswith(str(home()))
    assert parse(repr(specs[0])) == specs[0] == specs[1]
    assert hash(specs[0]) == hash(specs[1])
    assert specs[0].tables().impressions == made().impressions


def test_dictionaries_count_in_the_content(tmp_path):
    """Two tables with the same codes and other words are two files."""
    one, two = (pa.table({"item": pa.array(words).dictionary_encode()}) for words in (["a", "b"], ["c", "d"]))
    assert Tables(one, rows="x").items != Tables(two, rows="x").items


def test_data_frames_of_pandas_are_taken(made):
    """With their index left out; whole numbers that pandas made floats are ids all the same."""
    pandas = pytest.importorskip("pandas")
    items = pandas.DataFrame(
        {"item_id": [1, 2, 3, 4], "title": ["One", "Two", None, "Four"], "year": [2001, None, 2003, 2004]}
    )
    log = pandas.DataFrame({"user": ["u", "u", "v", "v"], "item": [1.0, 2.0, 3.0, 1.0], "time": pandas.to_datetime(
        ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"])}, index=[7, 8, 9, 9])  # fmt: skip
    tables = Tables(items, rows=log, negatives=1, dev=0).tables()
    assert tables.items["item_id"].to_pylist() == ["1", "2", "3", "4"]
    assert tables.items["title"].to_pylist() == ["One", "Two", None, "Four"]
    assert tables.items["year"].to_pylist() == [2001, None, 2003, 2004]
    assert tables.users["times"].to_pylist()[0] == [1704067200, 1704153600]


def test_what_is_no_table_is_refused():
    """A number, or rows whose values differ in type, with what may be given."""
    with pytest.raises(SpecError, match="items must be a path, a table of Arrow or pandas"):
        Tables(3, rows="x")
    with pytest.raises(SpecError, match=r"Tables\(rows=…\): the table cannot be made Arrow"):
        Tables("x", rows=[{"user": 1}, {"user": "u"}])


def test_a_copy_that_is_gone_is_named(tmp_path):
    """The Parquet of a table in memory can be cleared away."""
    spec = Tables({"item_id": ["solely here"]}, rows="x")
    spec_path = spec.items
    pq.read_table(spec_path)
    Path(spec_path).unlink()
    with pytest.raises(DataError, match="the copy of it under LEGO_HOME is gone"):
        spec.files()


# --- columns and kinds --------------------------------------------------------------------------------------------------------


def test_columns_are_known_by_name_and_told(made):
    """Names are compared without case and marks; what was guessed stands in the rules."""
    tables = made(
        "User-ID,movieId,Timestamp,mood\n" + "".join(ROWS.splitlines(keepends=True)[1:]).replace("\n", ",x\n")
    )
    assert tables.rules["log.csv"] == (
        "user = User-ID (guessed), item = movieId (guessed), time = Timestamp (guessed); "
        "attributes of the impression: mood"
    )
    assert tables.rules["items"] == "item = item_id (guessed); attributes: title, kind"


def test_other_names_are_given(made):
    """For all tables, or for one; the same name may be the id in one table and an attribute in the other."""
    log = ROWS.replace("user,item", "who,sku")
    tables = made(log, columns={"user": "who", "rows.item": "sku"})
    assert tables.impressions == made().impressions
    assert tables.rules["log.csv"].startswith("user = who, item = sku")


@pytest.mark.parametrize(
    ("log", "options", "sentence"),
    [
        (ROWS.replace("user", "who"), {}, "no column is known to be the user; there are who, item, time"),
        (ROWS.replace("user", "who"), {}, "columns={'rows.user': 'COLUMN'}"),
        ("user,sku,asin\nu,a,b\n", {}, "sku and asin could each be the item"),
        (ROWS, {"columns": {"rows.item": "itm"}}, "there is no column 'itm' for the item; there are user, item, time"),
        (ROWS, {"columns": {"rows.item": "itm"}}, "Did you mean 'item'?"),
        ("user,item,item\nu,a,b\n", {}, "the column item is there twice"),
    ],
)  # fmt: skip
def test_missing_and_ambiguous_columns_are_named(complaint, log, options, sentence):
    """With the columns there are, and the option that names one."""
    assert sentence in complaint(log, **options)


KINDS = [
    (["One thing", "Another", "A third", None], "text"),
    (["x", "x", "y", "y"], "category"),
    (["1", "2.5", "", "-3e2"], "number"),
    (["01234", "09876", "12345", "54321"], "text"),
    (["-", "1", "2", "3"], "text"),
    (["Drama|War", "War", "", "Comedy"], "list"),
    (["['a', 'b']", "[]", "['b']", "['c']"], "list"),
    ([1, 2, None, 4], "number"),
    ([True, False, None, True], "category"),
    ([["a"], [], None, ["b", "c"]], "list"),
    (pa.array(["a", "b", "b", None]).dictionary_encode(), "category"),
]


@pytest.mark.parametrize(("values", "kind"), KINDS)
def test_kinds_are_guessed_from_values(values, kind):
    """Few different values are categories, values with a bar lists, numbers without a leading zero numbers; the rest is text."""
    items = pa.table({"item_id": ["a", "b", "c", "d"], "thing": values})
    assert Tables(items, rows=columns(ROWS)).tables().attributes == {"thing": kind}


def test_kinds_can_be_said(made):
    """A year may be a category, a text a list, and a column nothing."""
    items = "item_id,title,year,tags,secret\na,One,2001,x;y,1\nb,Two,2002,,2\nc,Three,,z,3\nd,Four,2001,x,4\n"
    tables = made(items=items, kinds={"year": "category", "tags": "list", "items.secret": "none"})
    assert tables.attributes == {"title": "text", "year": "category", "tags": "list"}
    assert tables.items["tags"].to_pylist() == [["x", "y"], None, ["z"], ["x"]]
    assert tables.items["year"].to_pylist() == ["2001", "2002", None, "2001"]


def test_a_number_that_is_none_is_named(complaint):
    """Where the kind was said, with line and column."""
    text = complaint(items="item_id,year\na,2001\nb,soon\nc,\nd,1\n", kinds={"year": "number"})
    assert "items.csv line 3, column year: a number is expected, 'soon' found" in text


def test_a_slip_does_not_turn_a_column_of_numbers_into_text(made, complaint):
    """One word among many prices is complained of, with its line and both ways out; many words are a text."""
    prices = [f"{row}.5" for row in range(40)]
    prices[30] = "cheap"

    def items(values):
        return "item_id,price\n" + "".join(f"i{n},{value}\n" for n, value in enumerate(values))

    text = complaint(items=items(prices), log="user,item\nu,i1\nu,i2\n")
    assert "items.csv line 32, column price: a number is expected, 'cheap' found" in text
    assert "kinds={'price': 'text'}" in text
    mixed = [f"word{n}" if n % 10 == 0 else f"{n}" for n in range(40)]
    assert made(items=items(mixed), log="user,item\nu,i1\nu,i2\n").attributes == {"price": "text"}


def test_what_is_read_by_default_is_prose(write):
    """Texts of several words, with room for most; not codes or addresses; categories and lists where there is no text."""
    words = " ".join(f"w{n}" for n in range(12))
    items = {
        "item_id": list("abcd"),
        "url": [f"https://x.y/{n}" for n in range(4)],
        "title": ["One thing", "Two", "Three", "Four"],
        "body": [f"{words} and {n}" for n in range(4)],
        "kind": ["x", "x", "y", "y"],
    }
    assert Tables(items, rows="x").reads == {"title": 4, "body": 21}
    assert Tables({k: items[k] for k in ("item_id", "kind")}, rows="x").reads == {"kind": 4}
    assert Tables({"item_id": ["a"]}, rows="x").reads == {}


TIMES = [
    (["1700000000", "1700000060"], [1700000000, 1700000060], "unix seconds"),
    (["1700000000123", "1700000060123"], [1700000000, 1700000060], "unix milliseconds"),
    (["1700000000.5", "1700000060"], [1700000000, 1700000060], "unix seconds"),
    (["2024-01-02", "2024-01-03 00:00:01"], [1704153600, 1704240001], "dates, in UTC where no zone is given"),
    (
        ["2024-01-02T10:00Z", "2024-01-02T12:00:00.25+02:00"],
        [1704189600, 1704189600],
        "dates, in UTC where no zone is given",
    ),
    (
        ["2024-01-02 08:30:00-0130", "2024-01-02 10:00 UTC"],
        [1704189600, 1704189600],
        "dates, in UTC where no zone is given",
    ),
]


@pytest.mark.parametrize(("written", "seconds", "rule"), TIMES)
def test_times_are_read_as_they_are_written(made, written, seconds, rule):
    """Unix times in any unit, or dates in ISO 8601 with or without a zone; the rules tell which."""
    log = f"user,item,time\nu,a,{written[0]}\nu,b,{written[1]}\n"
    tables = made(log, dev=0)
    assert tables.users["times"].to_pylist() == [seconds]
    assert tables.rules["log.csv time"] == rule


# --- parts --------------------------------------------------------------------------------------------------------------------


def test_ready_made_files_are_the_parts(write):
    """Given as a dict; clicks of train are the history of test. Where dev is not among them it is the latest of train."""
    train = write("user,item,time\nu,a,1\nu,b,2\nv,c,3\n", "train.csv")
    test = write("user,item,time\nu,c,4\nv,d,5\n", "test.csv")
    items = write(ITEMS, "items.csv")
    tables = Tables(items, rows={"test": test, "train": train}, negatives=1).tables()
    assert clicks(tables, "train") == [("u", "", "a"), ("u", "a", "b")]
    assert clicks(tables, "dev") == [("v", "", "c")]
    assert clicks(tables, "test") == [("u", "ab", "c"), ("v", "c", "d")]
    assert "dev is of train" in tables.rules["split"]
    assert not Tables(items, rows={"test": test, "train": train}, dev=0).tables().impressions["dev"].num_rows
    dev = write("user,item,time\nw,a,4\n", "dev.csv")
    three = Tables(items, rows={"train": train, "dev": dev, "test": test}, negatives=1).tables()
    assert clicks(three, "dev") == [("w", "", "a")]
    assert three.rules["split"] == "ready-made"


def test_a_column_of_parts_is_honoured(made, complaint):
    """train, dev or valid, and test; another word is an error."""
    log = "user,item,time,part\nu,a,1,train\nu,b,2,Train\nu,c,3,valid\nv,b,4,train\nv,d,5,test\n"
    tables = made(log, negatives=1)
    assert [tables.impressions[part].num_rows for part in ("train", "dev", "test")] == [3, 1, 1]
    assert "log.csv line 4, column part: train, dev, test is expected, 'exam' found" in complaint(
        log.replace("valid", "exam")
    )
    assert "there is no impression in test" in complaint(log.replace("test", "train"))


def test_a_log_is_cut_by_time_by_last_or_by_user(made):
    """Each rule as it is declared; shares of 0 make no part."""
    by_time = made(split="time", dev=0.2, test=0.34, negatives=1)
    assert [by_time.impressions[part].num_rows for part in ("train", "dev", "test")] == [3, 1, 2]
    assert clicks(by_time, "test") == [("v", "b", "d"), ("v", "bd", "a")]
    last = made(split="leave_last_out", negatives=1)
    assert clicks(last, "test") == [("u", "ab", "c"), ("v", "bd", "a")]
    assert clicks(last, "dev") == [("u", "a", "b"), ("v", "b", "d")]
    without = made(split="leave_last_out", dev=0, negatives=1)
    assert [without.impressions[part].num_rows for part in ("train", "dev", "test")] == [4, 0, 2]
    users = made(split="user", dev=0, test=0.5, negatives=1)
    assert [users.impressions[part].num_rows for part in ("train", "dev", "test")] == [3, 0, 3]
    assert {user for user, _, _ in clicks(users, "train")} & {
        user for user, _, _ in clicks(users, "test")
    } == set()
    assert "drawn by seed 0" in users.rules["split"]


def test_order_is_time_and_then_the_log(made):
    """Rows need not be sorted; of one time the first in the log is first."""
    log = "user,item,time\nu,c,5\nu,a,1\nu,b,5\n"
    tables = made(log, dev=0, negatives=1)
    assert tables.users["history"].to_pylist() == [[1, 3, 2]]


def test_the_seed_alone_decides(made):
    """The same twice, other draws from another seed; `history` moves no fingerprint and the others do."""
    items = "item_id,title\n" + "".join(f"i{n},t {n}\n" for n in range(40))
    log = "user,item\n" + "".join(f"u{n % 5},i{n}\n" for n in range(20))
    one, two, other = (
        made(log, items=items, seed=seed, negatives=5, candidates="uniform") for seed in (1, 1, 2)
    )
    assert one.impressions == two.impressions != other.impressions
    spec = Tables("i.csv", rows="r.csv")
    assert Tables("j.csv", rows="s.csv", history=3).fingerprint() == spec.fingerprint()
    for change in (
        {"seed": 1},
        {"above": 1},
        {"columns": {"item": "x"}},
        {"kinds": {"a": "text"}},
        {"split": "user"},
    ):
        assert Tables("i.csv", rows="r.csv", **change).fingerprint() != spec.fingerprint()
    assert Tables("i.csv", sequences="r.csv").fingerprint() != spec.fingerprint()
    assert Tables("i.csv", rows={"train": "r.csv", "test": "r.csv"}).fingerprint() != spec.fingerprint()


def test_drawn_items_are_as_popular_as_what_is_clicked(made):
    """With popularity an item is drawn in proportion to its clicks."""
    generator = np.random.default_rng(0)
    items = "item_id,title\n" + "".join(f"i{n},t {n}\n" for n in range(20))
    weights = np.arange(1, 21) / 210
    log = "user,item\n" + "".join(f"u{n // 2},i{generator.choice(20, p=weights)}\n" for n in range(600))
    tables = made(log, items=items, negatives=1, dev=0)
    train = tables.impressions["train"]
    labels = np.concatenate(train["labels"].to_numpy())
    drawn = np.concatenate(train["candidates"].to_numpy())[labels == 0]
    assert 12.5 < drawn.mean() < 14.5  # 13.7 in proportion, 10.5 evenly
    even = made(log, items=items, negatives=1, dev=0, candidates="uniform").impressions["train"]
    drawn = np.concatenate(even["candidates"].to_numpy())[np.concatenate(even["labels"].to_numpy()) == 0]
    assert drawn.mean() < 12


# --- ids that items lack ------------------------------------------------------------------------------------------------------


def test_unknown_ids_are_an_error_with_their_lines(complaint):
    """In histories, candidates and rows; each id where it stands first."""
    text = complaint(SHOWN + "w,5,zz,a-1 yy-0\nw,6,zz,a-1 yy-0\n", "impressions")
    assert "2 problems" in text
    assert "log.csv line 6, column history: items has no 'zz'" in text
    assert "log.csv line 6, column impressions: items has no 'yy'" in text
    assert "log.csv line 8, column item: items has no 'zz'" in complaint(ROWS + "u,zz,8\n")


def test_unknown_ids_can_be_dropped(made):
    """They are left out of histories, candidates and clicks, and counted."""
    tables = made(SHOWN + "w,5,zz d,a-1 yy-0\nw,6,,yy-1\n", "impressions", missing="drop", dev=0, test=0.2)
    assert shown(tables, "test") == [("w", ["d"], ["a"], [1])]
    assert tables.dropped == {
        "missing_items": 2,
        "history_clicks_of_missing_items": 1,
        "candidates_of_missing_items": 2,
        "clicked_candidates_of_missing_items": 1,
        "impressions_without_candidates": 1,
    }
    rows = made(ROWS + "u,zz,8\n", missing="drop")
    assert rows.impressions == made(ROWS).impressions
    assert rows.dropped["rows_of_missing_items"] == rows.dropped["missing_items"] == 1


def test_unknown_ids_before_the_log_are_counted_apart(made, write):
    """What `users` has of missing items is left out of histories too."""
    users = write("user,history\nu,zz d yy\nx,zz\n", "users.csv")
    tables = made(SHOWN.replace("history", "note"), "impressions", users=users, missing="drop", dev=0)
    assert tables.users["history"].to_pylist() == [[4, 3], [1], [2], []]
    assert tables.dropped["earlier_clicks_of_missing_items"] == 3
    assert tables.dropped["history_clicks_of_missing_items"] == 0


def test_unknown_ids_can_be_items_without_attributes(made):
    """They stand behind the others."""
    tables = made(ROWS + "u,zz,8\n", missing="empty")
    assert tables.items.slice(4).to_pylist() == [{"item_id": "zz", "title": None, "kind": None}]
    assert tables.dropped["items_without_attributes"] == 1


# --- bad input ----------------------------------------------------------------------------------------------------------------

BAD = [
    (ROWS + "u,d\nv,b,7,8\n", "line 8: 3 columns are expected, 2 found"),
    (ROWS + "u,d\nv,b,7,8\n", "line 9: 3 columns are expected, 4 found"),
    (ROWS + 'u,"d,8\n', "line 8: a quote is opened and not closed"),
    (ROWS.encode() + b"\xff,d,8\n", "line 8: byte 1 of the line, 0xff, is not UTF-8"),
    ("", "log.csv: is empty"),
    ("user,item,time\n", "log.csv: holds no rows"),
    (ROWS + ",a,8\n", "line 8, column user: an id is expected, nothing found"),
    (ROWS + "u,,8\n", "line 8, column item: an id is expected, nothing found"),
    (ROWS + "u,d,yesterday\n", "line 8, column time: unix seconds are expected, 'yesterday' found"),
    (
        "user,item,time\nu,a,2024-02-30\nu,b,2024-01-01\n",
        "line 2, column time: a time like 2024-05-31 18:04:00",
    ),
    (ROWS.replace("time", "label").replace("6", "1"), "line 3, column label: 0 or 1 is expected, '2' found"),
]


@pytest.mark.parametrize(("log", "sentence"), BAD)
def test_what_is_wrong_is_named_with_its_line(complaint, log, sentence):
    """File, line, column, what was expected and what was found."""
    assert sentence in complaint(log)


def test_lines_are_counted_over_quoted_line_breaks(complaint):
    """A value with a line break moves the rows behind it, and the message knows."""
    items = 'item_id,title\na,"x\ny\nz"\nb,t\nb,t\n'
    assert "items.csv line 6, column item_id: item b is already in line 5" in complaint(items=items)


def test_lines_of_json_are_named(complaint):
    """What is no JSON, no object, or of another type than before."""
    log = '{"user": 1, "item": "a"}\n\n{"user": "x", "item": "b"}\n{"user": 2, "item"\n[1]\n'
    text = complaint(log, name="log.jsonl")
    assert "3 problems" in text
    assert "log.jsonl line 3, column user: a number is expected as in line 1, a text found" in text
    assert "log.jsonl line 4: is not JSON" in text
    assert "log.jsonl line 5: one object is expected, a list found" in text
    assert "log.jsonl line 1: byte 11 of the line, 0xff, is not UTF-8" in complaint(
        b'{"user": "\xff"}\n', name="log.jsonl"
    )


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("user,candidates,labels\nu,a b,1\n", "line 2, column labels: 1 labels for 2 candidates"),
        ("user,candidates,labels\nu,a b,1 7\n", "line 2, column labels: labels of 0 or 1 are expected"),
        ("user,candidates,clicked\nu,a b,c\n", "line 2, column clicked: an item is clicked that is no candidate"),
        ("user,candidates\nu,a b\n", "line 2, column candidates: the candidates have no labels"),
        ("user,impressions\nu,a-1 b-2\n", "line 2, column impressions: the candidates have no labels"),
        ("user,impressions\nu,\nv,a-1\n", "line 2, column impressions: there are no candidates"),
        ("imp_id,user,impressions\n5,u,a-1\n5,u,a-1\n", "line 3, column imp_id: impression 5 is already in line 2"),
    ],
)  # fmt: skip
def test_wrong_impressions_are_named(complaint, log, sentence):
    """Labels that do not fit, candidates that are not there, ids that are there twice."""
    assert sentence in complaint(log, "impressions")


def test_ids_stand_once(complaint, write):
    """Items, users, and users of sequences."""
    assert "items.csv line 6, column item_id: item a is already in line 2" in complaint(
        items=ITEMS + "a,Again,x\n"
    )
    assert "users.csv line 3, column id: user u is already in line 2" in complaint(
        users=write("id,age\nu,1\nu,2\n", "users.csv")
    )
    assert "line 3, column user: user u is already in line 2" in complaint(
        "user,items\nu,a b\nu,c\n", "sequences"
    )


def test_problems_come_at_once_and_one_cause_once(complaint):
    """Of all files, in the order of the lines; many with one way out are told with the first of them."""
    text = complaint(ROWS + ",a,8\n" * 30 + "u,zz,9\n,a,x\n", items=ITEMS + "a,Again,x\n")
    assert "34 problems" in text
    assert "items.csv line 6" in text
    assert (
        "log.csv line 8, column user: an id is expected, nothing found; 30 more like it, lines 9, 10, 11, 12, 13 …"
        in text
    )
    assert text.index("log.csv line 8,") < text.index("log.csv line 38, column item: items has no 'zz'")
    assert text.index("log.csv line 38,") < text.index(
        "log.csv line 39, column time: unix seconds are expected"
    )
    assert text.count("fix:") == 4


def test_different_problems_are_told_up_to_twenty(complaint):
    """Of so many that are not alike the rest is counted."""
    columns = [f"c{number}" for number in range(LIMIT + 3)]
    numbers = [",".join("9" for _ in columns)] * 30 + [",".join("x" for _ in columns)]
    items = "\n".join(
        [",".join(["item_id", *columns]), *(f"{place},{row}" for place, row in enumerate(numbers))]
    )
    text = complaint("user,item\nu,1\n", items=items + "\n")
    assert f"{LIMIT + 3} problems" in text
    assert text.count("fix:") == LIMIT
    assert "and 3 more" in text


def test_likely_causes_are_told(complaint):
    """Days in front, text of Windows, tables exchanged, ids of two kinds."""
    days = "".join(f"u,a,{day}.05.2024\n" for day in range(10, 28))
    text = complaint("user,item,time\n" + days)
    assert "log.csv line 2, column time: a time like 2024-05-31" in text
    assert "17 more like it" in text
    assert "dayfirst=True" in text
    latin = complaint(ROWS.encode() + b"u,caf\xe9,8\n" * 9)
    assert "8 more like it, lines 9, 10, 11, 12, 13 …" in latin
    assert "Latin-1" in latin
    assert "they look exchanged" in complaint(ITEMS, items=ROWS)
    assert "no id of the log is in items, which has ids like 'a'" in complaint("user,item\nu,1\nv,2\n")


def test_files_that_are_something_else_are_told_by_their_first_bytes(write):
    """Whatever they are called: a zip, a workbook, gzip without .gz, Parquet, UTF-16."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("log.csv", ROWS)
    book = io.BytesIO()
    with zipfile.ZipFile(book, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    for name, data, kind in (
        ("log.csv", packed.getvalue(), "a zip"),
        ("book.csv", book.getvalue(), "an Excel workbook"),
        ("g.csv", gzip.compress(ROWS.encode(), mtime=0), "gzipped"),
        ("z.csv.gz", gzip.compress(packed.getvalue(), mtime=0), "a zip, gzipped"),
        ("p.csv", b"PAR1 and more", "a Parquet file"),
        ("u.csv", ROWS.encode("utf-16"), "text in UTF-16"),
        ("z.parquet", packed.getvalue(), "a zip"),
    ):
        with pytest.raises(DataError, match=rf"{name}: is {kind}"):
            Tables(write(ITEMS, "items.csv"), rows=write(data, name)).tables()


def test_nul_bytes_are_named_with_their_line(complaint):
    """In a row, and in the header."""
    assert "log.csv line 8: byte 2 of the line is NUL" in complaint(ROWS + "u\0,d,8\n")
    assert "log.csv line 1: byte 2 of the line is NUL" in complaint("u\0ser,item\nu,a\n")


def test_files_that_are_not_there_or_no_table_are_named(write, tmp_path):
    """All of them, before any is read; a folder, an unknown suffix, a Parquet that is none."""
    items = write(ITEMS, "items.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        Tables(str(tmp_path / "no.csv"), rows=str(tmp_path / "empty")).tables()
    assert "2 problems" in str(caught.value)
    assert "no.csv: there is no such file" in str(caught.value)
    assert "is a folder without a Parquet file" in str(caught.value)
    with pytest.raises(DataError, match=r"\.xyz is no format that is read"):
        Tables(items, rows=write(ROWS, "log.xyz")).tables()
    with pytest.raises(DataError, match="is not a Parquet file that can be read"):
        Tables(items, rows=write(ROWS, "log.parquet")).tables()
    with pytest.raises(DataError, match="is not an Arrow file"):
        Tables(items, rows=write(ROWS, "log.arrow")).tables()
    with pytest.raises(DataError, match=r"log\.csv\.gz: cannot be read"):
        Tables(items, rows=write(gzip.compress(ROWS.encode(), mtime=0)[:-12], "log.csv.gz")).tables()


@pytest.mark.parametrize(
    ("values", "role"),
    [
        (["0", "1"], "label"),
        (["true", "False"], "label"),
        (["2024-05-31", "31.05.2024 18:00"], "time"),
        (["1700000000", "1700000600"], "time"),
        ([1700000000000, 1700000600000], "time"),
        ([True, None], "label"),
        ([1.0, 0.0], "label"),
        ([1, 2], None),
        ([1, 1], None),
        (["x", "1"], None),
        ([1700000000, 5], None),
    ],
)
def test_columns_that_look_like_a_role_are_known(values, role):
    """Two values that say yes and no; dates, and unix times of this century in any unit."""
    assert looks_like(pa.chunked_array([values])) == role


def test_a_role_that_is_not_recognised_is_asked_about(write, tmp_path):
    """When it is prepared, each time, and wherever doubts are told; not where the column's kind was chosen."""
    items, log = (
        write(ITEMS, "items.csv"),
        "user,item,mochte,wann\nu,a,1,1700000000\nu,b,0,1700000001\nu,c,1,1700000002\n",
    )
    source = Tables(items, rows=write(log))
    for _ in range(2):
        steps: list[str] = []
        store = prepare(source, tmp_path / "home", progress=steps.append)
        warned = [step for step in steps if step.startswith("warning: ")]
        assert len(warned) == 2
        assert "log.csv: no column is known to be the label" in warned[0]
        assert "columns={'label': 'mochte'}" in warned[0]
        assert "columns={'time': 'wann'}" in warned[1]
        assert [f"warning: {doubt}" for doubt in doubts(store)[:2]] == warned
    told = Tables(items, rows=write(log), columns={"time": "wann"}, kinds={"mochte": "category"})
    assert "doubts" not in told.tables().rules


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "no log is given, and just one is needed"),
        ({"rows": "a", "sequences": "b"}, "rows and sequences are given, and just one is needed"),
        ({"rows": "a", "dev": 0.5, "test": 0.5}, "dev must be less than 1 - test"),
        ({"rows": "a", "kinds": {"x": "word"}}, "kinds must be a dict of columns and kinds"),
        ({"rows": "a", "columns": {"itm": "x"}}, "Did you mean 'item'?"),
        ({"rows": "a", "columns": {"thing.item": "x"}}, "columns must be a dict of roles and columns"),
        ({"rows": {"tset": "a"}}, "rows must be a path"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, sentence):
    """At once, when the spec is made."""
    with pytest.raises(SpecError) as caught:
        Tables("items.csv", **options)
    assert sentence in str(caught.value)


def test_options_may_be_choices():
    """A sweep over options of the data."""
    assert Tables("items.csv", rows="log.csv", negatives=any_of(2, 4)).negatives.values == (2, 4)


def test_too_short_logs_are_refused(complaint):
    """Nothing to train on, or no click at all."""
    text = complaint("user,item,label\nu,a,0\nu,b,0\n")
    assert "log.csv, column label: all 2 labels are 0, so there is no click" in text
    above = complaint("user,item,rating\nu,a,2\n", above=3)
    assert "log.csv, column rating: none of 1 labels is above 3" in above
    assert "split='time' needs times" in complaint("user,item\nu,a\nu,b\n", split="time")


# --- prepared -----------------------------------------------------------------------------------------------------------------


def test_it_is_prepared_like_any_source(write, tmp_path):
    """Found again while the files are the same, made anew where one has changed."""
    source = Tables(write(ITEMS, "items.csv"), rows=write(ROWS))
    first = prepare(source, tmp_path / "root")
    assert Store.open(first.path).manifest["reads"] == dict(source.reads)
    assert prepare(source, tmp_path / "root").path == first.path
    write(ROWS + "w,a,9\n")
    assert prepare(source, tmp_path / "root").path != first.path


def test_the_sample_of_mind_is_read_as_its_own_source_does(shared_data, tmp_path):
    """Items and two logs with headers, given as tables: the same users, histories, candidates, labels and counts."""
    raw = shared_data / "mind"
    own = MIND(str(raw), missing="drop", dev=0.0).tables()
    names = ["impression_id", "user_id", "time", "history", "impressions"]
    logs = {}
    for part, folder in (("train", "MINDsmall_train"), ("test", "MINDsmall_dev")):
        lines = (raw / folder / "behaviors.tsv").read_text(encoding="utf-8").splitlines()
        columns = dict(
            zip(names, map(list, zip(*(line.split("\t") for line in lines), strict=True)), strict=True)
        )
        moments = [datetime.strptime(each, "%m/%d/%Y %I:%M:%S %p") for each in columns["time"]]
        logs[part] = {**columns, "time": moments}
    tables = Tables(own.items, impressions=logs, missing="drop", dev=0.0).tables()
    assert tables.impressions == own.impressions
    assert tables.users == own.users
    assert tables.dropped == {
        name.replace("news", "items"): count
        for name, count in own.dropped.items()
        if name != "news_with_other_text"
    }
    assert tables.attributes == own.attributes


def test_a_click_of_many_is_found_as_a_plain_loop_finds_it(made):
    """Histories and candidates of random impressions, against a loop over the log."""
    generator = np.random.default_rng(3)
    items = "item_id,title\n" + "".join(f"i{n},t {n}\n" for n in range(30))
    log, past, expected = "user,time,candidates,labels\n", {}, []
    times = np.sort(generator.integers(0, 50, 200))
    for time in times.tolist():
        user = f"u{generator.integers(7)}"
        candidates = [
            f"i{n}" for n in generator.choice(30, size=int(generator.integers(1, 5)), replace=False)
        ]
        labels = generator.integers(0, 2, len(candidates)).tolist()
        log += f"{user},{time},{' '.join(candidates)},{' '.join(map(str, labels))}\n"
        expected.append((user, list(past.get(user, [])), candidates, labels))
        past.setdefault(user, []).extend(c for c, y in zip(candidates, labels, strict=True) if y)
    tables = made(log, "impressions", items=items, dev=0.1, test=0.2)
    assert shown(tables, "train") + shown(tables, "dev") + shown(tables, "test") == expected
    assert [tables.impressions[part].num_rows for part in ("train", "dev", "test")] == [140, 20, 40]


def test_names_that_no_table_has_are_refused(tmp_path):
    """A column named in vain would be guessed, and a kind named in vain dropped: both are told, with the nearest name."""
    (tmp_path / "items.csv").write_text("id,title,price\na,One,3\nb,Two,4\n")
    (tmp_path / "clicks.csv").write_text("user,item\nu,a\n")
    source = Tables(
        str(tmp_path / "items.csv"),
        rows=str(tmp_path / "clicks.csv"),
        columns={"item": "sku"},
        kinds={"pricee": "number"},
    )
    with pytest.raises(DataError) as caught:
        source.tables()
    assert "no table has such a column" in str(caught.value)
    assert "Did you mean 'price'" in str(caught.value)


def test_train_rows_behind_those_of_later_parts_are_counted(tmp_path):
    """Ready-made parts that are not in the order of time let a train history hold test clicks: that is told, not hidden."""
    items = [{"item_id": each, "title": each} for each in "abcdef"]
    days = ["train", "test", "train", "train"]
    rows = [
        {"user": user, "item": item, "time": day, "part": part}
        for user, parts in (("u", days), ("v", [*days[:1], *days[2:], "test"]))
        for day, (item, part) in enumerate(zip("abcd", parts, strict=True))
    ]
    store = prepare(Tables(items, rows=rows, dev=0.0, negatives=1), tmp_path)
    assert store.manifest["dropped"]["train_impressions_behind_later_parts"] == 2
    assert "2 train impressions behind later parts" in dropped_line(store.manifest)


# --- what is known of an impression -------------------------------------------------------------------------------------------

CONTEXT = [
    {"user": user, "time": at, "device": device, "history": past, "seen": seen, "candidates": items, "labels": [1, 0],
     "position": places, "hour": at % 24, "tags": ["x"]}
    for user, at, device, past, seen, items, places in (
        ("u", 1, "phone", ["a"], [0.5], ["b", "c"], [1, 2]),
        ("u", 2, "desk", ["a", "b", "c"], [0.5, 7.0, None], ["d", "b"], [2, None]),
        ("v", 3, None, [], [], ["a", "c"], [1, 2]),
        ("v", 4, "phone", ["d"], [3.0], ["a", "b"], [4, 1]),
        ("w", 5, "desk", ["d", "a"], [2.0, 1.0], ["b", "c"], [4, 1]),
    )
]  # fmt: skip


def test_what_a_log_says_of_an_impression_is_kept(write):
    """Device and hour are attributes; lists of numbers as long as candidates or history stand beside these."""
    source = Tables(
        write(ITEMS, "items.csv"), impressions=CONTEXT, dev=0.2, test=0.2, kinds={"hour": "category"}
    )
    tables = source.tables()
    assert tables.impression_attributes == {"device": "category", "hour": "category", "tags": "list"}
    assert tables.candidate_signals == ["position"]
    assert tables.history_signals == ["seen"]
    rows = [row for part in tables.impressions.values() for row in part.to_pylist()]
    assert [row["device"] for row in rows] == ["phone", "desk", None, "phone", "desk"]
    assert [row["hour"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["position"] for row in rows] == [[1, 2], [2, None], [1, 2], [4, 1], [4, 1]]
    for row in rows:
        user = tables.users.slice(row["user"], 1).to_pylist()[0]
        wanted = next(each["seen"] for each in CONTEXT if each["time"] == row["time"])
        assert user["seen"][: row["stop"]] == wanted
    told = next(value for name, value in tables.rules.items() if "memory" in name)
    assert "beside the candidates: position" in told
    assert "beside the history: seen" in told


def test_numbers_follow_what_they_stand_beside_where_items_are_dropped(write):
    """An item that is missing takes its position and its read time along."""
    items = "item_id,title,kind\na,A,x\nb,B,y\nd,D,y\n"
    source = Tables(write(items, "items.csv"), impressions=CONTEXT, dev=0.2, test=0.2, missing="drop")
    tables = source.tables()
    rows = [row for part in tables.impressions.values() for row in part.to_pylist()]
    assert [row["position"] for row in rows] == [[1], [2, None], [1], [4, 1], [4]]
    users = tables.users.to_pylist()
    assert [users[row["user"]]["seen"][: row["stop"]] for row in rows] == [
        [0.5],
        [0.5, 7.0],
        [],
        [3.0],
        [2.0, 1.0],
    ]


def test_rows_of_an_impression_say_what_holds_for_it_and_what_for_a_candidate(made):
    """What all its rows share is an attribute, numbers that differ stand beside candidates, other things are not read."""
    log = (
        "user,item,label,impression_id,time,device,place,note\n"
        "u,a,1,1,1,phone,1,p\nv,c,0,2,2,desk,2,q\nu,b,0,1,1,phone,2,r\nv,d,1,2,2,desk,,s\n"
        "u,c,1,3,3,desk,5,t\nu,d,0,3,3,desk,6,u\n"
    )
    tables = made(log, dev=0, test=0.4)
    rows = [row for part in tables.impressions.values() for row in part.to_pylist()]
    assert [row["device"] for row in rows] == ["phone", "desk", "desk"]
    assert [row["place"] for row in rows] == [[1, 2], [2, None], [5, 6]]
    assert "note" not in rows[0]
    assert tables.rules["log.csv"].endswith("beside the candidates: place; not read: note")


def test_a_click_makes_an_impression_with_what_its_row_says(made, write):
    """Its device; how long it was read stands beside it in the histories of later impressions, not beside earlier clicks."""
    lines = ROWS.splitlines()
    lines = [f"{lines[0]},device,read", *(f"{line},d{n},{n}" for n, line in enumerate(lines[1:], 1))]
    tables = made(
        "\n".join(lines) + "\n",
        users=write("user,history\nu,d\n", "users.csv"),
        kinds={"read": "history", "device": "category"},
        negatives=1,
        candidates="uniform",
        items=ITEMS + "e,E,y\n",
    )
    ids = [None, *tables.items["item_id"].to_pylist()]
    told = {tuple(line.split(",")[:2]): int(line.split(",")[-1]) for line in lines[1:]}
    seen = 0
    for part in tables.impressions.values():
        for row in part.to_pylist():
            user = tables.users.slice(row["user"], 1).to_pylist()[0]
            click = ids[next(c for c, y in zip(row["candidates"], row["labels"], strict=True) if y)]
            assert row["device"] == f"d{told[user['user_id'], click]}"
            assert user["read"] == [told.get((user["user_id"], ids[each])) for each in user["history"]]
            seen += 1
    assert seen == 6
    assert None in tables.users["read"].to_pylist()[0]


def test_files_of_a_log_need_not_have_the_same_columns(write):
    """What one of them lacks is missing there; kinds are those of the first."""

    def several(device):
        for each in CONTEXT:
            row = {
                name: value
                for name, value in each.items()
                if name not in ("device", "position", "seen", "tags")
            }
            yield {**row, "device": device, "position": each["position"]} if device else row

    source = Tables(
        write(ITEMS, "items.csv"), impressions={"train": list(several("x")), "test": list(several(""))}, dev=0
    )
    tables = source.tables()
    assert set(tables.impressions["test"]["device"].to_pylist()) == {None}
    assert tables.impressions["test"]["position"].to_pylist() == [[None, None]] * 5
    assert set(tables.impressions["train"]["device"].to_pylist()) == {"x"}


@pytest.mark.parametrize(
    ("column", "values", "kinds", "sentence"),
    [
        ("position", [1], {"position": "candidates"}, "1 numbers for 2 items of candidates"),
        ("position", ["x", "y"], {"position": "candidates"}, "lists of numbers are expected"),
        ("stop", 3, {"stop": "number"}, "cannot be called stop"),
        ("past_rate", [0.1, 0.2], {"past_rate": "candidates"}, "cannot be called past_rate"),
    ],
)
def test_what_cannot_stand_beside_is_refused(write, column, values, kinds, sentence):
    """With file and column."""
    log = [{**{k: v for k, v in each.items() if k != "position"}, column: values} for each in CONTEXT]
    with pytest.raises(DataError) as caught:
        Tables(write(ITEMS, "items.csv"), impressions=log, kinds=kinds).tables()
    assert sentence in str(caught.value)
