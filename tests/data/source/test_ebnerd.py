from __future__ import annotations

import datetime as dt
import shutil
import zipfile
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego import Dot, Experiment, ItemID, Mean, Recommender, Training
from lego.data import problems
from lego.data.prepare import prepare
from lego.data.source import ebnerd_articles, ebnerd_histories
from lego.data.source.ebnerd import EBNeRD
from lego.errors import DataError, SpecError
from tests.data.source.trial import trial

DAY = dt.datetime(2023, 5, 18, 7)


def at(hours):
    return DAY + dt.timedelta(hours=hours)


ARTICLES = pa.table(
    {
        "article_id": pa.array([11, 12, 13, 14], pa.int32()),
        "title": ['Han siger "nej"', "To", "", "Fire\tord"],
        "subtitle": ["", "under", "", ""],
        "last_modified_time": pa.array([at(0)] * 4, pa.timestamp("us")),
        "premium": [True, False, False, None],
        "body": ["Krop", "", "", "x"],
        "published_time": pa.array([at(-5), at(-4.5), None, at(-3)], pa.timestamp("us")),
        "image_ids": pa.array([[1], None, [], [2, 3]], pa.list_(pa.int64())),
        "article_type": ["article_default", "article_default", "", "feature"],
        "url": ["u"] * 4,
        "ner_clusters": pa.array([["Bo", None, "Ib"], [], None, ["Bo"]], pa.list_(pa.string())),
        "entity_groups": pa.array([["PER", "PER", "PER"], [], [], ["PER"]], pa.list_(pa.string())),
        "topics": pa.array([["Sport", "Fodbold"], [], ["Krimi"], []], pa.list_(pa.string())),
        "category": pa.array([142, 140, 140, 118], pa.int16()),
        "subcategory": pa.array([[196, 271], [], [133], []], pa.list_(pa.int16())),
        "category_str": ["sport", "krimi", "krimi", "nyheder"],
        "total_inviews": pa.array([5, None, None, 7], pa.int32()),
        "total_pageviews": pa.array([5, None, None, 7], pa.int32()),
        "total_read_time": pa.array([5.0, None, None, 7.0], pa.float32()),
        "sentiment_score": pa.array([0.5, 0.25, float("nan"), 1.0], pa.float32()),
        "sentiment_label": ["Negative", "Neutral", "Neutral", "Positive"],
    }
)


def histories(rows):
    """user → [(hours, article, read time, scroll)]."""
    columns = {
        "impression_time_fixed": (0, pa.timestamp("us"), at),
        "scroll_percentage_fixed": (3, pa.float32(), None),
        "article_id_fixed": (1, pa.int32(), None),
        "read_time_fixed": (2, pa.float32(), None),
    }
    table = {"user_id": pa.array(list(rows), pa.uint32())}
    for name, (place, kind, make) in columns.items():
        values = [[make(each[place]) if make else each[place] for each in clicks] for clicks in rows.values()]
        table[name] = pa.array(values, pa.large_list(kind))
    return pa.table(table)


def behaviors(rows):
    """(impression, user, hours, in view, clicked, **others)."""
    kinds = {
        "article_id": pa.int32(),
        "read_time": pa.float32(),
        "scroll_percentage": pa.float32(),
        "device_type": pa.int8(),
        "is_sso_user": pa.bool_(),
        "gender": pa.int8(),
        "postcode": pa.int8(),
        "age": pa.int8(),
        "is_subscriber": pa.bool_(),
        "session_id": pa.uint32(),
        "next_read_time": pa.float32(),
        "next_scroll_percentage": pa.float32(),
    }
    full = [(*row, {})[:6] for row in rows]
    large = pa.large_list(pa.int32())
    return pa.table(
        {
            "impression_id": pa.array([row[0] for row in full], pa.uint32()),
            "impression_time": pa.array([at(row[2]) for row in full], pa.timestamp("us")),
            "article_ids_inview": pa.array([row[3] for row in full], large),
            "article_ids_clicked": pa.array([row[4] for row in full], large),
            "user_id": pa.array([row[1] for row in full], pa.uint32()),
            **{name: pa.array([row[5].get(name) for row in full], kind) for name, kind in kinds.items()},
        }
    )


