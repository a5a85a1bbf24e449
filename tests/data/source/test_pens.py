from __future__ import annotations

import datetime as dt
import zipfile

import pytest

from lego.data.raw import tab_blocks
from lego.data.source.pens import PENS
from lego.errors import DataError, SpecError
from tests.data.source.trial import trial

NEWS = "News ID\tCategory\tTopic\tHeadline\tNews body\tTitle entity\tEntity content\n" + "".join(
    f'N{n}\tsports\tgolf{n % 2}\tA "quoted title {n}\tBody of {n}\t{{"a": "A"}}\t{{}}\n' for n in range(1, 7)
)
HEADER = "UserID\tClicknewsID\tdwelltime\texposure_time\tpos\tneg\tstart\tend\tdwelltime_pos\n"


def line(user, history, pos, neg, start="7/3/2019 6:43:49 AM", dwell=None, times=None):
    clicks = history.split()
    dwell = " ".join(f"{n + 1}" for n in range(len(clicks))) if dwell is None else dwell
    times = (
        "#TAB#".join(f"7/{n + 1}/2019 12:00:0{n} PM" for n in range(len(clicks))) if times is None else times
    )
    return f"{user}\t{history}\t{dwell}\t{times}\t{pos}\t{neg}\t{start}\t7/3/2019 7:00:00 AM\t9 9\n"


FILES = {
    "news.tsv": NEWS,
    "train.tsv": HEADER
    + line("U1", "N1 N2", "N3 N4", "N5 N6 N1")
    + line("U2", "", "N3", "N5", start="7/3/2019 12:00:00 PM")
    + line("U1", "N1", "N2", "N3", start="7/2/2019 1:00:00 AM"),
    "valid.tsv": HEADER + line("U3", "N6", "N1", "N2 N3", start="7/4/2019 1:00:00 AM"),
}


@pytest.fixture
def raw(tmp_path):
    """Writes a small edition; each test says what is different in it."""

    def write(changes=None, **options):
        folder = tmp_path / "pens"
        folder.mkdir(exist_ok=True)
        for name, content in {**FILES, **(changes or {})}.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return PENS(folder, **options)

    return write


def rows_of(tables, part):
    """Impression → user, history, candidate → label."""
    ids = ["", *tables.items["item_id"].to_pylist()]
    users = tables.users.to_pylist()
    return {
        row["impression"]: (
            users[row["user"]]["user_id"],
            [ids[each] for each in users[row["user"]]["history"][row["start"] : row["stop"]]],
            {ids[each]: label for each, label in zip(row["candidates"], row["labels"], strict=True)},
        )
        for row in tables.impressions[part].to_pylist()
    }


def test_impressions_are_the_lines(raw):
    """Clicks and others with their labels, histories in order, valid as test, the latest of train as dev."""
    tables = raw().tables()
    assert rows_of(tables, "train") == {
        1: ("U1", ["N1", "N2"], {"N3": 1, "N4": 1, "N5": 0, "N6": 0, "N1": 0}),
        3: ("U1", ["N1"], {"N2": 1, "N3": 0}),
    }
    assert rows_of(tables, "dev") == {2: ("U2", [], {"N3": 1, "N5": 0})}
    assert rows_of(tables, "test") == {1: ("U3", ["N6"], {"N1": 1, "N2": 0, "N3": 0})}
    assert tables.users.num_rows == 3
    assert tables.rules["dev_begins"] == "2019-07-03T12:00:00Z"
    assert tables.items["title"].to_pylist()[0] == 'A "quoted title 1'
    assert tables.attributes == {"title": "text", "body": "text", "category": "category", "topic": "category"}


