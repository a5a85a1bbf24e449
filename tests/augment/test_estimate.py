from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import attrs
import pytest

from lego import Augment, Imagine, Profile, Replay, Rewrite
from lego.augment.cache import Cache, file_of
from lego.augment.estimate import Writers, estimate
from lego.augment.job import generate
from lego.augment.limits import Limits
from lego.errors import DataError, GeneratorError, Problem
from lego.generator.base import Question, Reply
from lego.spec import Generator, operator

FAST = Limits(concurrency=3, backoff=0.001, retries=4)


def kept(source: Augment) -> Cache:
    return Cache(file_of(source.generator))


def test_an_estimate_says_what_is_left_to_do(titles):
    """Calls, tokens and cost before; nothing is left behind the job, and its speed is known then."""
    before = estimate(titles, FAST)
    assert (before.questions, before.calls) == (12, 12)
    assert before.prompt_tokens > 12 * 20
    assert before.cost is not None
    assert before.cost > 0
    assert before.timed == ("at a usual 50 tokens a second, 3 at once",)
    assert before.seconds == pytest.approx(before.answer_tokens / titles.generator.tokens_per_second / 3)
    assert estimate(titles, attrs.evolve(FAST, concurrency=1)).seconds == pytest.approx(3 * before.seconds)
    assert estimate(titles, Limits(requests_per_minute=6)).seconds == pytest.approx(120)
    generate(titles, Limits(max_tokens=500))
    after = estimate(titles, FAST)
    assert 0 < after.calls < 12
    assert after.seconds == pytest.approx(
        after.answer_tokens / (kept(titles).speed() or 0) / min(3, after.calls), rel=0.01
    )
    generate(titles, FAST)
    assert estimate(titles, FAST).calls == 0


@operator
class Small(Generator):
    """A model on this machine that needs half a second for a question, and is asked nothing where it lacks something."""

    opened: ClassVar[list[str]] = []

    name: str = attrs.field(default="small", kw_only=False)
    here: bool = True
    missing: str = ""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its name."""
        return {"model": self.name}

    @property
    def tried(self) -> bool:
        """Whether it is here."""
        return self.here

    def lacks(self) -> Iterable[Problem]:
        """What it is told to lack."""
        if self.missing:
            yield Problem(self.name, self.missing, "get it")

    def open(self) -> _Writer:
        """Remembered."""
        self.opened.append(self.name)
        return _Writer()

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One."""
        return (cls(),)


class _Writer:
    together = 4
    parallel = False

    def count(self, text: str) -> int:
        return len(text.split())

    def seconds(self, questions: Sequence[Question], fill: float) -> float:
        assert 0 < fill <= 1
        return len(questions) / 2

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        time.sleep(0.01)
        text = json.dumps({"title": "A name"})
        return [Reply(text=text, model="s", prompt_tokens=9, answer_tokens=3, cost=0.0) for _ in questions]

    def close(self) -> None:
        Small.opened.remove("small")


def test_a_model_on_this_machine_is_tried_before_its_first_answers(titles):
    """Opened once for the trial and the job, which is said; without leave to open it, or far from here, the time is not known."""
    source = attrs.evolve(titles, generator=Small())
    said: list[str] = []
    for unknown in (
        estimate(source, FAST),
        estimate(attrs.evolve(titles, generator=Small(here=False)), FAST, Writers(), said.append),
    ):
        assert unknown.seconds is None
        assert "time not known yet" in unknown.words()
    assert (Small.opened, said) == ([], [])
    with Writers() as writers:
        told = estimate(source, FAST, writers, said.append)
        assert told.seconds == pytest.approx(6)
        assert "about 6 s (by a trial of a few tokens)" in told.words()
        assert said == ["loading Small(), to try how fast it is with a few tokens"]
        within = estimate(source, Limits(requests_per_minute=1), writers)
        assert within.seconds == pytest.approx(12 * 60)
        assert "about 12 min (within the rate limits)" in within.words()
        assert generate(source, FAST, writers=writers).calls == 12
        assert Small.opened == ["small"]
        assert estimate(source, FAST, writers).seconds == 0
    assert Small.opened == []