EARLY = [(-9, 11, 3.0, 50.0), (-8, 12, None, None), (-8, 11, 4.5, 100.0)]
FILES = {
    "articles.parquet": ARTICLES,
    "train/history.parquet": histories({7: EARLY, 8: [(-9, 12, 1.0, None)], 9: [(-9, 11, 1.0, 1.0)]}),
    "train/behaviors.parquet": behaviors(
        [
            (30, 7, 2, [12, 13, 14], [13], {"device_type": 2, "read_time": 9.0, "is_subscriber": True}),
            (10, 7, 1, [14, 11], [11, 14], {"article_id": 12, "scroll_percentage": 70.0}),
            (20, 8, 2, [13, 12], [], {"device_type": 1, "gender": 1, "age": 40}),
        ]
    ),
    "validation/history.parquet": histories(
        {7: [*EARLY, (1, 14, 2.0, 9.0)], 8: [(-8, 12, 1.0, None)], 10: [(-7, 12, 2.0, 0.0)]}
    ),
    "validation/behaviors.parquet": behaviors(
        [
            (40, 7, 30, [12, 11], [12]),
            (41, 8, 31, [14, 12, 13], [14, 99], {"gender": 0, "age": 50, "postcode": 2}),
            (42, 6, 32, [11, 12], [11]),
        ]
    ),
}


@pytest.fixture
def raw(tmp_path):
    """Writes a small edition; each test says what is different in it."""

    def write(changes=None, folder="ebnerd_small", **options):
        for name, table in {**FILES, **(changes or {})}.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(table, bytes):
                path.write_bytes(table)
            elif table is not None:
                pq.write_table(table, path)
        return EBNeRD(tmp_path / folder, **options)

    return write


SHOWN = [
    (90, 7, 200, [14, 21], []),
    (80, 8, 199, [12, 11, 13], []),
    (0, 7, 201, [11, 12, 13], []),
    (0, 6, 201, [11, 12, 13], []),
    (85, 9, 202, [21, 12], []),
]
UNTOLD = ["article_ids_clicked", "article_id", "next_read_time", "next_scroll_percentage"]
HIDDEN = {
    "test/history.parquet": histories(
        {7: [*EARLY, (1, 14, 2.0, 9.0), (150, 21, 1.0, 1.0)], 8: [(151, 13, 1.0, None)]}
    ),
    "test/behaviors.parquet": behaviors(SHOWN)
    .drop_columns(UNTOLD)
    .append_column("is_beyond_accuracy", [[row[0] == 0 for row in SHOWN]]),
}
NEWER = ARTICLES.slice(0, 3).set_column(0, "article_id", pa.array([11, 12, 21], pa.int32()))
EVERY_ARTICLE = pa.concat_tables([ARTICLES, NEWER.slice(2)])
TESTSET = {**HIDDEN, "articles.parquet": NEWER}


def rows_of(tables, part):
    """Impression → user, history, candidates and labels."""
    ids = ["", *tables.items["item_id"].to_pylist()]
    users = tables.users.to_pylist()
    found = {}
    for row in tables.impressions[part].to_pylist():
        user, extent = users[row["user"]], slice(row["start"], row["stop"])
        found[row["impression"]] = (
            user["user_id"],
            [ids[item] for item in user["history"][extent]],
            [ids[item] for item in row["candidates"]],
            row["labels"],
        )
    return found


