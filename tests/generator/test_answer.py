from __future__ import annotations

import attrs
import pytest

from lego.generator.answer import Field, Misfit, Shape

TITLE = Shape(fields=(Field(name="title", most=6),))
PROFILE = Shape(
    fields=(
        Field(name="topics", kind="list", most=3),
        Field(name="region", kind="list", choices=("North", "South")),
    )
)
BOOK = Shape(fields=(Field(name="title"), Field(name="description")))


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ('{"title": "A"}', "A"),
        ('Sure!\n```json\n{"title": "A"}\n```\nAnything else?', "A"),
        ('{} {"title": "A"}', "A"),
        ('{"newtitle": "A"}', "A"),  # one field, under another name
        ("[newtitle] A  b", "A b"),
        ('  "A" ', "A"),
    ],
)
def test_an_answer_is_read_in_many_forms(answer, title):
    """JSON among other words, a mark of ONCE, a bare text."""
    assert TITLE.read(answer) == {"title": title}


@pytest.mark.parametrize(
    "answer",
    [
        '{"topics": ["a", "b"], "region": ["north"]}',
        "[topics] a, b\n[region] North; West",
        "[topics]\n- a\n- b\n[region]\n1. north",
        '{"topics": "a, b", "region": "South, north"}',
    ],
)
def test_lists_are_read_in_many_forms(answer):
    """Values of a closed list are spelled as the list has them, and others are left out."""
    found = PROFILE.read(answer)
    assert found["topics"] == ["a", "b"]
    assert "North" in found["region"]
    assert not set(found["region"]) - {"North", "South"}


@pytest.mark.parametrize(
    ("shape", "answer", "why"),
    [
        (TITLE, "", "no JSON object"),
        (TITLE, '{"title": "cut', "no JSON object"),
        (TITLE, '{"title": 3}', "no text"),
        (TITLE, '{"title": "…"}', "is empty"),  # the example of the prompt, repeated
        (TITLE, '{"title": "a b c d e f g"}', "7 words"),
        (PROFILE, '{"topics": ["a"]}', '"region" is missing'),
        (PROFILE, '{"topics": ["a"], "region": ["West"]}', "none of: North, South"),
        (BOOK, "A bare text", "no JSON object"),
        (Shape(fields=BOOK.fields[:1], scripts=("LATIN",)), "Война и мир", "another language"),
    ],
)
def test_what_does_not_fit_is_told(shape, answer, why):
    """The reason is a sentence for the next attempt."""
    with pytest.raises(Misfit, match=why):
        shape.read(answer)


def test_the_schema_is_what_servers_ask_for():
    """Every field required, nothing else allowed, closed lists as enumerations."""
    assert PROFILE.schema == {
        "type": "object",
        "properties": {
            "topics": {"type": "array", "items": {"type": "string"}},
            "region": {"type": "array", "items": {"type": "string", "enum": ["North", "South"]}},
        },
        "required": ["topics", "region"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "answer", ['{"topics": ["a"]}', '{"topics": ["a"], "region": []}', "[topics] a\n[region] West"]
)
def test_a_list_that_may_be_missing_is_empty(answer):
    """It is left out, empty, or has none of its values; where it must be there, each of these does not fit."""
    with pytest.raises(Misfit, match="region"):
        PROFILE.read(answer)
    topics, region = PROFILE.fields
    loose = Shape(fields=(topics, attrs.evolve(region, optional=True)))
    assert loose.read(answer) == {"topics": ["a"], "region": []}
    assert loose.schema == PROFILE.schema