def test_dwell_and_times_stand_beside_the_clicks(raw):
    """A line with another number of them has none; a time that does not fit leaves all times out, and the rules say so."""
    tables = raw().tables()
    (one,) = [row for row in tables.users.to_pylist() if row["user_id"] == "U1"]
    assert one["dwell_time"] == [1.0, 2.0]
    noon = dt.datetime(2019, 7, 1, 12, tzinfo=dt.UTC).timestamp()
    assert one["times"] == [noon, noon + 86_401]
    assert tables.rules["history_times"] == "those of exposure_time"
    odd = FILES["train.tsv"] + line("U4", "N1 N2", "N3", "N4", dwell="7", times="7/1/2019 12:00:00 PM")
    tables = raw({"train.tsv": odd}).tables()
    assert "times" not in tables.users.column_names
    assert tables.rules["history_times"] == "left out: 2 clicks have none"
    (four,) = [row for row in tables.users.to_pylist() if row["user_id"] == "U4"]
    assert four["dwell_time"] == [None, None]
    endless = odd + line("U5", "N1 N2", "N3", "N4", dwell=f"7 {'9' * 60}")
    (five,) = [
        row for row in raw({"train.tsv": endless}).tables().users.to_pylist() if row["user_id"] == "U5"
    ]
    assert five["dwell_time"] == [7.0, None]
    late = HEADER + line("U4", "N1", "N3", "N4", times="7/9/2019 12:00:00 PM")
    assert "1 impressions are earlier" in raw({"valid.tsv": late}).tables().rules["history_times"]


def test_the_order_of_candidates_is_chance(raw):
    """The files have the clicks first; here they are anywhere, the same for one seed."""
    many = HEADER + "".join(line(f"U{n}", "N6", "N1", "N2 N3 N4 N5") for n in range(60))
    tables = raw({"train.tsv": many}).tables()
    places = [labels.index(1) for labels in tables.impressions["train"]["labels"].to_pylist()]
    assert set(places) == {0, 1, 2, 3, 4}
    assert raw({"train.tsv": many}).tables().impressions["train"].equals(tables.impressions["train"])
    assert (
        not raw({"train.tsv": many}, seed=1).tables().impressions["train"].equals(tables.impressions["train"])
    )


def test_the_order_of_candidates_is_that_of_the_seed_wherever_blocks_end(raw, monkeypatch):
    """A file that is read in many pieces gives what one that is read at once gives."""
    many = HEADER + "".join(line(f"U{n}", "N6", "N1", "N2 N3 N4 N5") for n in range(60))
    whole = raw({"train.tsv": many}).tables()
    monkeypatch.setattr(tab_blocks, "BLOCK", 400)
    pieces = raw({"train.tsv": many}).tables()
    for part, table in whole.impressions.items():
        assert pieces.impressions[part].equals(table), part


def test_absent_news_are_skipped_and_counted(raw):
    """With what stands beside them; a line without any known candidate goes; an id in both lists is a click."""
    changed = {
        "train.tsv": HEADER
        + line("U1", "N1 N9 N2", "N3 N8", "N5 N3")
        + line("U2", "N9", "N9", "N8")
        + line("U5", "N1", "", "")
        + line("U3", "N1", "N2", "N3")
    }
    tables = raw(changed, dev=0.0).tables()
    assert rows_of(tables, "train") == {
        1: ("U1", ["N1", "N2"], {"N3": 1, "N5": 0}),
        4: ("U3", ["N1"], {"N2": 1, "N3": 0}),
    }
    (one,) = [row for row in tables.users.to_pylist() if row["user_id"] == "U1"]
    assert one["dwell_time"] == [1.0, 3.0]
    assert tables.dropped == {
        "unclicked_candidates_that_are_also_clicked": 1,
        "missing_news": 2,
        "history_clicks_of_missing_news": 2,
        "candidates_of_missing_news": 3,
        "clicked_candidates_of_missing_news": 2,
        "impressions_without_candidates": 2,
    }
    empty = raw(changed, missing="empty", dev=0.0).tables()
    assert empty.items["item_id"].to_pylist()[6:] == ["N9", "N8"]
    assert sorted(rows_of(empty, "train")) == [1, 2, 4]
    assert empty.dropped["impressions_without_candidates"] == 1
    with pytest.raises(DataError, match="2 problems") as caught:
        raw(changed, missing="error").tables()
    assert [each.where for each in caught.value.problems] == [
        "pens/train.tsv line 2, column ClicknewsID",
        "pens/train.tsv line 2, column pos",
    ]


@pytest.mark.parametrize("inside", ["", "PENS/"])
def test_the_archive_is_read_in_place(raw, tmp_path, inside):
    """Given itself, or with the folder that holds it."""
    wanted = raw().tables()
    path = tmp_path / "zips" / "PENS.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(inside + name, content)
    for given in (path, path.parent):
        assert list(PENS(given).files()) == [path]
        assert rows_of(PENS(given).tables(), "test") == rows_of(wanted, "test")