def test_impressions_are_those_of_the_log(raw):
    """Histories of the folder in time order, labels from the clicked ids, validation as test, the latest of train as dev."""
    tables = raw().tables()
    assert rows_of(tables, "train") == {
        10: ("7", ["11", "12", "11"], ["14", "11"], [1, 1]),
        20: ("8", ["12"], ["13", "12"], [0, 0]),
    }
    assert rows_of(tables, "dev") == {30: ("7", ["11", "12", "11"], ["12", "13", "14"], [0, 1, 0])}
    assert rows_of(tables, "test") == {
        40: ("7", ["11", "12", "11", "14"], ["12", "11"], [1, 0]),
        41: ("8", ["12"], ["14", "12", "13"], [1, 0, 0]),
        42: ("6", [], ["11", "12"], [1, 0]),
    }
    assert tables.dropped == {"clicks_not_in_view": 1, "users_without_impressions": 2}
    assert tables.rules["one_class"]["train"] == {"no_click": 1, "only_clicks": 1}
    assert tables.rules["dev_begins"] == "2023-05-18T09:00:00Z"
    assert tables.impressions["test"]["time"].to_pylist() == [
        int((at(hours)).replace(tzinfo=dt.UTC).timestamp()) for hours in (30, 31, 32)
    ]


def test_a_history_that_goes_on_shares_its_row(raw):
    """User 7's is continued in validation; of user 8 the times differ, so there are two."""
    users = raw().tables().users
    assert Counter(users["user_id"].to_pylist()) == {"7": 1, "8": 2, "6": 1}


def test_what_stands_beside_clicks_candidates_and_impressions(raw):
    """Read time and scroll of the history, positions, and the context of the impression; nothing that follows the click."""
    tables = raw().tables()
    assert tables.history_signals == ["read_time", "scroll"]
    assert tables.candidate_signals == ["position"]
    (seven,) = [row for row in tables.users.to_pylist() if row["user_id"] == "7"]
    assert seven["read_time"] == [3.0, None, 4.5, 2.0]
    assert seven["scroll"] == [50.0, None, 100.0, 9.0]
    assert [row - seven["times"][0] for row in seven["times"]] == [0, 3600, 3600, 36000]
    train = {row["impression"]: row for row in tables.impressions["train"].to_pylist()}
    assert tables.impression_attributes == {
        "device": "category",
        "page": "category",
        "read_time": "number",
        "scroll": "number",
        "subscriber": "category",
        "sso": "category",
    }
    context = {name: train[10][name] for name in tables.impression_attributes}
    assert context == {
        "device": None,
        "page": "article",
        "read_time": None,
        "scroll": 70.0,
        "subscriber": None,
        "sso": None,
    }
    assert train[20]["device"] == "1"
    assert train[20]["page"] == "front page"
    assert train[20]["position"] == [1.0, 2.0]


def test_users_have_what_their_first_impression_says(raw):
    """User 8 is 40 in train and 50 later; the postcode is only known later."""
    users = raw().tables().users
    found = {row["user_id"]: (row["gender"], row["age"], row["postcode"]) for row in users.to_pylist()}
    assert found == {"7": (None, None, None), "8": ("1", "40", "2"), "6": (None, None, None)}


def test_articles_are_the_items(raw):
    """All of them in their order, with their texts as they are, lists without nulls, numbers that are none as missing."""
    items = raw().tables().items.to_pylist()
    published = [
        None if each is None else each.replace(tzinfo=dt.UTC).timestamp()
        for each in ARTICLES["published_time"].to_pylist()
    ]
    assert [row["item_id"] for row in items] == ["11", "12", "13", "14"]
    assert [row["title"] for row in items] == ['Han siger "nej"', "To", "", "Fire\tord"]
    assert [row["category"] for row in items] == ["sport", "krimi", "krimi", "nyheder"]
    assert [row["subcategory"] for row in items] == [["196", "271"], [], ["133"], []]
    assert [row["entities"] for row in items] == [["Bo", "Ib"], [], None, ["Bo"]]
    assert [row["premium"] for row in items] == ["yes", "no", "no", None]
    assert [row["article_type"] for row in items] == ["article_default", "article_default", None, "feature"]
    assert [row["sentiment_score"] for row in items] == [0.5, 0.25, None, 1.0]
    assert [row["published"] for row in items] == published
    assert not any("total" in name for name in items[0])


