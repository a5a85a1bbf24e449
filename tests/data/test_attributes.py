"""Codes of categorical attributes: stable, several-valued, and 0 for what is missing or unknown."""

from __future__ import annotations

import pyarrow as pa

from lego.data.attributes import Codes, codes_of, not_categorical
from lego.data.table import CATEGORY, LIST

GENRES = pa.chunked_array([[["war", "love"], None], [[], ["love"]]], LIST)
TOPIC = pa.chunked_array([pa.array(["b", None, "a", "b"]).cast(pa.string()).dictionary_encode()]).cast(
    CATEGORY
)


def rows(codes):
    return [codes.rows[row].tolist() for row in range(len(codes.rows))]


def test_a_category_is_one_code_or_none():
    """Codes go by the value, not by the order of rows; a missing value has no code; row 0 is never an item."""
    codes = Codes.of(TOPIC, 1)
    assert rows(codes) == [[], [2], [], [1], [2]]
    assert codes.vocabulary.to_pylist() == ["a", "b"]
    assert len(codes) == 3


def test_a_list_is_several_codes():
    """Values keep their order; a missing list and an empty one have none."""
    assert rows(Codes.of(GENRES, 1)) == [[], [2, 1], [], [], [1]]


def test_more_rows_are_read_with_the_vocabulary_that_stands():
    """What the model was not made for is 0, not an error and not a new code."""
    more = Codes.of(TOPIC, 1).extended(pa.chunked_array([["c", "a"]], pa.string()))
    assert rows(more)[-2:] == [[0], [1]]
    assert len(more) == 3


def test_all_categorical_attributes_are_meant_where_none_is_named():
    """Texts are not counted."""
    table = pa.table({"title": ["x"] * 4, "genres": GENRES, "topic": TOPIC})
    kinds = {"title": "text", "genres": "list", "topic": "category"}
    assert list(codes_of(table, kinds, (), 1)) == ["genres", "topic"]
    assert list(codes_of(table, kinds, ("topic",), 1)) == ["topic"]


def test_what_cannot_be_counted_is_named_with_what_can():
    """An unknown attribute and a text are problems that list the categorical ones."""
    kinds = {"title": "text", "topic": "category"}
    unknown, text = not_categorical(("topics", "title", "topic"), kinds, "items")
    assert "no such attribute" in unknown.what
    assert "Did you mean 'topic'" in unknown.fix
    assert "text attribute" in text.what
    assert "topic" in text.fix
