from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego.data.source.recbench import RecBench
from lego.errors import DataError, SpecError
from tests.data.source.trial import trial

NAMES = [
    ("uid", "nid", str),
    ("uid", "bid", int),
    ("reviewerID", "asin", str),
    ("customer_id", "article_id", str),
    ("user_id", "business_id", str),
    ("user", "item", int),
    ("user_id", "item_id", str),
    ("user_id", "app_id", int),
    ("uid", "mid", int),
    ("uid", "tid", str),
]
"""Columns of users and items in the data sets there are, and the type of their ids."""

ITEMS = {
    "title": ["One red fish", 'Two "blue" fish', None, "Four old fish", "Five new fish"],
    "abs": ["a b", "c d", "e f", "", "g h"],
    "cat": ["x", "y", "x", "y", "x"],
}
HISTORY = {1: [1, 2], 2: [3], 3: [], 4: None, 5: [2]}
NEG = {1: [4, 5, 5], 2: [], 3: None, 4: [1], 5: [1]}
FINETUNE = [(1, 3, 1), (2, 1, 0), (1, 4, 0), (2, 2, 1), (3, 1, 1), (3, 2, 0)]
TEST = [(4, 5, 1), (4, 1, 0), (9, 2, 1)]


@pytest.fixture
def raw(tmp_path):
    """Writes a folder; each test says what is different in it."""

    def write(changes=None, names=("uid", "nid", str), **options):
        user, item, kind = names

        def key(value):
            return value if kind is int else f"A{value}"

        tables = {
            "items.parquet": {item: [key(n) for n in range(1, 6)], **ITEMS},
            "users.parquet": {
                user: [key(n) for n in HISTORY],
                "history": [each if each is None else [key(n) for n in each] for each in HISTORY.values()],
                "neg": [each if each is None else [key(n) for n in each] for each in NEG.values()],
            },
            **{
                name: {
                    user: [key(row[0]) for row in rows],
                    item: [key(row[1]) for row in rows],
                    "click": [row[2] for row in rows],
                }
                for name, rows in (("finetune.parquet", FINETUNE), ("test.parquet", TEST))
            },
            "valid_user_set_0.1.txt": f"{key(2)}\n\n{key(77)}\n".encode(),
            **(changes or {}),
        }
        for name, content in tables.items():
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
            elif content is not None:
                pq.write_table(
                    content if isinstance(content, pa.Table) else pa.table(content), tmp_path / name
                )
        return RecBench(tmp_path, **options)

    return write


def rows_of(tables, part):
    """User → history, candidate → label."""
    ids = ["", *tables.items["item_id"].to_pylist()]
    users = tables.users.to_pylist()
    return {
        users[row["user"]]["user_id"]: (
            [ids[each] for each in users[row["user"]]["history"][row["start"] : row["stop"]]],
            {ids[each]: label for each, label in zip(row["candidates"], row["labels"], strict=True)},
        )
        for row in tables.impressions[part].to_pylist()
    }


@pytest.mark.parametrize("names", NAMES)
def test_rows_of_a_user_are_an_impression(raw, names):
    """Under all names of columns there are, with ids that are texts or numbers."""
    tables = raw(names=names).tables()
    mark = "" if names[2] is int else "A"

    def ids(*numbers):
        return [f"{mark}{n}" for n in numbers]

    def shown(**labels):
        return {f"{mark}{name[1:]}": label for name, label in labels.items()}

    assert rows_of(tables, "train") == {
        f"{mark}1": (ids(1, 2), shown(i3=1, i4=0)),
        f"{mark}3": ([], shown(i1=1, i2=0)),
    }
    assert rows_of(tables, "dev") == {f"{mark}2": (ids(3), shown(i1=0, i2=1))}
    assert rows_of(tables, "test") == {
        f"{mark}4": ([], shown(i5=1, i1=0)),
        f"{mark}9": ([], shown(i2=1)),
    }
    assert tables.dropped == {"users_without_impressions": 1}
    assert tables.rules["listed_users_without_rows"] == 1
    assert tables.rules["users_that_the_table_lacks"] == 1
    assert tables.attributes == {"title": "text", "abs": "text", "cat": "category"}
    assert tables.items["title"].to_pylist()[1:3] == ['Two "blue" fish', None]