def test_a_history_stops_at_the_impression(raw):
    """Clicks behind it are not seen, which the rules count; a file in another order is put in order."""
    mixed = histories({7: [(1.5, 12, 1.0, 1.0), (-9, 11, 2.0, 2.0)], 8: [], 9: []})
    tables = raw({"train/history.parquet": mixed}).tables()
    assert rows_of(tables, "train")[10][1] == ["11"]
    assert rows_of(tables, "dev")[30][1] == ["11", "12"]
    assert tables.rules["impressions_whose_history_is_cut_at_their_time"] == 1
    assert tables.rules["histories_put_in_order"] == 1
    assert rows_of(tables, "train")[20][1] == []


def test_one_folder_can_be_cut_by_time(raw):
    """The latest third is test, the third before it dev."""
    changes = {"validation/history.parquet": None, "validation/behaviors.parquet": None}
    with pytest.raises(DataError, match=r'2 problems(.|\n)*or choose split="time"'):
        raw(changes).files()
    tables = raw(changes, split="time", dev=0.34, test=0.34).tables()
    assert [list(rows_of(tables, part)) for part in ("train", "dev", "test")] == [[10], [30], [20]]
    both = raw(folder="both", split="time", dev=0.34, test=0.34).tables()
    assert [sorted(rows_of(both, part)) for part in ("train", "dev", "test")] == [
        [10, 30],
        [20, 40],
        [41, 42],
    ]


def beside(tmp_path, form, files=TESTSET):
    """Writes the test part beside the edition: a folder, or an archive with or without a folder in it."""
    for name, table in files.items():
        path = tmp_path / "ebnerd_testset" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    if form != "folder":
        with zipfile.ZipFile(tmp_path / "ebnerd_testset.zip", "w") as archive:
            for name in files:
                archive.write(tmp_path / "ebnerd_testset" / name, form.removeprefix("zip") + name)
        shutil.rmtree(tmp_path / "ebnerd_testset")


@pytest.mark.parametrize("form", ["folder", "zip", "zipebnerd_testset/"])
def test_the_test_part_is_test_where_it_is_asked_for(raw, tmp_path, form):
    """Folders are parts; what was clicked is not known; rows keep their order and the id that many share."""
    source = raw(test="test")
    beside(tmp_path, form)
    tables = source.tables()
    assert sorted(rows_of(tables, "train")) == [10, 20, 30]
    assert sorted(rows_of(tables, "dev")) == [40, 41, 42]
    ids = ["", *tables.items["item_id"].to_pylist()]
    users = tables.users["user_id"].to_pylist()
    seen = [
        (
            row["impression"],
            users[row["user"]],
            [ids[each] for each in row["candidates"]],
            row["labels"],
            row["page"],
        )
        for row in tables.impressions["test"].to_pylist()
    ]
    assert seen == [(row[0], str(row[1]), list(map(str, row[3])), [0] * len(row[3]), None) for row in SHOWN]
    histories_of_test = [row["stop"] for row in tables.impressions["test"].to_pylist()]
    assert histories_of_test == [5, 1, 5, 0, 0]
    assert Counter(users) == {"7": 1, "8": 3, "6": 1, "9": 1}, (
        "a history that goes on in the test part shares its row"
    )
    assert tables.unlabeled == ("test",)
    assert set(tables.rules["one_class"]) == {"train", "dev"}
    assert tables.items["item_id"].to_pylist() == ["11", "12", "13", "14", "21"]
    assert tables.dropped["articles_with_other_text"] == 0
    assert tables.rules["submission"] == "predictions.txt"
    assert (tmp_path / "ebnerd_testset.zip" in source.files()) == (form != "folder")
    assert EBNeRD(tmp_path, test="test").tables().items.equals(tables.items), "the folder that holds both"


