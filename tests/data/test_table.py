from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
import pytest

from lego.data import table as module
from lego.data.table import IMPRESSIONS, SIGNAL, USERS, Tables, lists, ragged, signal
from lego.errors import DataError
from lego.ragged import Ragged


def tables(**changes):
    """Three items, two users (one without history), one impression in train and one in test."""
    items = {
        "item_id": ["a", "b", "c"],
        "title": ["A", None, "C"],
        "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
    }
    users = {"user_id": ["u", "v"], "history": [[1, 2, 3], []], "times": [[10, 10, 30], []]}
    train = {
        "impression": [0, 1],
        "user": [0, 1],
        "start": [0, 0],
        "stop": [2, 0],
        "time": [30, None],
        "candidates": [[3, 1], [2]],
        "labels": [[1, 0], [0]],
    }
    made = {"items": items, "users": users, "train": train}
    for name, change in changes.items():
        table, column = name.split("__")
        if change is None:
            del made[table][column]
        else:
            made[table][column] = change
    impressions = {"train": _typed(made["train"], IMPRESSIONS)}
    return Tables(items=pa.table(made["items"]), users=_typed(made["users"], USERS), impressions=impressions)


def _typed(columns, schema):
    names = [name for name in schema.names if name in columns]
    return pa.table(
        {
            name: columns[name]
            if isinstance(columns[name], pa.Array)
            else pa.array(columns[name], schema.field(name).type)
            for name in [*names, *(set(columns) - set(names))]
            if name in schema.names
        }
        | {name: columns[name] for name in columns if name not in schema.names}
    )


def complaint(made):
    with pytest.raises(DataError) as caught:
        made.check()
    return str(caught.value)


def test_right_tables_pass():
    """A user without history, a null text, a null time and an empty list are all legal."""
    made = tables()
    assert made.check() is made
    assert made.attributes == {"title": "text", "tags": "list"}


def test_users_have_attributes_as_items_have_them():
    """Text, categories, lists and numbers, each with a missing value, beside the history of a user."""
    made = tables(
        users__about=["likes films", None],
        users__gender=pa.array(["f", None]).dictionary_encode(),
        users__langs=pa.array([["en", "da"], None], pa.list_(pa.string())),
        users__age=pa.array([31.0, None]),
        items__price=pa.array([None, 1.5, -2.0]),
    )
    assert made.check().user_attributes == {
        "about": "text",
        "gender": "category",
        "langs": "list",
        "age": "number",
    }
    assert made.attributes == {"title": "text", "tags": "list", "price": "number"}
    assert tables().user_attributes == {}


def test_impressions_have_attributes_and_lists_have_numbers_beside_them():
    """Of impressions as of items; a number for each click and for each candidate, which may be missing."""
    made = tables(
        train__device=pa.array(["phone", None]).dictionary_encode(),
        train__hour=pa.array([13.0, None]),
        train__place=pa.array([[1.0, None], None], SIGNAL),
        train__candidates=[[3, 1], [2]],
        users__read_time=pa.array([[1.0, None, 3.0], []], SIGNAL),
    )
    with pytest.raises(DataError, match="train row 1: 0 values of place for 1 items of candidates"):
        made.check()
    made = tables(
        train__device=pa.array(["phone", None]).dictionary_encode(),
        train__hour=pa.array([13.0, None]),
        train__place=pa.array([[1.0, None], [None]], SIGNAL),
        users__read_time=pa.array([[1.0, None, 3.0], None], SIGNAL),
    ).check()
    assert made.impression_attributes == {"device": "category", "hour": "number"}
    assert made.candidate_signals == ["place"]
    assert made.history_signals == ["read_time"]
    assert made.user_attributes == {}
    assert tables().impression_attributes == {}


def test_all_parts_have_the_same_attributes():
    """A part without a column would be read as another part's."""
    made = tables(train__hour=pa.array([13.0, None]))
    impressions = {**made.impressions, "test": tables().impressions["train"]}
    assert "test: has other attributes or signals than train: hour" in complaint(
        attrs.evolve(made, impressions=impressions)
    )


