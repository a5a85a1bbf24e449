"""What holds for everything that answers prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lego.generator.answer import Field, Shape
from lego.generator.base import Passing, Question, Refused, Reply
from lego.testing.suite import SpecTests

SHAPE = Shape(fields=(Field(name="title"),))


class GeneratorTests(SpecTests):
    """What answers, opened and asked; or answers that are there already, found."""

    @pytest.fixture
    def questions(self) -> list[Question]:
        """Two, about two items."""
        return [
            Question(
                step="title",
                about=f"item:{name}",
                messages=(("system", "Be brief."), ("user", f"Write a title for {name}.")),
                shape=SHAPE,
                max_tokens=8,
            )
            for name in ("N1", "N2")
        ]

    def test_what_it_is_known_by_is_plain(self, spec: Any) -> None:
        """Its identity goes into JSON, is not empty, and is the same each time: answers are kept under it."""
        text = json.dumps(dict(spec.identity), sort_keys=True)
        assert text != "{}"
        assert json.dumps(dict(spec.identity), sort_keys=True) == text

    def test_prices_are_of_both_directions(self, spec: Any) -> None:
        """Of a million tokens read and written, or not known."""
        assert spec.prices is None or [float(each) >= 0 for each in spec.prices] == [True, True]

    def test_what_it_lacks_shows_without_opening_it(self, spec: Any) -> None:
        """Nothing, where it can be opened as it is here; and whether it may be tried is known."""
        assert list(spec.lacks()) == []
        assert isinstance(spec.tried, bool)

    def test_it_tells_how_long_it_takes_if_it_may_be_tried(
        self, spec: Any, questions: list[Question]
    ) -> None:
        """In seconds, more for more questions."""
        if not spec.tried:
            pytest.skip("it cannot be tried")
        writer = spec.open()
        try:
            if not hasattr(writer, "seconds"):
                pytest.skip("it does not tell")
            once = writer.seconds(questions, 0.5)
            assert once > 0
            assert writer.seconds(questions * 50, 0.5) > once
        finally:
            writer.close()

    def test_each_question_has_its_answer(self, spec: Any, questions: list[Question]) -> None:
        """A reply, or why there is none, for each, in order; or a record, or none, where answers are there already."""
        known = spec.known()
        if known is not None:
            for question in questions:
                record = known.find(question, dict(spec.identity))
                assert record is None or isinstance(record.answer, str)
            return
        writer = spec.open()
        try:
            assert writer.together >= 1
            assert isinstance(writer.parallel, bool)
            assert 0 < writer.count("some words") <= writer.count("some words, and then some more of them")
            for at in range(0, len(questions), writer.together):
                asked = questions[at : at + writer.together]
                replies = writer.ask(asked)
                assert len(replies) == len(asked)
                for reply in replies:
                    assert isinstance(reply, Reply | Passing | Refused)
                    if isinstance(reply, Reply):
                        assert isinstance(reply.text, str)
                        assert reply.model
                        assert min(reply.prompt_tokens, reply.answer_tokens) >= 0
        finally:
            writer.close()