def test_what_is_wrong_with_the_test_part_is_named(raw, tmp_path):
    """It is nowhere; an option would do nothing; an id of its own stands twice; a candidate to be ranked would be dropped."""
    with pytest.raises(DataError, match=r"neither in it nor beside it(.|\n)*ebnerd_testset\.zip"):
        raw(test="test").files()
    for options in ({"dev": 0.2}, {"split": "time"}):
        with pytest.raises(SpecError, match='beside test="test"'):
            EBNeRD("raw", test="test", **options)
    with pytest.raises(SpecError, match="'test'"):
        EBNeRD("raw", test="dev")
    twice = HIDDEN["test/behaviors.parquet"].slice(0, 1)
    with pytest.raises(DataError, match="row 2, column impression_id: 90 is already in row 1"):
        raw({**HIDDEN, "test/behaviors.parquet": pa.concat_tables([twice, twice])}, test="test").tables()
    for missing in ("error", "drop"):
        with pytest.raises(DataError, match=r"lacks 1 articles .*: 21(.|\n)*choose missing=.empty") as caught:
            raw(HIDDEN, test="test", missing=missing).tables()
        assert "drop" not in caught.value.problems[0].fix
    assert raw(HIDDEN, test="test", missing="empty").tables().items.num_rows == 5


def test_a_test_part_with_clicks_is_measured(raw):
    """As whoever has them may write them beside the rows."""
    told = behaviors([(90, 7, 200, [14, 11], [11])])
    changes = {**HIDDEN, "test/behaviors.parquet": told, "articles.parquet": EVERY_ARTICLE}
    tables = raw(changes, test="test").tables()
    assert rows_of(tables, "test")[90][3] == [0, 1]
    assert tables.unlabeled == ()


MEASURED = [
    (90, 7, 200, [14, 11], [11]),
    (0, 7, 201, [11, 12, 13], []),
    (0, 6, 201, [11, 12, 77], None),
    (80, 8, 199, [12, 11], []),
    (0, 9, 201, [11, 12], [11]),
]


def test_rows_beside_accuracy_are_left_out_of_a_part_with_clicks(raw):
    """They share an id, and accuracy is measured there; how many they are is counted, and the rules say it."""
    told = behaviors(MEASURED).append_column("is_beyond_accuracy", [[row[0] == 0 for row in MEASURED]])
    changes = {**HIDDEN, "test/behaviors.parquet": told, "articles.parquet": EVERY_ARTICLE}
    tables = raw(changes, test="test").tables()
    assert tables.impressions["test"]["impression"].to_pylist() == [90, 80]
    assert [row[3] for row in rows_of(tables, "test").values()] == [[0, 1], [0, 0]]
    assert tables.dropped["rows_beside_accuracy"] == 3
    assert "left out" in tables.rules["rows_beside_accuracy"]
    assert "77" not in tables.items["item_id"].to_pylist()
    assert set(tables.users["user_id"].to_pylist()) == {"6", "7", "8"}
    twice = pa.concat_tables([told, told.slice(3, 1)])
    with pytest.raises(DataError, match="row 6, column impression_id: 80 is already in row 4"):
        raw({**changes, "test/behaviors.parquet": twice}, test="test").tables()
    untold = bad_list(told, "article_ids_clicked", [None] * 5)
    with pytest.raises(DataError, match="2 problems"):
        raw({**changes, "test/behaviors.parquet": untold}, test="test").tables()
    with pytest.raises(DataError, match="every row is for what is measured beside accuracy"):
        raw({**changes, "test/behaviors.parquet": told.slice(1, 2)}, test="test").tables()


@pytest.mark.parametrize("options", [{}, {"split": "time"}])
def test_a_submission_of_every_split_has_the_name_of_its_challenge(raw, options):
    """A ranking of validation is written as that of the test part is."""
    assert raw(**options).tables().rules["submission"] == "predictions.txt"


