from __future__ import annotations

import attrs
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lego.data.raw.clean import STEPS, are_steps, clean, in_words
from lego.data.table import CATEGORY
from lego.errors import SpecError

EVERY = ("entities", "tags", "links", "whitespace")


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("entities", "Salt &amp; Pepper &#39;n&#x27; &lt;3 &eacute;", "Salt & Pepper 'n' <3 \u00e9"),
        ("entities", "AT&amp;amp;T", "AT&T"),
        ("entities", "R & D", "R & D"),
        ("tags", "a<br/>b <b class='x'>c</b>", "a b  c "),
        ("tags", "x <script type=a>if (a < b) { }</SCRIPT > y", "x   y"),
        ("tags", "x<style>p { color: red }\n</style>y", "x y"),
        ("tags", "x<style>never closed", "x "),
        ("tags", "a<!-- <b> hidden -->z", "a z"),
        ("tags", "1 < 2 and 3 > 2, I <3 you", "1 < 2 and 3 > 2, I <3 you"),
        ("tags", "<div\nid=1>x", " x"),
        ("links", "see https://a.example/x?y=1 or www.b.example now", "see   or   now"),
        ("latin1", "PokÃ©mon", "Pok\u00e9mon"),
        ("latin1", "Pok\u00e9mon", "Pok\u00e9mon"),
        ("latin1", "\u65e5\u672c", "\u65e5\u672c"),
        ("unicode", "\uff21\u00bd\ufb01", "A1\u20442fi"),
        ("punctuation", "a-b, (c) $5 + \u201cd\u201d", "a b   c   5    d "),
        ("lower", "\u00c9A", "\u00e9a"),
        ("whitespace", " a\t\tb\u00a0\r\nc\u200b\u3000 ", "a b c"),
        ("whitespace", "a\x00b\x1f", "a b"),
    ],
)
def test_each_step_does_what_it_says(step, before, after):
    """One step on one text."""
    assert clean(pa.array([before]), (step,)).to_pylist() == [after]


def test_every_step_is_tested_and_told():
    """The table above covers all of them, and the words name each."""
    tested = {row[0] for row in test_each_step_does_what_it_says.pytestmark[0].args[1]}
    assert tested == set(STEPS)
    assert in_words(("entities", "lower")) == f"{STEPS['entities']}; then {STEPS['lower']}"
    assert in_words(()) == "none"


def test_steps_come_in_the_order_named():
    """Entities first makes a tag that the next step takes out; the other way round it stays."""
    text = pa.array(["&lt;b&gt;x"])
    assert clean(text, ("entities", "tags", "whitespace")).to_pylist() == ["x"]
    assert clean(text, ("tags", "entities", "whitespace")).to_pylist() == ["<b>x"]


def test_nothing_left_is_missing():
    """An empty text, blanks, and tags alone are null after a step; without steps nothing changes."""
    column = pa.chunked_array([["", None, " x "], ["<br>", "\u00a0"]])
    assert clean(column, EVERY).to_pylist() == [None, None, "x", None, None]
    assert clean(column, ()).to_pylist() == column.to_pylist()


def test_values_of_lists_are_cleaned_and_empty_ones_left_out():
    """Lists stay where they are: a missing one missing, an emptied one empty; so in a slice."""
    column = pa.array([["a &amp; b", " "], None, [], ["<br>"], [None, "c "]])
    assert clean(column, EVERY).to_pylist() == [["a & b"], None, [], [], ["c"]]
    assert clean(column[1:], EVERY).to_pylist() == [None, [], [], ["c"]]
    assert clean(pa.array([], pa.list_(pa.string())), EVERY).to_pylist() == []
    assert clean(pa.array([[], None], pa.list_(pa.string())), EVERY).to_pylist() == [[], None]


def test_categories_that_become_one_are_one():
    """And the type stays."""
    column = pa.array(["A&amp;B", "A&B", None, "A&B", ""]).dictionary_encode()
    made = clean(column, EVERY)
    assert made.type == CATEGORY
    assert made.to_pylist() == ["A&B", "A&B", None, "A&B", None]
    assert made.dictionary.to_pylist() == ["A&B"]


@given(st.lists(st.none() | st.text(max_size=20), max_size=5), st.permutations(list(STEPS)))
def test_any_text_goes_through_any_steps(texts, steps):
    """As many values come out as go in, and white space is clean where that is the last step."""
    texts = [None if t is None else t.encode("utf-8", "replace").decode() for t in texts]
    steps = [*(step for step in steps if step != "whitespace"), "whitespace"]
    made = clean(pa.array(texts, pa.string()), steps)
    made.validate(full=True)
    assert len(made) == len(texts)
    assert clean(made, ("whitespace",)).equals(made)


@pytest.mark.parametrize(
    ("steps", "sentence"), [(("tag",), "Did you mean 'tags'"), (("lower",) * 2, "each step once")]
)
def test_unknown_steps_are_refused(steps, sentence):
    """With what is meant."""

    @attrs.frozen
    class Holder:
        clean: tuple[str, ...] = attrs.field(validator=are_steps)

    with pytest.raises(SpecError, match=sentence):
        Holder(steps)
    assert Holder(EVERY).clean == EVERY
