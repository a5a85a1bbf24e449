"""What flows between a job and a generator: questions, replies, and the ways in which a reply can fail to come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

from lego.errors import Problem
from lego.generator.answer import Shape

Message = tuple[str, str]
"""A role (system, user, assistant) and what it says."""


def digest(value: Any) -> str:
    """SHA-256 (hexadecimal) of plain JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@attrs.frozen(kw_only=True)
class Question:
    """One prompt about one item or user."""

    step: str
    """The name of the change that asks."""
    about: str
    """What it is about: `item` or `user`, a colon, and the id; a number behind `#` tells several questions about one apart."""
    messages: tuple[Message, ...]
    shape: Shape
    """What the answer must look like."""
    max_tokens: int
    """At most so many tokens are written."""
    attempt: int = 0
    """How often it was asked before, and the answer did not fit."""

    @property
    def prompt(self) -> str:
        """The hash of what is said to the model: 32 hexadecimal digits."""
        return digest([list(message) for message in self.messages])[:32]

    def key(self, identity: Mapping[str, Any]) -> str:
        """What its answer is kept under: prompt, model, parameters."""
        told = [list(message) for message in self.messages]
        return digest([dict(identity), told, self.shape.schema, self.max_tokens, self.attempt])

    def again(self, answer: str, complaint: str) -> Question:
        """The same, asked once more behind the last answer, which did not fit."""
        first = self.messages[:-2] if self.attempt else self.messages
        more = (("assistant", answer[:_QUOTED]), ("user", complaint))
        return attrs.evolve(self, messages=(*first, *more), attempt=self.attempt + 1)


_QUOTED = 2000
"""So many letters of an answer that did not fit are shown to the model again."""


@attrs.frozen(kw_only=True)
class Reply:
    """What came back."""

    text: str
    model: str
    """As the one who answered calls itself."""
    prompt_tokens: int
    answer_tokens: int
    cost: float | None = None
    """In the currency of the generator's prices; None where they are not known."""


def cost_of(prices: tuple[float, float] | None, read: float, written: float) -> float | None:
    """What so many tokens cost at the prices of a million; None where they are not known."""
    return None if prices is None else (read * prices[0] + written * prices[1]) / 1e6


class Passing(Exception):  # noqa: N818 - it is told apart from errors: it goes by
    """No reply for now: too many requests, a server that stumbled, a cut connection."""

    def __init__(self, why: str, after: float | None = None, absent: Problem | None = None) -> None:
        super().__init__(why)
        self.after = after
        """Seconds that the server asks to wait."""
        self.absent = absent
        """Where it looks as if nobody were there who could ever answer: what to tell if it stays so."""


class Refused(Exception):  # noqa: N818 - it concerns one question
    """This question gets no reply, however often it is asked."""


class Record(Protocol):
    """An answer that is kept."""

    @property
    def answer(self) -> str:
        """As it came."""
        ...

    @property
    def model(self) -> str:
        """Who gave it; empty where that is not recorded."""
        ...

    @property
    def prompt(self) -> str:
        """The hash of what was asked; empty where that is not recorded."""
        ...

    @property
    def time(self) -> str:
        """UTC; empty where that is not recorded."""
        ...


class Known(Protocol):
    """Answers that are there."""

    def find(self, question: Question, identity: Mapping[str, Any]) -> Record | None:
        """The answer to a question; None where there is none."""
        ...


class Writer(Protocol):
    """An open generator."""

    together: int
    """How many questions it takes in one call."""
    parallel: bool
    """Whether calls may be made from several threads at once."""

    def count(self, text: str) -> int:
        """Tokens of a text, at least about."""
        ...

    def ask(self, questions: Sequence[Question]) -> list[Reply | Passing | Refused]:
        """A reply to each; GeneratorError where no question would ever get one."""
        ...

    def close(self) -> None:
        """Nothing is asked any more."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A writer that can tell how long it will take."""

    def seconds(self, questions: Sequence[Question], fill: float) -> float:
        """Of all these questions, about, by a trial of a few seconds; answers have a share `fill` of their longest length."""
        ...