def test_all_that_an_error_tells_is_worded(raw, monkeypatch):
    """However many problems that are, in histories and articles."""
    for module in (problems, ebnerd_articles, ebnerd_histories):
        monkeypatch.setattr(module, "LIMIT", 25)
    uneven = histories(dict.fromkeys(range(30), EARLY))
    uneven = bad_list(uneven, "read_time_fixed", [[1.0, 2.0]] * 30)
    with pytest.raises(DataError, match="30 problems"):
        raw({"train/history.parquet": uneven}).tables()
    with pytest.raises(DataError, match="30 problems"):
        raw({"articles.parquet": pa.concat_tables([ARTICLES.slice(0, 1)] * 31)}, folder="b").tables()


ABSENT = {
    "train/behaviors.parquet": behaviors([(1, 7, 1, [50, 12], [12]), (2, 8, 2, [51], [51])]),
    "train/history.parquet": histories(
        {7: [(-9, 50, 1.0, 1.0), (-8, 12, 2.0, 2.0)], 8: [(-8, 12, 1.0, None)]}
    ),
}


def test_absent_articles_have_a_policy(raw):
    """An error that names them, left out and counted with what stands beside them, or items without attributes."""
    with pytest.raises(DataError, match=r"articles.parquet: lacks 2 articles .*: 50, 51"):
        raw(ABSENT, dev=0.0).tables()
    tables = raw(ABSENT, missing="drop", dev=0.0).tables()
    assert rows_of(tables, "train") == {1: ("7", ["12"], ["12"], [1])}
    assert tables.impressions["train"]["position"].to_pylist() == [[2.0]]
    assert [2.0] in tables.users["read_time"].to_pylist()
    assert tables.dropped == {
        "clicks_not_in_view": 1,
        "missing_articles": 2,
        "history_clicks_of_missing_articles": 1,
        "candidates_of_missing_articles": 2,
        "clicked_candidates_of_missing_articles": 1,
        "impressions_without_candidates": 1,
        "users_without_impressions": 1,
    }
    empty = raw(ABSENT, missing="empty", dev=0.0).tables()
    assert empty.items.slice(4)["item_id"].to_pylist() == ["50", "51"]
    assert empty.items.slice(4)["title"].null_count == 2
    assert rows_of(empty, "train")[1] == ("7", ["50", "12"], ["50", "12"], [0, 1])


def test_without_articles_there_are_ways_out(raw):
    """The error names them, and one of them prepares items without text."""
    with pytest.raises(DataError, match=r'articles.parquet(.|\n)*missing="empty"(.|\n)*ItemID'):
        raw({"articles.parquet": None}, missing="drop").files()
    tables = raw({"articles.parquet": None}, missing="empty").tables()
    assert tables.items.num_rows == 4
    assert tables.items["title"].null_count == 4
    assert tables.dropped["articles_without_text"] == 4


@pytest.mark.parametrize("inside", ["", "ebnerd_small/"])
@pytest.mark.parametrize("given", ["archive", "folder above"])
def test_an_archive_is_read_in_place(raw, tmp_path, inside, given):
    """At the top of it or in a folder; nothing is left beside it."""
    wanted = raw().tables()
    path = tmp_path / "zips" / "ebnerd_small.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(tmp_path / "ebnerd_small" / name, inside + name)
    source = EBNeRD(path if given == "archive" else path.parent)
    assert list(source.files()) == [path]
    made = source.tables()
    assert made.items.equals(wanted.items)
    assert rows_of(made, "test") == rows_of(wanted, "test")
    assert list(path.parent.iterdir()) == [path]


GOOD = (1, 7, 1, [12, 11], [12])


