from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lego.data.describe import describe, dropped_line, sample
from lego.data.prepare import prepare
from lego.data.source.movielens import MovieLens
from lego.data.store import Store
from lego.data.table import IMPRESSIONS, USERS


@pytest.fixture(scope="module")
def store(movielens, tmp_path_factory):
    return prepare(MovieLens(movielens, users=30, negatives=3), tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def small(store, tmp_path):
    """Four items and three impressions, small enough to count by hand."""
    items = pa.table({"item_id": ["a", "b", "c", "d"], "headline": ["one", "three", None, "x"]})
    users = pa.table({"user_id": ["u", "v", "u"], "history": [[1, 2, 3], [], [2]]}, USERS.remove(2))
    columns = {
        "impression": [0, 1],
        "user": [0, 1],
        "start": [1, 0],
        "stop": [2, 0],
        "candidates": [[4, 1], [3]],
        "labels": [[0, 1], [1]],
    }
    test = (
        columns
        | {"user": [2, 1], "start": [0, 0], "stop": [1, 0], "candidates": [[2], [4]]}
        | {"labels": [[1], [1]]}
    )
    schema = IMPRESSIONS.remove(4)
    dev = {"impression": [0], "user": [0], "start": [0], "stop": [3], "candidates": [[4]], "labels": [[1]]}

    class Small(MovieLens):
        def tables(self):
            from lego.data.table import Tables

            parts = {"train": columns, "dev": dev, "test": test}
            return Tables(
                items=items,
                users=users,
                impressions={name: pa.table(part, schema) for name, part in parts.items()},
            )

    return prepare(Small(store.manifest["source"]["text"].split("'")[1]), tmp_path)


def test_numbers_are_those_of_a_count_by_hand(small):
    """Cold is what training neither clicked nor had in a history, by item row and by user id."""
    found = describe(small)
    assert found["items"] == 4
    assert found["users"] == 3
    assert found["impressions"] == {"train": 2, "dev": 1, "test": 2}
    assert found["clicks"] == {"train": 2, "dev": 1, "test": 2}
    # Train clicks a and c, and has b in a history; d is only ever a candidate.
    assert found["cold_items"] == {"train": 0.0, "dev": 1.0, "test": 0.5}
    # User u of test is another row of the u of train.
    assert found["cold_users"] == {"train": 0.0, "dev": 0.0, "test": 0.0}
    assert found["no_history"] == {"train": 0.5, "dev": 0.0, "test": 0.5}
    assert found["density"] == 4 / 12
    assert found["time"] == {"train": None, "dev": None, "test": None}
    assert found["candidates"]["train"] == {
        "min": 1,
        "p10": 1.1,
        "median": 1.5,
        "mean": 1.5,
        "p90": 1.9,
        "max": 2,
    }
    assert found["attributes"]["headline"]["missing"] == 1
    assert found["attributes"]["headline"]["length"]["max"] == 5


def test_a_description_is_plain_data(store):
    """It goes through JSON unchanged and has the keys that scripts build on."""
    found = describe(Store.open(store.path))
    assert json.loads(json.dumps(found)) == found
    assert {"path", "items", "users", "impressions", "dropped", "seconds"} <= set(found)
    assert found["impressions"] == store.manifest["counts"]["impressions"]
    assert found["time"]["train"]["from"].startswith(("199", "20"))
    assert found["attributes"]["genres"]["distinct"] == 19


def test_a_sample_shows_titles(store):
    """Rows in words: the most recent history, the candidates, and which of them was clicked."""
    rows = sample(store, "test", 4, history=2)
    assert len(rows) == 4
    titles = dict(zip(store.item_ids.to_pylist(), store.items["title"].to_pylist(), strict=True))
    impressions = store.part("test")
    for place, row in enumerate(rows):
        stop = impressions.stop[place]
        past = [store.item_ids[int(item) - 1].as_py() for item in store.users.history.values[stop - 2 : stop]]
        assert [each["item"] for each in row["history"]] == past
        assert all(each["title"] == titles[each["item"]] for each in row["history"] + row["candidates"])
        assert [each["label"] for each in row["candidates"]] == impressions.labels.reshape(-1, 4)[
            place
        ].tolist()
    assert json.loads(json.dumps(rows)) == rows


def test_a_sample_by_seed_is_drawn(store):
    """The same seed gives the same rows, another one others; no more than there are."""
    first, again, other = (
        [row["impression"] for row in sample(store, "train", 5, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(sample(store, "test", 10**9)) == len(store.part("test"))


def test_a_sample_without_a_title_takes_the_first_text(small):
    """Data of another kind is shown too."""
    assert sample(small, "test", 1)[0]["candidates"] == [{"item": "b", "title": "three", "label": 1}]
    assert sample(small, "test", 1)[0]["time"] is None


@pytest.mark.parametrize(
    ("dropped", "sentence"),
    [
        ({}, None),
        ({"users_below_minimum": 0}, None),
        ({"missing_news": 4, "x": 0, "candidates_of_missing_news": 1200},
         "Left out: 4 missing news, 1,200 candidates of missing news."),
        ({"news_without_text": 3}, "Kept: 3 news without text."),
        ({"news_with_other_text": 2, "missing_news": 1}, "Left out: 1 missing news. Kept: 2 news with other text."),
    ],
)  # fmt: skip
def test_what_was_left_out_is_one_sentence(dropped, sentence):
    """Counts above 0 in words; nothing to tell is None."""
    assert dropped_line({"dropped": dropped}) == sentence