def test_columns_may_stand_in_another_order_and_lines_end_in_both_ways(raw):
    """The header says which is which; a byte order mark and CRLF are nothing."""
    rows = [each.split("\t") for each in FILES["valid.tsv"].rstrip("\n").split("\n")]
    turned = "\ufeff" + "".join("\t".join(reversed(row)) + "\r\n" for row in rows)
    assert rows_of(raw({"valid.tsv": turned}).tables(), "test") == rows_of(raw().tables(), "test")


@pytest.mark.parametrize(
    ("name", "content", "where", "what"),
    [
        (
            "train.tsv",
            HEADER + line("U1", "", "N1", "N2", start="2019-07-03"),
            " line 2, column start",
            "a time like",
        ),
        ("train.tsv", HEADER + line("", "", "N1", "N2"), " line 2, column UserID", "an id without blanks"),
        ("train.tsv", HEADER + "U1\tN1\n", " line 2", "9 columns are expected, 2 found"),
        ("train.tsv", line("U1", "", "N1", "N2"), " line 1", "the header lacks UserID"),
        ("valid.tsv", "", "", "is empty"),
        ("valid.tsv", HEADER, "", "holds a header and no rows"),
        ("news.tsv", NEWS + NEWS.split("\n")[1] + "\n", " line 8, column News ID", "N1 is already in line 2"),
        (
            "news.tsv",
            NEWS.encode() + b"N9\t\xff\t\t\t\t\t\n",
            " line 8",
            "byte 4 of the line, 0xff, is not UTF-8",
        ),
    ],
)
def test_a_malformed_file_is_named(raw, name, content, where, what):
    """File, line, column and reason."""
    with pytest.raises(DataError, match="1 problem") as caught:
        raw({name: content}).tables()
    (problem,) = caught.value.problems
    assert problem.where == f"pens/{name}{where}"
    assert problem.what.startswith(what)


def test_folders_that_do_not_fit_are_refused(raw, tmp_path):
    """Nowhere, nothing in it, a file that is missing."""
    source = raw()
    (tmp_path / "pens" / "valid.tsv").unlink()
    with pytest.raises(DataError, match=r"valid.tsv: there is no such file"):
        source.files()
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"holds neither news\.tsv nor PENS\.zip"):
        PENS(tmp_path / "nothing").files()
    with pytest.raises(DataError, match="there is no such file or folder"):
        PENS(tmp_path / "none").files()
    with pytest.raises(SpecError):
        PENS("raw", missing="skip")


def test_models_train_on_it(raw, tmp_path):
    """By text, by ids and by a frozen language model, on rows written by hand."""
    log = HEADER + "".join(line(f"U{n}", "N6 N1", f"N{1 + n % 3}", "N4 N5 N6") for n in range(12))
    trial(raw({"train.tsv": log}), tmp_path / "runs")


WRITTEN = (
    "userid\tclicknewsID\tposnewID\trewrite_titles\n"
    "NT1\tN1,N2\tN3,N4,N9\tIt's so;;Four, rewritten;;Nine\n"
    "NT2\tN6\tN3,N3\tOne#TAB#\n"
    "NT1\tN2, N1\tN5\tFive;;\n"
    "NT3\t\tN1,N2\tonly one for two\n"
)