def bad_list(table, name, values):
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize(
    ("name", "table", "where", "what"),
    [
        (
            "train/behaviors.parquet",
            behaviors([GOOD, GOOD]),
            " row 2, column impression_id",
            "1 is already in row 1",
        ),
        (
            "train/behaviors.parquet",
            behaviors([(1, 7, 1, [], [])]),
            " row 1, column article_ids_inview",
            "no article",
        ),
        (
            "train/behaviors.parquet",
            behaviors([(1, 7, 1, [12, None], [12])]),
            " row 1, column article_ids_inview",
            "a val",
        ),
        (
            "train/behaviors.parquet",
            behaviors([(1, None, 1, [12], [12])]),
            " row 1, column user_id",
            "a value is expected",
        ),
        ("train/behaviors.parquet", behaviors([GOOD]).slice(1), "", "holds no rows"),
        (
            "train/behaviors.parquet",
            behaviors([GOOD]).drop_columns("user_id"),
            "",
            "the column user_id is missing; there are impression_id",
        ),
        (
            "train/behaviors.parquet",
            bad_list(
                behaviors([GOOD]).drop_columns("impression_id").add_column(0, "impression_id", [["x"]]),
                "user_id",
                [7],
            ),
            ", column impression_id",
            "whole numbers are expected, this is string",
        ),
        ("train/behaviors.parquet", b"PAR1 and then nothing", "", "is not a Parquet file that can be read"),
        ("train/behaviors.parquet", b"", "", "is not a Parquet file that can be read"),
        (
            "train/history.parquet",
            bad_list(histories({7: EARLY}), "read_time_fixed", [[1.0, 2.0]]),
            " row 1, column read_time_fixed",
            "2 values for 3 articles",
        ),
        (
            "train/history.parquet",
            pa.concat_tables([histories({7: EARLY})] * 2),
            " row 2, column user_id",
            "user 7 is already in row 1",
        ),
        (
            "articles.parquet",
            pa.concat_tables([ARTICLES, ARTICLES.slice(2, 1)]),
            " row 5, column article_id",
            "13 is already in row 3",
        ),
        ("articles.parquet", ARTICLES.drop_columns("title"), "", "the column title is missing"),
        (
            "articles.parquet",
            ARTICLES.drop_columns("topics").append_column("topics", [["a", "b", "c", "d"]]),
            ", column topics",
            "lists of text are expected, this is string",
        ),
    ],
)
def test_a_malformed_file_is_named(raw, name, table, where, what):
    """File, row, column and reason."""
    with pytest.raises(DataError, match="1 problem") as caught:
        raw({name: table}).tables()
    (problem,) = caught.value.problems
    folder = "ebnerd_small/" if "/" not in name else ""
    assert problem.where == f"{folder}{name}{where}"
    assert problem.what.startswith(what)


def test_a_file_that_was_cut_short_is_named(raw, tmp_path):
    """Its end is missing, in a folder and in an archive."""
    source = raw()
    path = tmp_path / "ebnerd_small" / "train" / "history.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train/history.parquet: is not a Parquet file"):
        source.tables()


def test_folders_that_do_not_fit_are_refused(raw, tmp_path):
    """Nowhere, two editions, one part, the test part: each with its way out."""

    def refused(path, **options):
        with pytest.raises(DataError) as caught:
            list(EBNeRD(path, **options).files())
        return str(caught.value)

    raw()
    assert "there is no such file or folder" in refused(tmp_path / "none")
    assert "is the folder of one part" in refused(tmp_path / "ebnerd_small" / "train")
    raw(folder="ebnerd_demo")
    assert "more than one edition: ebnerd_demo, ebnerd_small" in refused(tmp_path)
    (tmp_path / "t" / "test").mkdir(parents=True)
    pq.write_table(FILES["train/behaviors.parquet"], tmp_path / "t" / "test" / "behaviors.parquet")
    assert "published without clicks" in refused(tmp_path / "t", split="time")
    (tmp_path / "empty").mkdir()
    assert "holds neither train nor validation" in refused(tmp_path / "empty")


