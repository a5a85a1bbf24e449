from __future__ import annotations

import datetime as dt
import shutil
import zipfile
from collections import Counter

import numpy as np
import pytest

from lego import Dot, Experiment, Mean, Recommender, Training, Words
from lego.data.prepare import prepare
from lego.data.source.mind import MIND
from lego.errors import DataError, SpecError
from tests.data.source.samples import cut_mind
from tests.data.source.trial import trial


def news(*ids, text="Text of"):
    return "".join(
        f'{each}\tsports\tgolf_{each}\t{text} "{each}\t\thttps://x/{each}\t[{{"Label": "A"}}]\t[]\n'
        for each in ids
    )


def log(*rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


FILES = {
    "train/news.tsv": news("N1", "N2", "N3"),
    "train/behaviors.tsv": log(
        (7, "U1", "11/9/2019 12:00:01 AM", "N1 N2", "N3-1 N1-0"),
        (3, "U2", "11/9/2019 12:00:00 PM", "", "N2-0 N1-0"),
        (5, "U1", "11/9/2019 9:59:59 PM", "N1 N2", "N1-1 N2-1"),
    ),
    "dev/news.tsv": news("N2", "N4", text="Other"),
    "dev/behaviors.tsv": log(
        (7, "U1", "11/15/2019 1:02:03 AM", "N1 N2 N4", "N4-0 N3-1"),
        (1, "U2", "11/15/2019 1:02:03 AM", "N4", "N4-1 N1-0"),
        (2, "U2", "11/15/2019 1:02:03 AM", "N3", "N4-1 N1-0"),
    ),
}


@pytest.fixture
def folder(tmp_path):
    """A folder alone in its folder."""
    return tmp_path / "mind"


@pytest.fixture
def raw(folder):
    """Writes a small edition; each test says what is different in it."""

    def write(changes=None, prefix="", **options):
        for name, content in {**FILES, **(changes or {})}.items():
            path = folder / f"{prefix}{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return MIND(folder, **options)

    return write


def rows_of(tables, part):
    """User id, history ids, candidate ids and labels of each impression, by its id."""
    ids = ["", *tables.items["item_id"].to_pylist()]
    users, histories = tables.users["user_id"].to_pylist(), tables.users["history"].to_pylist()
    return {
        row["impression"]: (
            users[row["user"]],
            [ids[item] for item in histories[row["user"]][row["start"] : row["stop"]]],
            [ids[item] for item in row["candidates"]],
            row["labels"],
        )
        for row in tables.impressions[part].to_pylist()
    }


# --- rows written by hand -----------------------------------------------------------------------------------------------------


def test_impressions_are_those_of_the_log(raw):
    """Users, histories in click order, candidates in the log's order with their labels; the last by time is dev."""
    tables = raw().tables()
    assert rows_of(tables, "train") == {
        7: ("U1", ["N1", "N2"], ["N3", "N1"], [1, 0]),
        3: ("U2", [], ["N2", "N1"], [0, 0]),
    }
    assert rows_of(tables, "dev") == {5: ("U1", ["N1", "N2"], ["N1", "N2"], [1, 1])}
    assert rows_of(tables, "test") == {
        7: ("U1", ["N1", "N2", "N4"], ["N4", "N3"], [0, 1]),
        1: ("U2", ["N4"], ["N4", "N1"], [1, 0]),
        2: ("U2", ["N3"], ["N4", "N1"], [1, 0]),
    }
    assert tables.rules["dev_begins"] == "2019-11-09T21:59:59Z"
    assert tables.rules["one_class"] == {
        "train": {"no_click": 1, "only_clicks": 0},
        "dev": {"no_click": 0, "only_clicks": 1},
        "test": {"no_click": 0, "only_clicks": 0},
    }


def test_a_user_is_one_row_per_history_that_none_continues(raw):
    """U1 has one history that grows; of U2 the empty one shares a row, and two that differ have one each."""
    users = raw().tables().users
    found = Counter(zip(users["user_id"].to_pylist(), map(tuple, users["history"].to_pylist()), strict=True))
    assert found == {("U1", (1, 2, 4)): 1, ("U2", (3,)): 1, ("U2", (4,)): 1}


def test_histories_are_compared_item_by_item(raw):
    """The beginning of a number is not the beginning of a history; users by first appearance, histories by their rows."""
    ids = [f"N{row}" for row in range(1, 600)]
    histories = ["N1 N256 N2", "N1 N256", "N1", "N256 N1", "N257", "N1 N511"]
    shown = [(row, "U1", "11/9/2019 1:00:00 AM", each, "N1-1 N2-0") for row, each in enumerate(histories)]
    tables = raw({"train/news.tsv": news(*ids), "train/behaviors.tsv": log(*shown)}, dev=0.0).tables()
    assert [rows_of(tables, "train")[row][1] for row in range(6)] == [each.split() for each in histories]
    users = list(zip(*(tables.users[name].to_pylist() for name in ("user_id", "history")), strict=True))
    assert users[:5] == [
        ("U1", [1, 2, 4]),
        ("U1", [1, 256, 2]),
        ("U1", [1, 511]),
        ("U1", [256, 1]),
        ("U1", [257]),
    ]


def test_items_are_the_news_of_both_folders(raw):
    """Train's first, each id once with train's text, which is counted; quotes are literal, empty texts stay empty."""
    tables = raw().tables()
    assert tables.items["item_id"].to_pylist() == ["N1", "N2", "N3", "N4"]
    assert tables.items["title"].to_pylist() == ['Text of "N1', 'Text of "N2', 'Text of "N3', 'Other "N4']
    assert tables.items["abstract"].to_pylist() == [""] * 4
    assert tables.items["subcategory"].to_pylist() == ["golf_N1", "golf_N2", "golf_N3", "golf_N4"]
    assert tables.attributes == {
        "title": "text",
        "abstract": "text",
        "category": "category",
        "subcategory": "category",
    }
    assert tables.dropped == {"news_with_other_text": 1}


def test_times_are_utc_seconds(raw):
    """Noon, midnight and hours without a zero, against the standard library."""
    times = [
        "1/2/2019 12:00:00 AM",
        "02/29/2020 12:59:59 PM",
        "12/31/1999 1:00:09 PM",
        "6/30/2019 11:59:59 AM",
    ]
    shown = [(row, "U1", time, "", "N1-1 N2-0") for row, time in enumerate(times)]
    found = (
        raw({"train/behaviors.tsv": log(*shown)}, dev=0.0).tables().impressions["train"]["time"].to_pylist()
    )
    utc = dt.UTC
    assert found == [
        int(dt.datetime.strptime(time, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=utc).timestamp())
        for time in times
    ]


def test_dev_is_the_latest_share_of_train(raw):
    """Of twenty impressions the last four by time and then id; the file's order does not matter, and 0 makes none."""
    rows = [(row, "U1", f"11/9/2019 1:00:{row // 4:02} AM", "", "N1-1 N2-0") for row in range(20)]
    mixed = [rows[place] for place in np.random.default_rng(0).permutation(20)]
    source = raw({"train/behaviors.tsv": log(*mixed)}, dev=0.23)
    assert sorted(rows_of(source.tables(), "dev")) == [16, 17, 18, 19]
    assert sorted(rows_of(raw(dev=0.0).tables(), "train")) == [3, 5, 7]
    assert raw(dev=0.0).tables().rules["dev_begins"] == "none"


@pytest.mark.parametrize("prefix", ["", "MINDsmall_", "MINDlarge_", "MINDdemo_"])
def test_folders_are_found_in_every_spelling(raw, prefix):
    """With the name of the edition and without."""
    assert raw(prefix=prefix).tables().items.num_rows == 4


@pytest.mark.parametrize("inside", ["", "MINDsmall_train/", "__MACOSX/._"])
def test_archives_are_read_in_place(raw, folder, inside):
    """With the four files at the top or in a folder; what macOS adds is passed over, and a folder goes before its archive."""
    wanted = raw(prefix="MINDsmall_").tables()
    for part in ("train", "dev"):
        place = folder / f"MINDsmall_{part}"
        with zipfile.ZipFile(f"{place}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("news.tsv", "behaviors.tsv"):
                if inside.startswith("__"):
                    archive.writestr(f"{inside}{name}", b"\x00")
                    archive.write(place / name, name)
                else:
                    archive.write(place / name, f"{inside}{name}")
        if part == "train":
            shutil.rmtree(place)
    source = MIND(folder)
    assert [path.name for path in source.files()] == ["MINDsmall_train.zip", "news.tsv", "behaviors.tsv"]
    shutil.rmtree(folder / "MINDsmall_dev")
    assert [path.name for path in source.files()] == ["MINDsmall_train.zip", "MINDsmall_dev.zip"]
    made = source.tables()
    assert made.items.equals(wanted.items)
    assert all(rows_of(made, part) == rows_of(wanted, part) for part in ("train", "dev", "test"))
    assert len(list(folder.iterdir())) == 2


def test_what_is_wrong_in_an_archive_is_named(raw, folder):
    """A line inside it, a file that is not, one that is there twice, bytes that were changed, an end that is missing."""
    raw(prefix="MINDsmall_")

    def refused(files, damage=lambda data: data):
        path = folder / "MINDsmall_dev.zip"
        shutil.rmtree(folder / "MINDsmall_dev", ignore_errors=True)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(DataError) as caught:
            MIND(folder).tables()
        return str(caught.value)

    good = {name: FILES[f"dev/{name}"] for name in ("news.tsv", "behaviors.tsv")}
    assert "MINDsmall_dev.zip/news.tsv line 1: 8 columns are expected" in refused(good | {"news.tsv": "N1\n"})
    assert "behaviors.tsv: there is no such file" in refused({"news.tsv": good["news.tsv"]})
    assert "holds several" in refused(good | {"other/news.tsv": good["news.tsv"]})
    assert "MINDsmall_dev.zip: cannot be read as a zip" in refused(good, lambda data: data[:100])
    changed = refused(good, lambda data: data.replace(b"Other", b"Ather", 1))
    assert "MINDsmall_dev.zip/news.tsv: cannot be read: Bad CRC-32" in changed


ABSENT = {
    "train/behaviors.tsv": log(
        (1, "U1", "11/9/2019 1:00:00 AM", "N9 N1 N9", "N8-1 N1-0"),
        (2, "U2", "11/9/2019 2:00:00 AM", "N8", "N9-1 N8-0"),
        (3, "U3", "11/9/2019 3:00:00 AM", "N1", "N2-1 N3-0"),
    )
}


def test_absent_news_are_an_error(raw):
    """Each id once, where it first stands; the ways out are told."""
    with pytest.raises(DataError, match="2 problems") as caught:
        raw(ABSENT).tables()
    assert [(each.where, each.what) for each in caught.value.problems] == [
        ("train/behaviors.tsv line 1, column history", "no news.tsv has N9"),
        ("train/behaviors.tsv line 1, column impressions", "no news.tsv has N8"),
    ]
    assert 'missing="drop"' in caught.value.problems[0].fix


def test_of_many_absent_news_twenty_are_shown(raw):
    """The rest is counted."""
    rows = [(1, "U1", "11/9/2019 1:00:00 AM", " ".join(f"X{row}" for row in range(33)), "N1-1 N2-0")]
    with pytest.raises(DataError, match="and 13 more") as caught:
        raw({"train/behaviors.tsv": log(*rows)}).tables()
    assert len(caught.value.problems) == 20


def test_absent_news_can_be_dropped(raw):
    """They leave histories and candidates, an impression without candidates goes, and all of it is counted."""
    tables = raw(ABSENT, missing="drop", dev=0.0).tables()
    assert rows_of(tables, "train") == {
        1: ("U1", ["N1"], ["N1"], [0]),
        3: ("U3", ["N1"], ["N2", "N3"], [1, 0]),
    }
    assert tables.dropped == {
        "news_with_other_text": 1,
        "missing_news": 2,
        "history_clicks_of_missing_news": 3,
        "candidates_of_missing_news": 3,
        "clicked_candidates_of_missing_news": 2,
        "impressions_without_candidates": 1,
    }
    assert tables.rules["one_class"]["train"] == {"no_click": 1, "only_clicks": 0}


def test_absent_news_can_be_items_without_text(raw):
    """They stand behind the others, with nothing in their attributes."""
    tables = raw(ABSENT, missing="empty", dev=0.0).tables()
    assert tables.items.slice(4).to_pylist() == [
        {"item_id": each, "title": None, "abstract": None, "category": None, "subcategory": None}
        for each in ("N9", "N8")
    ]
    assert rows_of(tables, "train")[1] == ("U1", ["N9", "N1", "N9"], ["N8", "N1"], [1, 0])
    assert tables.dropped == {"news_with_other_text": 1, "news_without_text": 2}


def test_a_part_of_which_nothing_is_left_is_an_error(raw):
    """Files of two editions would otherwise give a part without impressions."""
    other = log((1, "U1", "11/9/2019 1:00:00 AM", "", "N8-1 N9-0"))
    with pytest.raises(DataError, match=r"train/behaviors.tsv: no news.tsv has any of the candidates"):
        raw({"train/behaviors.tsv": other}, missing="drop").tables()


# --- what is refused ----------------------------------------------------------------------------------------------------------

GOOD = (1, "U1", "11/9/2019 1:00:00 AM", "N1", "N1-1 N2-0")


@pytest.mark.parametrize(
    ("place", "value", "where", "what"),
    [
        (0, "one", "column impression id", "a whole number is expected, 'one' found"),
        (0, "-4", "column impression id", "a whole number is expected, '-4' found"),
        (0, "1", "column impression id", "1 is already in line 1"),
        (1, "", "column user id", "an id without blanks is expected, '' found"),
        (1, "U 1", "column user id", "an id without blanks is expected, 'U 1' found"),
        (2, "2019-11-09", "column time", "a time like 11/9/2019 6:42:51 PM is expected, '2019-11-09' found"),
        (2, "2/29/2019 1:00:00 AM", "column time", "'2/29/2019 1:00:00 AM' found"),
        (2, "2/28/2019 13:00:00 PM", "column time", "'2/28/2019 13:00:00 PM' found"),
        (3, "N1  N2", "column history", "ids with one blank between them are expected, 'N1  N2' found"),
        (4, "", "column impressions", "like N123-0 or N123-1, are expected, '' found"),
        (4, "N1-1 N2-2", "column impressions", "are expected, 'N2-2' found"),
        (4, "N1-1 N2", "column impressions", "are expected, 'N2' found"),
    ],
)
def test_a_malformed_value_is_named(raw, place, value, where, what):
    """File, line, column, what was expected and what was found; of one value, one problem."""
    bad = [*GOOD]
    bad[0] = 2
    bad[place] = value
    with pytest.raises(DataError, match="1 problem") as caught:
        raw({"dev/behaviors.tsv": log(GOOD, bad)}).tables()
    (problem,) = caught.value.problems
    assert problem.where == f"dev/behaviors.tsv line 2, {where}"
    assert problem.what.endswith(what)


@pytest.mark.parametrize(
    ("name", "content", "where", "what"),
    [
        ("train/behaviors.tsv", log(GOOD, GOOD[:4]), " line 2", "5 columns are expected, 4 found"),
        ("train/news.tsv", news("N1") + "N2\tsports\n", " line 2", "8 columns are expected, 2 found"),
        ("train/news.tsv", news("N1", "N2", "N1"), " line 3, column id", "N1 is already in line 1"),
        ("train/news.tsv", news("N1", "N 2"), " line 2, column id", "an id without blanks is expected"),
        ("dev/news.tsv", b"", "", "is empty"),
        ("dev/behaviors.tsv", b"", "", "is empty"),
        (
            "dev/news.tsv",
            news("N1").encode() + b"N2\ta\xff\n",
            " line 2",
            "byte 5 of the line, 0xff, is not UTF-8",
        ),
    ],
)
def test_a_malformed_file_is_named(raw, name, content, where, what):
    """Missing columns, ids that stand twice, empty files and bytes that are no text."""
    with pytest.raises(DataError, match="1 problem") as caught:
        raw({name: content}).tables()
    assert caught.value.problems[0].where == name + where
    assert caught.value.problems[0].what.startswith(what)


def test_all_files_are_looked_at_and_one_cause_is_told_once(raw):
    """Problems of several files come together; of many lines with one cause the first stands for all, which are counted."""
    bad = log(*[(row, "U1", "never", "", "N1-1") for row in range(30)])
    with pytest.raises(DataError, match="31 problems") as caught:
        raw({"train/news.tsv": news("N1", "N1"), "dev/behaviors.tsv": bad}).tables()
    news_twice, times = caught.value.problems
    assert news_twice.where.startswith("train/news.tsv")
    assert times.where == "dev/behaviors.tsv line 1, column time"
    assert times.what.endswith("; 29 more like it, lines 2, 3, 4, 5, 6 …")


def test_a_part_without_labels_is_refused(raw):
    """The test part of MINDlarge has none; one sentence says so for all its lines."""
    bare = log(*[(row, "U1", "11/9/2019 1:00:00 AM", "", "N1 N2") for row in range(3)])
    with pytest.raises(DataError, match="and 2 more lines have no labels") as caught:
        raw({"dev/behaviors.tsv": bare}).tables()
    assert 'choose test="test"' in caught.value.problems[0].fix


HIDDEN = {
    "test/news.tsv": news("N4", "N5", text="Third"),
    "test/behaviors.tsv": log(
        (9, "U1", "11/16/2019 1:02:03 AM", "N1 N2 N4", "N5 N3 N1"),
        (4, "U7", "11/16/2019 1:02:03 AM", "", "N2 N5"),
    ),
}


def test_the_test_folder_is_test_where_it_is_asked_for(raw):
    """Folders are parts, news of all three are items, and its candidates have no labels, which is told."""
    tables = raw(HIDDEN, test="test").tables()
    assert sorted(rows_of(tables, "train")) == [3, 5, 7]
    assert sorted(rows_of(tables, "dev")) == [1, 2, 7]
    assert rows_of(tables, "test") == {
        9: ("U1", ["N1", "N2", "N4"], ["N5", "N3", "N1"], [0, 0, 0]),
        4: ("U7", [], ["N2", "N5"], [0, 0]),
    }
    assert tables.unlabeled == ("test",)
    assert tables.items["item_id"].to_pylist() == ["N1", "N2", "N3", "N4", "N5"]
    assert tables.dropped == {"news_with_other_text": 2}
    assert tables.rules["split"] == "each folder is the part of its name"
    assert "test" not in tables.rules["one_class"]
    assert raw(HIDDEN).tables().unlabeled == ()
    assert raw(HIDDEN).fingerprint().keys() < raw(HIDDEN, test="test").fingerprint().keys()


def test_a_published_list_cuts_the_dev_folder(raw, tmp_path):
    """Its first half is dev, the second test, in the order of the log; train stays whole, and the list is hashed as a file."""
    file = tmp_path / "list.json"
    file.write_text("[7, 99, 1, 2, 98]")
    source = raw(listed=file)
    tables = source.tables()
    assert sorted(rows_of(tables, "train")) == [3, 5, 7]
    assert (sorted(rows_of(tables, "dev")), sorted(rows_of(tables, "test"))) == ([7], [1, 2])
    whole = rows_of(raw().tables(), "test")
    assert {**rows_of(tables, "dev"), **rows_of(tables, "test")} == whole
    assert "first half of the list" in tables.rules["split"]
    assert file in source.files()
    assert source.fingerprint() == {**raw().fingerprint(), "listed": True}
    file.write_text("[7, 1]")
    assert source.tables().dropped["impressions_not_listed"] == 1
    for text, word in (
        ("[7", "no JSON"),
        ('["7"]', "whole numbers"),
        ("[7, 7]", "twice"),
        ("[7, 98]", "no impression"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=word):
            source.tables()
    for options in ({"test": "test"}, {"dev": 0.2}):
        with pytest.raises(SpecError, match="listed"):
            raw(listed=file, **options)
    with pytest.raises(DataError, match="no such file"):
        raw(listed=tmp_path / "none").files()


def test_labels_of_a_test_folder_are_read_where_it_has_them(raw):
    """As whoever made a test part of their own has; some lines with and some without are refused by line."""
    text = HIDDEN["test/behaviors.tsv"]
    known = text.replace("N5 N3 N1", "N5-1 N3-0 N1-0").replace("N2 N5", "N2-0 N5-1")
    tables = raw({**HIDDEN, "test/behaviors.tsv": known}, test="test").tables()
    assert rows_of(tables, "test")[9][3] == [1, 0, 0]
    assert tables.unlabeled == ()
    for some, word in (
        (("N2 N5", "N2-0 N5-1"), "line 2.*have labels"),
        (("N5 N3 N1", "N5-1 N3-0 N1-0"), "line 2.*no labels"),
    ):
        with pytest.raises(DataError, match=word):
            raw({**HIDDEN, "test/behaviors.tsv": text.replace(*some)}, test="test").tables()


def test_what_is_wrong_in_a_test_folder_is_named(raw, folder):
    """News that no file has, by line; a folder that is missing; an option that would do nothing."""
    strange = {**HIDDEN, "test/behaviors.tsv": HIDDEN["test/behaviors.tsv"].replace("N2 N5", "N2 N1234567")}
    with pytest.raises(
        DataError, match=r"test/behaviors\.tsv line 2, column impressions: no news\.tsv has N1234567"
    ):
        raw(strange, test="test").tables()
    with pytest.raises(SpecError, match="the dev folder is dev"):
        MIND("mind", test="test", dev=0.2)
    (folder / "test" / "behaviors.tsv").unlink()
    with pytest.raises(DataError, match="there is no such file"):
        raw(test="test").tables()
    (folder / "test" / "news.tsv").unlink()
    (folder / "test").rmdir()
    with pytest.raises(DataError, match="one of test of the same edition"):
        raw(test="test").tables()


def test_no_candidate_of_a_ranking_to_hand_in_is_dropped(raw):
    """A leaderboard wants a rank for each candidate: an unknown one is an item without text, or an error, and never left out."""
    unknown = HIDDEN["test/behaviors.tsv"].replace("N2 N5", "N98 N99").replace("N1 N2 N4", "N1 N97 N4")
    strange = {**HIDDEN, "test/behaviors.tsv": unknown}
    with pytest.raises(DataError) as caught:
        raw(strange, test="test", missing="drop").tables()
    found = caught.value.problems
    assert [each.what for each in found] == ["no news.tsv has N98", "no news.tsv has N99"], (
        "a history may lack one"
    )
    assert all(each.where.endswith("line 2, column impressions") for each in found)
    with pytest.raises(DataError) as refused:
        raw(strange, test="test").tables()
    for each in (*found, *refused.value.problems):
        assert 'missing="empty"' in each.fix
        assert "drop" not in each.fix
    assert rows_of(raw(strange, test="test", missing="empty").tables(), "test")[4][2] == ["N98", "N99"]
    only_history = HIDDEN["test/behaviors.tsv"].replace("N1 N2 N4", "N1 N97 N4")
    tables = raw({**HIDDEN, "test/behaviors.tsv": only_history}, test="test", missing="drop").tables()
    assert rows_of(tables, "test")[9][1:3] == (["N1", "N4"], ["N5", "N3", "N1"])


def test_an_empty_first_line_hides_no_labels(raw):
    """The first line that says something tells whether there are any."""
    text = "\n" + HIDDEN["test/behaviors.tsv"]
    assert raw({**HIDDEN, "test/behaviors.tsv": text}, test="test").tables().unlabeled == ("test",)


def test_folders_that_do_not_hold_both_parts_are_refused(raw, folder):
    """No folder, a file, one part, two editions, a folder above, a file that is missing: each with its way out."""

    def refused(path):
        with pytest.raises(DataError) as caught:
            list(MIND(path).files())
        return str(caught.value)

    assert "there is no such folder" in refused(folder / "nowhere")
    raw(prefix="MINDsmall_")
    assert f"give the folder that holds both: {folder}" in refused(folder / "MINDsmall_train")
    assert "is a file" in refused(folder / "MINDsmall_train" / "news.tsv")
    assert f"give the folder that does: {folder}" in refused(folder.parent)
    (folder / "MINDsmall_dev" / "news.tsv").unlink()
    assert "news.tsv: there is no such file" in refused(folder)
    raw(prefix="MINDlarge_")
    assert "more than one edition" in refused(folder)
    (folder / "half" / "train").mkdir(parents=True)
    assert "holds train, and one folder of train and one of dev" in refused(folder / "half")


@pytest.mark.parametrize("options", [{"missing": "skip"}, {"dev": 1.0}, {"dev": -0.1}, {"history": 0}])
def test_options_that_make_no_sense_are_refused(options):
    """A policy that there is not, a share that leaves nothing, a history of nothing."""
    with pytest.raises(SpecError):
        MIND("raw", **options)


def test_history_moves_no_fingerprint():
    """It is applied when the data is read; the others change the tables."""
    assert MIND("a").fingerprint() == MIND("b", history=3).fingerprint()
    for other in (MIND("a", dev=0.2), MIND("a", missing="drop")):
        assert MIND("a").fingerprint() != other.fingerprint()


# --- real rows ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(shared_data):
    if not (shared_data / "mind").is_dir():
        pytest.skip("the samples of MIND are not there")
    return shared_data / "mind"


@pytest.fixture(scope="module")
def plain(sample):
    """The sample read in the plain way, news that are missing left out: (kept rows of each file, news, counts)."""
    texts, counts, kept, rows_in = {}, Counter(), {}, {}
    for part in ("train", "dev"):
        for line in (sample / f"MINDsmall_{part}" / "news.tsv").read_text(encoding="utf-8").split("\n")[:-1]:
            fields = line.split("\t")
            texts.setdefault(fields[0], (fields[3], fields[4], fields[1], fields[2]))
    for part in ("train", "dev"):
        lines = (sample / f"MINDsmall_{part}" / "behaviors.tsv").read_text(encoding="utf-8").split("\n")[:-1]
        rows_in[part] = len(lines)
        kept[part] = []
        for line in lines:
            number, user, time, history, shown = line.split("\t")
            pairs = [word.rsplit("-", 1) for word in shown.split()]
            counts["history_clicks_of_missing_news"] += sum(each not in texts for each in history.split())
            counts["candidates_of_missing_news"] += sum(each not in texts for each, _ in pairs)
            counts["clicked_candidates_of_missing_news"] += sum(
                each not in texts and label == "1" for each, label in pairs
            )
            pairs = [(each, int(label)) for each, label in pairs if each in texts]
            counts["impressions_without_candidates"] += not pairs
            if pairs:
                moment = dt.datetime.strptime(time, "%m/%d/%Y %I:%M:%S %p")
                clicks = [each for each in history.split() if each in texts]
                kept[part].append((int(number), user, moment, clicks, pairs))
    return kept, texts, counts, rows_in


@pytest.fixture(scope="module")
def store(sample, tmp_path_factory):
    return prepare(MIND(sample, missing="drop"), tmp_path_factory.mktemp("prepared"))


def test_counts_are_those_of_a_plain_count(store, plain):
    """4,001 and 1,437 impressions go in; what is left out and what stays, against a plain count."""
    kept, texts, counts, rows_in = plain
    assert rows_in == {"train": 4001, "dev": 1437}
    dropped = dict(store.manifest["dropped"])
    assert {name: dropped[name] for name in counts} == dict(counts)
    early = len(kept["train"])
    assert store.manifest["counts"]["impressions"] == {
        "train": early - early // 10,
        "dev": early // 10,
        "test": len(kept["dev"]),
    }
    assert store.item_ids.to_pylist() == list(texts)
    one_class = {"no_click": 0, "only_clicks": 0}
    for part in ("train", "dev"):
        for name, number in store.manifest["rules"]["one_class"][part].items():
            one_class[name] += number
    labels = [{label for _, label in pairs} for *_, pairs in kept["train"]]
    assert one_class == {"no_click": labels.count({0}), "only_clicks": labels.count({1})}


def test_every_row_comes_back(store, plain):
    """Texts, and each impression's user, history, candidates, labels and part, as a plain reading has them."""
    kept, texts, _, _ = plain
    columns = ("title", "abstract", "category", "subcategory")
    assert list(zip(*(store.items[name].to_pylist() for name in columns), strict=True)) == list(
        texts.values()
    )
    ordered = sorted(kept["train"], key=lambda row: (row[2], row[0]))
    cut = len(ordered) - len(ordered) // 10
    expected = {"train": ordered[:cut], "dev": ordered[cut:], "test": kept["dev"]}
    ids = np.array(["", *store.item_ids.to_pylist()])
    users = store.users.user_ids.to_pylist()
    for part, rows in expected.items():
        impressions = store.part(part)
        found = {}
        for row, number in enumerate(impressions.impression.tolist()):
            history = store.users.history.values[impressions.start[row] : impressions.stop[row]]
            shown = slice(*impressions.candidates.offsets[row : row + 2])
            pairs = zip(
                ids[impressions.candidates.values[shown]].tolist(),
                impressions.labels[shown].tolist(),
                strict=True,
            )
            found[number] = (
                users[impressions.user[row]],
                impressions.time[row],
                ids[history].tolist(),
                list(pairs),
            )
        assert found == {
            number: (user, int(time.replace(tzinfo=dt.UTC).timestamp()), clicks, pairs)
            for number, user, time, clicks, pairs in rows
        }
    first = ordered[cut][2]
    assert store.manifest["rules"]["dev_begins"] == f"{first.isoformat()}Z"


def test_a_user_of_the_sample_is_one_row(store, plain):
    """In one part the history of a user is the same each time, and no user of the sample is in both."""
    users = store.users.user_ids.to_pylist()
    assert len(users) == len(set(users))
    assert set(users) == {user for rows in plain[0].values() for _, user, *_ in rows}


def test_a_model_trains_on_it(sample, tmp_path):
    """A tiny model goes from the raw files to metrics of the test part."""
    experiment = Experiment(
        data=MIND(sample, missing="drop", history=5),
        model=Recommender(content=Mean(), behavior=Mean(), predictor=Dot(), tokens=Words(), width=4),
        training=Training(epochs=1, batch_size=256),
    )
    run = experiment.run(out=tmp_path)
    assert 0 < run.metrics["gauc"] < 1


def test_models_train_on_real_rows(shared_data, tmp_path):
    """By text, by ids and by a frozen language model, on the first rows."""
    mind, _ = cut_mind(shared_data, tmp_path / "raw", rows=8)
    assert {"text", "id"} <= set(trial(MIND(mind, missing="drop"), tmp_path / "runs", texts=["title"]))