def test_all_that_was_opened_is_closed(monkeypatch):
    """Though one of them cannot be closed, and though the block ended with an error, which is told first."""
    closed = []

    def close(writer):
        closed.append(writer)
        raise OSError("gone")

    monkeypatch.setattr(_Writer, "close", close)
    opened = []

    def work():
        with Writers() as writers:
            opened.extend(writers.of(Small(name)) for name in ("small", "other", "third"))
            raise KeyError("first")

    with pytest.raises(OSError, match="gone") as caught:
        work()
    assert closed == opened[::-1]
    cause: BaseException | None = caught.value
    while cause is not None and cause.__context__ is not None:
        cause = cause.__context__
    assert isinstance(cause, KeyError)
    Small.opened.clear()


def test_answers_to_other_questions_tell_less_than_a_trial(titles):
    """Where answers of the same change are kept they tell the speed; those of another one do where nothing can be tried."""
    source = attrs.evolve(titles, generator=Small())
    generate(source, FAST)
    more = attrs.evolve(source, changes={**source.changes, "topics": Profile("{title}")})
    with Writers() as writers:
        assert estimate(more, FAST, writers).timed == ("by a trial of a few tokens",)
    assert estimate(more, FAST).timed == ("by the answers before",)


def test_all_that_is_wrong_is_told_at_once_before_anything_is_asked(server, titles, tmp_path, monkeypatch):
    """Attributes, prompts and files of all changes, a missing key, model and price: one list, for estimate and job."""
    monkeypatch.delenv("TEST_KEY")
    prompt = tmp_path / "mine.md"
    prompt.write_text("# user\nSay {titel} and {wrods}\n")
    far = attrs.evolve(titles.generator, url="https://models.invalid/v1", prompt_price=None)
    wrong = attrs.evolve(
        titles,
        generator=far,
        changes={
            "title": Rewrite("{titel}", prompt=str(prompt)),
            "genres": Rewrite("{title}", to="better", generator=Replay(str(tmp_path / "none.jsonl"))),
            "again": Rewrite("{better}", to="title", generator=Replay(str(tmp_path / "none.jsonl"))),
            "topics": Profile("{llm_title}", prompt=str(tmp_path / "no.md"), generator=Small(missing="gone")),
            "movie": Imagine("{title}", profile=("llm_topic",), generator=far),
        },
    )
    wanted = (
        "{titel} is no attribute",
        "names {titel}, which is no field",
        "names {wrods}, which is no field",
        "there is an attribute 'title' already",
        "no.md: cannot be read",
        "names 'llm_topic', which is no attribute",
        "none.jsonl: cannot be read",
        "TEST_KEY: the environment variable is not set",
        "small: gone",
        "--max-cost 3: what OpenAICompatible",
    )
    for begin in (estimate, generate):
        with pytest.raises(DataError) as caught:
            begin(wrong, Limits(max_cost=3.0))
        assert [told for told in wanted if str(caught.value).count(told) != 1] == []
        assert len(caught.value.problems) == len(wanted)
    assert not server.asked
    with pytest.raises(DataError) as caught:  # who only reads the data needs neither key nor price
        wrong.fingerprint()
    assert len(caught.value.problems) == len(wanted) - 3


def test_what_keeps_a_generator_from_being_asked_counts_where_it_is_asked(server, titles, monkeypatch):
    """A key that is missing and a price that is not known are told together; where every answer is there they do not matter."""
    far = attrs.evolve(titles.generator, url="https://models.invalid/v1", prompt_price=None)
    monkeypatch.delenv("TEST_KEY")
    source = attrs.evolve(titles, generator=far)
    told = estimate(source, Limits(max_cost=1.0))
    assert (told.calls, len(told.problems)) == (12, 2)
    with pytest.raises(GeneratorError, match="2 problems") as caught:
        generate(source, Limits(max_cost=1.0))
    assert "prompt_price" in str(caught.value)
    assert "export TEST_KEY=" in str(caught.value)
    with Cache(file_of(far)).writing() as keep:
        for _, question in Rewrite("{title}", words=6).questions("title", _draft(source)):
            reply = Reply(text='{"title": "A"}', model="m", prompt_tokens=1, answer_tokens=1)
            keep(question, far.identity, reply, 1.0)
    assert estimate(source, Limits(max_cost=1.0)).problems == ()
    assert generate(source, Limits(max_cost=1.0)).complete


def _draft(source: Augment) -> Any:
    from lego.augment.draft import Draft

    return Draft(source.original())
