"""What a job of asking will take, told before it is begun: calls, tokens, time, cost; and what keeps it from being begun."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import attrs

from lego.augment.ask import Step
from lego.augment.cache import Cache
from lego.augment.limits import Limits
from lego.augment.plan import Plan, planned
from lego.augment.source import Augment
from lego.errors import Problem
from lego.generator.base import Question, Timed, Writer, cost_of
from lego.spec import Generator

_LETTERS = 3.5
"""Letters a token, for an estimate without the model."""
_FILL = 0.5
"""The share of its longest length that an answer is expected to have."""


@attrs.frozen(kw_only=True)
class Estimate:
    """What a job will take, before it is begun. Answers that do not fit are asked again, which comes on top."""

    questions: int
    """All there are, answered or not."""
    calls: int
    """Those to ask."""
    prompt_tokens: int
    answer_tokens: int
    cost: float | None
    """In the currency of the prices; None where they are not known."""
    seconds: float | None
    """None where no speed is known."""
    timed: tuple[str, ...] = ()
    """How the seconds are known."""
    problems: tuple[Problem, ...] = ()
    """What keeps the questions from being asked: a key that is missing, a cost that is limited and not known."""

    def words(self) -> str:
        """In a sentence."""
        if not self.calls:
            return f"0 of {self.questions:,} questions to ask"
        cost = "cost not known (give the generator prompt_price= and answer_price=)"
        if self.cost is not None:
            cost = f"cost about {self.cost:,.4g}" if self.cost else "no cost"
        took = "time not known yet"
        if self.seconds is not None:
            took = f"about {_duration(self.seconds)} ({', '.join(self.timed)})"
        return (
            f"{self.calls:,} of {self.questions:,} questions to ask: about {self.prompt_tokens:,} tokens read and "
            f"{self.answer_tokens:,} written, {took}, {cost}"
        )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


# --- estimate -----------------------------------------------------------------------------------------------------------------


class Writers:
    """Generators that are open: each is opened once, and all are closed at the end."""

    def __init__(self) -> None:
        self._open: dict[Generator, Writer] = {}
        self._closing = ExitStack()

    def of(self, generator: Generator) -> Writer:
        """What answers; it is opened where it is not."""
        if generator not in self._open:
            writer = self._open[generator] = generator.open()
            self._closing.callback(writer.close)
        return self._open[generator]

    def __contains__(self, generator: object) -> bool:
        """Whether it is open."""
        return generator in self._open

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes them, each though another cannot be closed."""
        self._open.clear()
        self._closing.__exit__(kind, error, trace)


def estimate(
    source: Augment,
    limits: Limits | None = None,
    writers: Writers | None = None,
    say: Callable[[str], None] = lambda _: None,
    *,
    plan: Plan | None = None,
) -> Estimate:
    """What `generate` would take now; DataError with all that keeps it from being begun, where that concerns the data.

    With `writers` a model on this machine that has answered nothing like it before is opened and tried with a few tokens, which
    `say` is told before. `plan` is what `planned` made of source and limits, where that was done before.
    """
    limits = limits or Limits()
    plan = plan or planned(source, limits)
    tried = None if plan.problems else writers
    made = [_share(step, left, limits, tried, say) for step, left in plan.open]
    return Estimate(
        questions=plan.questions,
        calls=sum(each.calls for each in made),
        prompt_tokens=round(sum(each.read for each in made)),
        answer_tokens=round(sum(each.written for each in made)),
        cost=_sum([each.cost for each in made]),
        seconds=_sum([each.seconds for each in made]),
        timed=tuple(dict.fromkeys(each.timed for each in made if each.timed)),
        problems=plan.problems,
    )


@attrs.frozen
class _Share:
    """What one change takes."""

    calls: int
    read: float
    written: float
    cost: float | None
    seconds: float | None
    timed: str


def _share(
    step: Step, questions: list[Question], limits: Limits, writers: Writers | None, say: Callable[[str], None]
) -> _Share:
    sizes = [_size(each) for each in questions]
    read, written = sum(each for each, _ in sizes), sum(each for _, each in sizes) * _FILL
    cost = cost_of(step.generator.prices, read, written)
    seconds, timed = _seconds(step, questions, written, limits, writers, say)
    least = 0.0
    if limits.requests_per_minute:
        least = len(questions) / limits.requests_per_minute * 60
    if limits.tokens_per_minute:
        least = max(least, (read + written) / limits.tokens_per_minute * 60)
    if least > (seconds or 0.0):
        seconds, timed = least, "within the rate limits"
    return _Share(len(questions), read, written, cost, seconds, timed)


def _seconds(
    step: Step,
    questions: list[Question],
    written: float,
    limits: Limits,
    writers: Writers | None,
    say: Callable[[str], None],
) -> tuple[float | None, str]:
    """How long the answers take, and how that is known: best by answers like them, else by a trial, by others, as usual."""
    assert isinstance(step.known, Cache)
    at_once = min(limits.concurrency, len(questions)) if step.generator.parallel else 1
    if speed := step.known.speed(step.name):
        return written / speed / at_once, "by the answers before"
    if writers is not None and step.generator.tried:
        if step.generator not in writers:
            say(f"loading {step.generator!r}, to try how fast it is with a few tokens")
        writer = writers.of(step.generator)
        if isinstance(writer, Timed):
            return writer.seconds(questions, _FILL), "by a trial of a few tokens"
    if speed := step.known.speed():
        return written / speed / at_once, "by the answers before"
    if speed := step.generator.tokens_per_second:
        several = f", {at_once} at once" if at_once > 1 else ""
        return written / speed / at_once, f"at a usual {speed:g} tokens a second{several}"
    return None, ""


def _sum(values: list[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [each for each in values if each is not None]
    return sum(known) if len(known) == len(values) else None


def _size(question: Question) -> tuple[float, int]:
    """Tokens to read, about, and to write at most."""
    return sum(len(text) for _, text in question.messages) / _LETTERS + 8, question.max_tokens