def test_written_headlines_are_test_where_they_are_asked_for(raw):
    """Each news of a person is an impression with what they wrote; the others are news they neither chose nor wrote of."""
    tables = raw({"personalized_test.tsv": WRITTEN}, test="personalized", negatives=9).tables()
    assert sorted(rows_of(tables, "train")) == [1, 2, 3]
    assert sorted(rows_of(tables, "dev")) == [1]
    users, told = tables.users.to_pylist(), {}
    ids = ["", *tables.items["item_id"].to_pylist()]
    for row in tables.impressions["test"].to_pylist():
        user = users[row["user"]]
        shown = {ids[each]: label for each, label in zip(row["candidates"], row["labels"], strict=True)}
        clicked = [each for each, label in shown.items() if label]
        history = [ids[each] for each in user["history"][row["start"] : row["stop"]]]
        assert row["time"] is None
        told[row["impression"]] = (
            user["user_id"],
            history,
            clicked,
            set(shown) - set(clicked),
            row["written_title"],
        )
    every = {f"N{n}" for n in range(1, 7)}
    one, two, three = every - {"N1", "N2", "N3", "N4", "N5"}, every - {"N6", "N3"}, every - {"N1", "N2"}
    assert told == {
        1: ("NT1", ["N1", "N2"], ["N3"], one, "It's so"),
        2: ("NT1", ["N1", "N2"], ["N4"], one, "Four, rewritten"),
        4: ("NT2", ["N6"], ["N3"], two, "One"),
        5: ("NT2", ["N6"], ["N3"], two, None),
        6: ("NT1", ["N2", "N1"], ["N5"], one, "Five"),
        7: ("NT3", [], ["N1"], three, None),
        8: ("NT3", [], ["N2"], three, None),
    }
    assert tables.impression_attributes == {"written_title": "text"}
    assert tables.impressions["train"]["written_title"].null_count == 3
    assert tables.dropped["headlines_without_text"] == 3
    assert tables.dropped["clicked_candidates_of_missing_news"] == 1
    assert tables.rules["split"] == "train.tsv is train, valid.tsv is dev, personalized_test.tsv is test"


def test_news_that_are_shown_beside_are_drawn_by_the_seed(raw):
    """As many as were asked for, anywhere among them, the same for one seed."""
    news = NEWS + "".join(f"N{n}\tsports\tgolf\tTitle\t\t\t\n" for n in range(10, 60))
    people = (
        WRITTEN.split("\n", maxsplit=1)[0] + "\n" + "".join(f"NT{n}\tN1\tN2,N3\tA;;B\n" for n in range(30))
    )

    def shown(**options):
        files = {"news.tsv": news, "personalized_test.tsv": people}
        return raw(files, test="personalized", negatives=4, **options).tables().impressions["test"]

    rows = shown().to_pylist()
    assert all(len(set(row["candidates"])) == 5 and sum(row["labels"]) == 1 for row in rows)
    assert {row["labels"].index(1) for row in rows} == set(range(5))
    assert all(
        not {1, 2, 3} & {c for c, y in zip(r["candidates"], r["labels"], strict=True) if not y} for r in rows
    )
    assert shown().equals(shown())
    assert not shown().equals(shown(seed=1))


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (WRITTEN + "\tN1\tN2\tx\n", " line 6, column userid", "an id without blanks"),
        (WRITTEN + "NT4\tN1\t ,\tx\n", " line 6, column posnewID", "at least one news"),
        (WRITTEN + "NT4\tN1\n", " line 6", "4 columns are expected, 2 found"),
        (WRITTEN.split("\n")[1], " line 1", "the header lacks userid"),
        ("", "", "is empty"),
        (
            WRITTEN.split("\n", maxsplit=1)[0] + "\nNT1\tN1,N2\tN3,N4,N5,N6\ta;;b;;c;;d\n",
            "",
            "impression 1 has no news to be shown among",
        ),
    ],
)
def test_a_malformed_file_of_headlines_is_named(raw, content, where, what):
    """File, line, column and reason."""
    with pytest.raises(DataError, match="1 problem") as caught:
        raw({"personalized_test.tsv": content}, test="personalized").tables()
    (problem,) = caught.value.problems
    assert problem.where == f"pens/personalized_test.tsv{where}"
    assert problem.what.startswith(what)


def test_headlines_that_are_missing_or_of_missing_news_are_named(raw):
    """The file; the news, by line and column; options that would do nothing."""
    with pytest.raises(DataError, match=r"personalized_test\.tsv: there is no such file"):
        raw(test="personalized").tables()
    with pytest.raises(DataError) as caught:
        raw({"personalized_test.tsv": WRITTEN}, test="personalized", missing="error").tables()
    assert [each.where for each in caught.value.problems] == [
        "pens/personalized_test.tsv line 2, column posnewID"
    ]
    with pytest.raises(SpecError, match=r"valid\.tsv is dev"):
        PENS("pens", test="personalized", dev=0.2)
    with pytest.raises(SpecError, match="those of the log"):
        PENS("pens", negatives=3)
    assert raw().fingerprint().keys() == {"version", "dev", "missing", "seed"}
