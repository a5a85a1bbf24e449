from __future__ import annotations

import attrs
import pytest

from lego import LocalModel, OpenAICompatible
from lego.augment.cache import Cache, file_of
from lego.generator.answer import Field, Shape
from lego.generator.base import Question, Reply

IDENTITY = {"model": "m", "temperature": 0.0}
SHAPE = Shape(fields=(Field(name="title"),))
QUESTION = Question(step="title", about="item:1", messages=(("user", "What?"),), shape=SHAPE, max_tokens=9)
REPLY = Reply(text='{"title": "Ah"}', model="m", prompt_tokens=3, answer_tokens=4)


def test_an_answer_is_found_by_prompt_model_and_parameters_alone(tmp_path):
    """Whom it is about does not matter; another prompt, model, temperature, length or attempt is another question."""
    cache = Cache(tmp_path / "answers.jsonl")
    with cache.writing() as keep:
        keep(QUESTION, IDENTITY, REPLY, 0.5)
    again = Cache(cache.path)
    assert again.find(attrs.evolve(QUESTION, about="item:2", step="other"), IDENTITY).answer == REPLY.text
    assert again.speed() == pytest.approx(8)
    for other, identity in (
        (attrs.evolve(QUESTION, messages=(("user", "What, then?"),)), IDENTITY),
        (attrs.evolve(QUESTION, max_tokens=10), IDENTITY),
        (QUESTION.again("no", "Again"), IDENTITY),
        (QUESTION, {**IDENTITY, "model": "n"}),
        (QUESTION, {**IDENTITY, "temperature": 0.5}),
    ):
        assert again.find(other, identity) is None


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_a_crash_cut_short_costs_that_line_alone(tmp_path, cut):
    """Lines before it are there, and lines written behind it are, too."""
    path = tmp_path / "answers.jsonl"
    other = attrs.evolve(QUESTION, max_tokens=10)
    third = attrs.evolve(QUESTION, max_tokens=11)
    with Cache(path).writing() as keep:
        keep(QUESTION, IDENTITY, REPLY, 1.0)
        keep(other, IDENTITY, REPLY, 1.0)
    path.write_bytes(path.read_bytes()[:-cut])
    cut_short = Cache(path)
    assert cut_short.find(QUESTION, IDENTITY) is not None
    with cut_short.writing() as keep:
        keep(third, IDENTITY, REPLY, 1.0)
    whole = Cache(path)
    assert whole.find(QUESTION, IDENTITY) is not None
    assert whole.find(third, IDENTITY) is not None
    assert (whole.find(other, IDENTITY) is None) == (
        cut > 1
    )  # without its end of line the line is still whole


def test_models_and_parameters_have_files_of_their_own():
    """A file is named by what can change an answer; the key and how many are asked at once cannot."""
    first = OpenAICompatible("a", url="http://localhost:1/v1")
    assert file_of(first) == file_of(attrs.evolve(first, key="OTHER", timeout=5.0, prompt_price=1.0))
    assert file_of(first) != file_of(attrs.evolve(first, temperature=1.0))
    assert file_of(LocalModel()) == file_of(LocalModel(batch=3, seed=5))  # greedy: the seed is not used
    assert file_of(LocalModel(temperature=1.0)) != file_of(LocalModel(temperature=1.0, seed=5))