def test_listed_negatives_join_train(raw):
    """Once each, and not where the item is a candidate; dev and test stay as they are."""
    tables = raw(negatives="list").tables()
    assert rows_of(tables, "train")["A1"][1] == {"A3": 1, "A4": 0, "A5": 0}
    assert len(tables.impressions["train"]["candidates"][0]) == 3
    plain = raw().tables()
    for part in ("dev", "test"):
        assert rows_of(tables, part) == rows_of(plain, part)
    with pytest.raises(DataError, match="no column is known to be neg"):
        raw({"users.parquet": {"uid": ["A1"], "history": [["A1"]]}}, negatives="list").tables()


def test_the_order_of_candidates_is_chance(raw):
    """Files have the clicks first; here they are anywhere, the same for one seed."""
    rows = [(user, item, int(item == 1)) for user in range(40) for item in range(1, 6)]
    many = {
        "uid": [f"A{r[0]}" for r in rows],
        "nid": [f"A{r[1]}" for r in rows],
        "click": [r[2] for r in rows],
    }
    tables = raw({"finetune.parquet": many}, dev=0.1).tables()
    assert {labels.index(1) for labels in tables.impressions["train"]["labels"].to_pylist()} == {
        0,
        1,
        2,
        3,
        4,
    }
    assert (
        raw({"finetune.parquet": many}, dev=0.1)
        .tables()
        .impressions["train"]
        .equals(tables.impressions["train"])
    )


def test_parts_can_be_drawn_by_users(raw):
    """Dev from finetune without the list of users; dev and test from both files, of which one may be empty or missing."""
    tables = raw({"valid_user_set_0.1.txt": None}, dev=0.4).tables()
    sizes = {part: tables.impressions[part].num_rows for part in ("train", "dev", "test")}
    assert sizes == {"train": 2, "dev": 1, "test": 2}
    pooled = raw(dev=0.2, test=0.4).tables()
    assert [pooled.impressions[part].num_rows for part in ("train", "dev", "test")] == [2, 1, 2]
    empty = pa.table(
        {
            "uid": pa.array([], pa.string()),
            "nid": pa.array([], pa.string()),
            "click": pa.array([], pa.int64()),
        }
    )
    with pytest.raises(DataError, match=r"has no row(.|\n)*test=0.1"):
        raw({"test.parquet": empty}).tables()
    cut = raw({"test.parquet": empty}, test=0.4, dev=0.4).tables()
    assert [cut.impressions[part].num_rows for part in ("train", "dev", "test")] == [1, 1, 1]


def test_missing_items_have_a_policy(raw):
    """An error that names them, left out and counted, or items without attributes."""
    users = {"uid": ["A1", "A4"], "history": [["A8", "A1"], []]}
    rows = {"uid": ["A1", "A1", "A3"], "nid": ["A1", "A9", "A9"], "click": [1, 0, 1]}
    changes = {"users.parquet": users, "finetune.parquet": rows}
    with pytest.raises(DataError, match="lacks 2 items of the users and the logs: A8, A9"):
        raw(changes).tables()
    tables = raw(changes, missing="drop").tables()
    assert rows_of(tables, "train") == {"A1": (["A1"], {"A1": 1})}
    assert tables.dropped == {
        "missing_items": 2,
        "history_clicks_of_missing_items": 1,
        "candidates_of_missing_items": 2,
        "clicked_candidates_of_missing_items": 1,
        "impressions_without_candidates": 1,
        "users_without_impressions": 0,
    }
    empty = raw(changes, missing="empty").tables()
    assert empty.items["item_id"].to_pylist()[5:] == ["A8", "A9"]
    assert rows_of(empty, "train")["A3"] == ([], {"A9": 1})