def test_a_column_that_is_there_twice_is_named():
    """Arrow allows it, and nobody could tell which one is meant."""
    made = tables()
    twice = made.users.append_column("user_id", pa.array(["x", "y"]))
    assert "users.user_id: is there more than once" in complaint(attrs.evolve(made, users=twice))


def test_a_user_may_stand_in_two_rows():
    """A user whose histories differ between parts has one row per part, so an id may repeat."""
    tables(users__user_id=["u", "u"]).check()


def test_times_are_checked_against_the_users_of_a_stretch(monkeypatch):
    """Whoever begins elsewhere is not looked through again for each stretch; what is said does not depend on the stretches."""
    rng = np.random.default_rng(0)
    times = [np.sort(rng.integers(0, 99, size)).tolist() for size in rng.integers(0, 6, 300)]
    times[40], times[170], times[299] = [5, 9, 8, 8], [3, 2], [7, 1]
    users = {
        "users__user_id": [str(number) for number in range(300)],
        "users__history": [[1] * len(each) for each in times],
        "users__times": times,
    }
    whole = complaint(tables(**users, train__stop=[0, 0]))
    assert [f"users row {row}" in whole for row in (40, 170, 299)] == [True] * 3
    monkeypatch.setattr(module, "MANY", 16)
    compared, real = [], np.isin
    monkeypatch.setattr(np, "isin", lambda a, b: [compared.append(len(b)), real(a, b)][1])
    assert complaint(tables(**users, train__stop=[0, 0])) == whole
    assert compared
    assert max(compared) <= 16


def test_times_may_be_left_out():
    """Sources without times give none, for users and impressions alike."""
    tables(users__times=None, train__time=None).check()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"items__item_id": ["a", "b", "a"]}, "items row 3: item_id 'a' is already that of row 1"),
        ({"items__item_id": ["a", None, "c"]}, "items row 2: item_id is null"),
        ({"items__item_id": ["a", "", "c"]}, "items row 2: item_id is empty"),
        ({"items__item_id": None}, "the column item_id is missing; there are title, tags"),
        ({"items__item_id": [1, 2, 3]}, "items.item_id: is int64"),
        ({"items__year": [1990, 1991, 1992]}, "items.year: is int64, which no attribute can be"),
        ({"users__user_id": ["u", None]}, "users row 1: user_id is null"),
        ({"users__history": [[1, 0, 3], []]}, "users row 0: history holds row 0, which is never an item"),
        (
            {"users__history": [[1, 4, 3], []]},
            "users row 0: history holds item row 4, but the rows of items are 1 … 3",
        ),
        ({"users__history": [[1, -1, 3], []]}, "users row 0: history holds item row -1"),
        ({"users__history": [[1, None, 3], []]}, "users.history: a list holds a null"),
        ({"users__times": [[10, 9, 30], []]}, "users row 0: the history is not in time order"),
        ({"users__times": [[10, 30], []]}, "users row 0: 2 times for a history of 3"),
        ({"users__age": [1, 2]}, "users.age: is int64, which no attribute can be"),
        ({"users__age": [1.0, float("nan")]}, "users row 1: age is not a finite number"),
        ({"items__price": [float("inf"), None, 2.0]}, "items row 1: price is not a finite number"),
        (
            {"train__tme": [1, 2], "train__time": None},
            "train.tme: is int64, which no attribute can be. Did you mean 'time'?",
        ),
        ({"train__hour": [1.0, float("inf")]}, "train row 1: hour is not a finite number"),
        (
            {"train__place": pa.array([[1.0], [1.0]], SIGNAL)},
            "train row 0: 1 values of place for 2 items of candidates",
        ),
        (
            {"train__place": pa.array([[1.0, float("inf")], [1.0]], SIGNAL)},
            "train.place: holds an infinite number",
        ),
        (
            {"users__read_time": pa.array([[1.0, 2.0], []], SIGNAL)},
            "users row 0: 2 values of read_time for 3 items of history",
        ),
        ({"items__price": pa.array([[1.0], [], None], SIGNAL)}, "items.price: is list<item: float>"),
        ({"train__stop": None}, "train: the column stop is missing"),
        ({"train__user": pa.array([0, 1], pa.int64())}, "train.user: is int64"),
        ({"train__user": [0, 2]}, "train row 1: user row 2, but the rows of users are 0 … 1"),
        ({"train__user": [-1, 1]}, "train row 0: user row -1"),
        ({"train__stop": [4, 0]}, "train row 0: the extent that stops at 4 is not inside"),
        ({"train__start": [-1, 0]}, "train row 0: the extent"),
        ({"train__start": [3, 0]}, "train row 0: the extent"),
        ({"train__stop": [2, 1]}, "train row 1: the extent that stops at 1"),
        ({"train__impression": [7, 7]}, "train row 1: impression 7 stands in the part already"),
        ({"train__time": [9, None]}, "train row 0: the history reaches beyond the impression's time 9"),
        ({"train__candidates": [[3, 0], [2]]}, "train row 0: candidates holds row 0, which is never an item"),
        ({"train__candidates": [[3, 1], [4]]}, "train row 1: candidates holds item row 4"),
        (
            {"train__candidates": [[3, 1], []], "train__labels": [[1, 0], []]},
            "train row 1: there are no candidates",
        ),
        ({"train__labels": [[1, 2], [0]]}, "train row 0: labels [1, 2] are not all 0 or 1"),
        ({"train__labels": [[1, 0], [0, 1]]}, "train row 1: 2 labels for 1 candidates"),
        ({"train__labels": [[1, 0], [None]]}, "train.labels: a list holds a null"),
        ({"train__candidates": [[3, 1], None]}, "train row 1: candidates is null"),
    ],
)
def test_each_broken_rule_is_named_with_its_row(change, sentence):
    """Every rule of the tables, broken once: where and what."""
    assert sentence in complaint(tables(**change))


