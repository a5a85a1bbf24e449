from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego.data.join import join
from lego.data.prepare import prepare
from lego.data.source.tables import Tables
from lego.data.store import Store
from lego.errors import DataError


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    items = {"item": ["a", "b", "c"], "title": ["One x", "Two y", "Three z"]}
    rows = [{"user": user, "item": item, "time": n} for user in "uvw" for n, item in enumerate("abc")]
    more = {"item": [f"d{n}" for n in range(9)], "title": [f"More of {n}" for n in range(9)]}
    items = {name: [*items[name], *more[name]] for name in items}
    return prepare(Tables(items, rows=rows), tmp_path / "data")


def _table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_a_side_table_adds_attributes_in_the_order_of_the_items(prepared, tmp_path):
    """By id, null where it has no line; what was there stays, and the manifest says where the rest is from."""
    before = {path.name: path.read_bytes() for path in prepared.path.iterdir()}
    table = _table(
        tmp_path / "titles.parquet",
        item=["c", "zz", "a"],
        better=["Great three", "None", "Great one"],
        stars=[3.0, 1, 5],
    )
    made = join(prepared.path, table, tmp_path / "made")
    assert {path.name: path.read_bytes() for path in prepared.path.iterdir()} == before
    assert made.items["better"].to_pylist()[:3] == ["Great one", None, "Great three"]
    assert made.items["stars"].to_pylist()[:3] == [5.0, None, 3.0]
    assert made.items["title"].equals(prepared.items["title"])
    assert made.attributes["stars"] == "number"
    assert made.fingerprint != prepared.fingerprint
    (told,) = made.manifest["joined"]
    assert (told["file"], told["rows"], told["unmatched"], told["base"]) == (
        "titles.parquet",
        2,
        1,
        prepared.fingerprint,
    )
    assert made.part("train").candidates.values.tolist() == prepared.part("train").candidates.values.tolist()


def test_users_have_attributes_joined_too(prepared, tmp_path):
    """And a second table goes beside the first."""
    people = _table(tmp_path / "people.parquet", user=["w", "u"], city=["Rome", "Oslo"])
    ages = _table(tmp_path / "ages.parquet", user=["w", "u", "v"], age=[1.0, 2.0, 3.0])
    made = join(
        join(prepared.path, people, tmp_path / "one", of="users").path, ages, tmp_path / "two", of="users"
    )
    found = dict(zip(made.users.user_ids.to_pylist(), made.users.attributes.to_pylist(), strict=True))
    assert found["u"]["age"] == 2.0
    assert found["v"]["city"] is None
    assert [each["file"] for each in made.manifest["joined"]] == ["people.parquet", "ages.parquet"]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"item": ["a"], "title": ["x"]}, "the items have title already, and nothing is overwritten"),
        ({"item": ["a", "a"], "mood": ["x", "y"]}, "item a is already in row 1"),
        ({"item": ["zz"], "mood": ["x"]}, "none of its ids is one of the items"),
        ({"item": ["a"]}, "has no column beside the ids"),
        ({"mood": ["a"]}, "no column is known to be the item"),
    ],
)
def test_what_cannot_be_joined_is_refused(prepared, tmp_path, columns, sentence):
    """With the file, and nothing is written."""
    with pytest.raises(DataError) as caught:
        join(prepared.path, _table(tmp_path / "odd.parquet", **columns), tmp_path / "made")
    assert sentence in str(caught.value)
    assert "odd.parquet" in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_no_folder_is_written_over(prepared, tmp_path):
    """Neither the one that is read nor another."""
    table = _table(tmp_path / "t.parquet", item=["a"], mood=["x"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for place in (prepared.path, tmp_path / "full"):
        with pytest.raises(DataError):
            join(prepared.path, table, place)
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    assert (
        json.loads((prepared.path / "manifest.json").read_text())["fingerprint"]
        == Store.open(prepared.path).fingerprint
    )


def test_the_column_of_ids_can_be_named(prepared, tmp_path):
    """Where it has a name that nobody guesses; a column that is not there, or a role of another table, is refused."""
    table = _table(tmp_path / "odd.parquet", code=["c", "a"], mood=["x", "y"])
    made = join(prepared.path, table, tmp_path / "made", columns={"item": "code"})
    assert made.items["mood"].to_pylist()[:3] == ["y", None, "x"]
    assert set(made.attributes) == {"title", "mood"}
    for columns, sentence in (
        ({}, "name it with --columns item=COLUMN"),
        ({"item": "cod"}, "there is no column 'cod'"),
        ({"user": "code"}, "the column of ids is named with --columns item=COLUMN"),
    ):
        with pytest.raises(DataError) as caught:
            join(prepared.path, table, tmp_path / "other", columns=columns)
        assert sentence in str(caught.value)


def test_every_wrong_name_is_counted(prepared, tmp_path):
    """Also those behind the thousand that are kept apart."""
    table = _table(tmp_path / "codes.parquet", item=["a"], stars=[1.0])
    with pytest.raises(DataError, match="1100 problems"):
        join(
            prepared.path, table, tmp_path / "made", columns={f"n{number}": "item" for number in range(1100)}
        )