def test_columns_of_other_names_are_named(raw):
    """Where none is known, and where two are; the error lists what there is."""
    items = {"code": ["A1", "A2", "A3", "A4", "A5"], "title": ITEMS["title"]}
    with pytest.raises(
        DataError, match=r"items.parquet: no column is known to be the item; there are code, title"
    ):
        raw({"items.parquet": items}).tables()
    assert raw({"items.parquet": items}, columns={"item": "code"}).tables().items.num_rows == 5
    two = {"nid": items["code"], "asin": items["code"]}
    with pytest.raises(DataError, match="nid and asin could each be the item"):
        raw({"items.parquet": two}).tables()
    with pytest.raises(SpecError, match="Did you mean 'item'"):
        RecBench("raw", columns={"itm": "code"})


def test_texts_are_read_by_their_names(raw):
    """Else by how they look."""
    assert raw().reads == {"title": 30}
    odd = {
        "nid": ["A1", "A2", "A3", "A4", "A5"],
        "words": ["one two three", "four five", "six", "seven eight", "nine"],
    }
    assert list(raw({"items.parquet": odd}).reads) == ["words"]
    assert RecBench("nowhere").reads == {}


@pytest.mark.parametrize(
    ("name", "content", "where", "what"),
    [
        (
            "items.parquet",
            {"nid": ["A1", "A2", "A1"]},
            "items.parquet row 3, column nid",
            "item A1 is already in row 1",
        ),
        (
            "users.parquet",
            {"uid": ["A1", "A1"], "history": [[], []]},
            "users.parquet row 2, column uid",
            "user A1 is",
        ),
        (
            "users.parquet",
            {"uid": ["A1"], "history": [1.5]},
            "users.parquet, column history",
            "lists of ids are expected",
        ),
        (
            "finetune.parquet",
            {"uid": ["A1"], "nid": ["A1"], "click": [3]},
            "finetune.parquet row 1, column click",
            "0 or 1 is expected, 3 found",
        ),
        (
            "finetune.parquet",
            {"uid": ["A1", None], "nid": ["A1", "A2"], "click": [1, 0]},
            "finetune.parquet row 2, column uid",
            "an id is expected",
        ),
        ("test.parquet", b"PAR1", "test.parquet", "is not a Parquet file that can be read"),
        ("items.parquet", b"", "items.parquet", "is empty"),
        ("valid_user_set_0.1.txt", b"\n", "valid_user_set_0.1.txt", "names no user"),
        (
            "valid_user_set_0.1.txt",
            b"A2\nA\xff\n",
            "valid_user_set_0.1.txt line 2",
            "byte 2 of the line, 0xff",
        ),
    ],
)
def test_a_malformed_file_is_named(raw, name, content, where, what):
    """File, row, column and reason."""
    with pytest.raises(DataError, match="1 problem") as caught:
        raw({name: content}).tables()
    (problem,) = caught.value.problems
    assert problem.where == where
    assert problem.what.startswith(what)


def test_missing_files_are_named_with_ways_out(raw, tmp_path):
    """All at once."""
    (tmp_path / "part").mkdir()
    with pytest.raises(DataError, match="5 problems") as caught:
        RecBench(tmp_path / "part").files()
    assert "dev=0.1" in caught.value.problems[-1].fix
    assert "test=0.1" in caught.value.problems[-2].fix
    with pytest.raises(DataError, match="there is no such folder"):
        RecBench(tmp_path / "none").files()
    for options in ({"dev": 0.5, "test": 0.5}, {"negatives": "all"}, {"dev": 1.0}):
        with pytest.raises(SpecError):
            RecBench("raw", **options)
    assert RecBench("a").fingerprint() == RecBench("b", history=3).fingerprint()


def test_models_train_on_it(raw, tmp_path):
    """By text, by ids and by a frozen language model, on rows written by hand."""
    trial(raw(), tmp_path / "runs")