def test_an_unknown_part_is_named():
    """Parts have fixed names, and a near miss gets a suggestion."""
    made = tables()
    wrong = attrs.evolve(made, impressions={"tset": made.impressions["train"]})
    assert "Did you mean 'test'?" in complaint(wrong)


def test_problems_of_several_tables_come_at_once():
    """Items, users and impressions are all looked at before anything is raised."""
    text = complaint(
        tables(items__item_id=["a", "a", "c"], users__history=[[9, 2, 3], []], train__labels=[[1, 5], [0]])
    )
    assert "3 problems" in text
    assert all(f"  {where} row" in text for where in ("items", "users", "train"))


def test_problems_beyond_the_limit_are_counted():
    """A thousand duplicates are told once, with their number and the first rows."""
    made = attrs.evolve(tables(), items=pa.table({"item_id": ["a"] * 1001}))
    with pytest.raises(DataError) as caught:
        made.check()
    (only,) = caught.value.problems
    assert "1000 problems" in str(caught.value)
    assert only.what.endswith("; 999 more like it, rows 3, 4, 5, 6, 7 …")


def test_chunked_and_sliced_columns_are_read_as_they_are():
    """A column in several chunks, one of them a slice with a null list, gives the rows it shows."""
    whole = pa.array([[1], [2, 3], None, [4]], pa.list_(pa.int32()))
    column = pa.chunked_array([whole.slice(1), whole.slice(0, 2), whole.slice(0, 0)])
    rows = ragged(column)
    assert [rows[r].tolist() for r in range(len(rows))] == [[2, 3], [], [4], [1], [2, 3]]


def test_long_columns_are_cut_into_chunks_that_offsets_can_count():
    """No chunk holds more values than the limit unless one row does, and the rows stay what they were."""
    rows = Ragged.from_lengths(np.arange(10, dtype=np.int32), np.array([3, 0, 4, 1, 2]))
    column = lists(rows, pa.int32(), limit=3)
    assert max(len(chunk.flatten()) for chunk in column.chunks) == 4
    assert column.num_chunks > 1
    assert column.to_pylist() == [rows[r].tolist() for r in range(len(rows))]


def test_a_signal_is_a_column_of_numbers_with_nulls():
    """NaN says that a number is missing; rows without values stay."""
    column = signal(Ragged.from_lengths(np.array([1.5, np.nan, 3.0]), np.array([2, 0, 1])))
    assert column.type == SIGNAL
    assert column.to_pylist() == [[1.5, None], [], [3.0]]