def test_options_that_make_no_sense_are_refused():
    """Shares that leave nothing, a rule that there is not; history moves no fingerprint."""
    for options in ({"dev": 0.5, "test": 0.5}, {"split": "user"}, {"missing": "skip"}):
        with pytest.raises(SpecError):
            EBNeRD("raw", **options)
    assert EBNeRD("a").fingerprint() == EBNeRD("b", history=3).fingerprint()
    assert EBNeRD("a").fingerprint() != EBNeRD("a", split="time").fingerprint()


def test_models_train_on_text(raw, tmp_path):
    """By text, by ids and by a frozen language model, on rows written by hand."""
    log = behaviors([(row, 7 + row % 2, row, [11, 12, 13, 14], [11 + row % 4]) for row in range(12)])
    trial(raw({"train/behaviors.parquet": log}), tmp_path / "runs")


# --- real rows ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sample(shared_data):
    if not (shared_data / "ebnerd").is_dir():
        pytest.skip("the sample of EB-NeRD is not there")
    return shared_data / "ebnerd"


def test_counts_are_those_of_a_plain_count(sample, tmp_path):
    """896 impressions of 31 users: every row comes back with history, times, read times, candidates and context."""
    store = prepare(EBNeRD(sample, split="time", missing="empty"), tmp_path)
    log = pq.read_table(sample / "train" / "behaviors.parquet").to_pylist()
    past = {row["user_id"]: row for row in pq.read_table(sample / "train" / "history.parquet").to_pylist()}
    assert (len(log), len(past)) == (896, 35)
    users = {row["user_id"] for row in log}
    articles = {each for row in log for each in row["article_ids_inview"]}
    articles |= {each for row in past.values() for each in row["article_id_fixed"]}
    assert store.item_count == len(articles)
    assert len(store.users) == len(users) == 31
    assert store.manifest["dropped"]["users_without_impressions"] == 4
    ids = np.array([0, *map(int, store.item_ids.to_pylist())])
    names = store.users.user_ids.to_pylist()
    expected = {row["impression_id"]: row for row in log}
    seen = 0
    for part in store.parts:
        impressions = store.part(part)
        context = impressions.attributes.to_pylist()
        for row, number in enumerate(impressions.impression.tolist()):
            wanted = expected[number]
            own = past[wanted["user_id"]]
            extent = slice(impressions.start[row], impressions.stop[row])
            assert names[impressions.user[row]] == str(wanted["user_id"])
            assert ids[store.users.history.values[extent]].tolist() == own["article_id_fixed"]
            np.testing.assert_array_equal(
                store.users.signals["read_time"][extent], np.array(own["read_time_fixed"], np.float32)
            )
            assert ids[impressions.candidates[row]].tolist() == wanted["article_ids_inview"]
            begin, end = impressions.candidates.offsets[row : row + 2]
            clicked = [each in wanted["article_ids_clicked"] for each in wanted["article_ids_inview"]]
            assert impressions.labels[begin:end].tolist() == clicked
            assert impressions.time[row] == int(wanted["impression_time"].replace(tzinfo=dt.UTC).timestamp())
            assert context[row]["device"] == str(wanted["device_type"])
            assert context[row]["page"] == ("front page" if wanted["article_id"] is None else "article")
            assert context[row]["read_time"] == wanted["read_time"]
            seen += 1
    assert seen == 896
    latest = sorted(row["impression_time"] for row in log)[-89:]
    assert store.part("test").time.min() == int(latest[0].replace(tzinfo=dt.UTC).timestamp())


def test_a_model_of_ids_trains_on_it(sample, tmp_path):
    """There is no text, and none is needed."""
    run = Experiment(
        data=EBNeRD(sample, split="time", missing="empty", history=5),
        model=Recommender(ItemID(), Mean(), Dot(), width=4),
        training=Training(epochs=1, batch_size=256),
    ).run(out=tmp_path)
    assert 0 < run.metrics["gauc"] < 1
