"""A long job of asking: all that is not answered yet, kept answer by answer, and a report at the end."""

from __future__ import annotations

import queue
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from lego.augment.ask import Step, answers_of, settle, unanswered
from lego.augment.cache import Cache
from lego.augment.check import checked
from lego.augment.draft import Answer, Draft
from lego.augment.estimate import Writers
from lego.augment.limits import Limits, Pace, Purse, Spent
from lego.augment.plan import Plan, planned
from lego.augment.source import Augment
from lego.errors import GeneratorError, LegoError, Problem
from lego.generator.base import Passing, Question, Refused, Reply, Writer, cost_of

INTERRUPTION = "interrupted"
"""Why a job ended early that Ctrl-C ended."""


@attrs.frozen(kw_only=True)
class StepReport:
    """What became of the questions of one change."""

    name: str
    questions: int
    fitting: int
    """Questions that have an answer that fits."""
    unfit: int
    """Questions whose answers never fitted."""
    open: int
    """Questions that were not asked, or got no reply."""
    kept: int
    """Questions that had their answer before this job."""


@attrs.frozen(kw_only=True)
class Report:
    """How a job ended. What was paid for is kept in any case."""

    steps: tuple[StepReport, ...]
    calls: int
    """Replies of this job."""
    retried: int
    prompt_tokens: int
    answer_tokens: int
    cost: float | None
    seconds: float
    stopped: str
    """Why it ended early; empty where it did not."""
    failures: Mapping[str, int]
    """Why questions got no reply, and how many."""
    complete: bool
    """Whether every question was answered, or asked as often as it may be."""

    @property
    def tokens_per_second(self) -> float:
        """Written."""
        return self.answer_tokens / self.seconds if self.seconds else 0.0

    def record(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**attrs.asdict(self), "tokens_per_second": self.tokens_per_second}


@attrs.define(eq=False)
class _State:
    """What the threads of a job share."""

    limits: Limits
    chance: random.Random
    sleep: Callable[[float], None]
    tell: Callable[[_State], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None
    warned: set[tuple[str, int]] = attrs.field(factory=set)
    """Reasons, and which try again they were told for."""
    purse: Purse = attrs.field(init=False)
    pace: Pace = attrs.field(init=False)
    waits: str = ""
    """Why a thread waits, and how long; empty where none does for longer than a moment."""
    calls: int = 0
    done: int = 0
    retried: int = 0
    stopped: str = ""
    failures: Counter[str] = attrs.field(factory=Counter)
    fault: LegoError | None = None
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    stop: threading.Event = attrs.field(factory=threading.Event)

    def __attrs_post_init__(self) -> None:
        self.purse = Purse(self.limits)
        self.pace = Pace(self.limits, sleep=self.rest, stopped=self.stop.is_set)

    def rest(self, seconds: float) -> None:
        """Sleeps, but not beyond the end of the job."""
        if self.sleep is time.sleep:
            self.stop.wait(seconds)
        else:
            self.sleep(seconds)

    def fail(self, fault: LegoError) -> None:
        """Ends the job; the first of several faults is told."""
        with self.lock:
            self.fault = self.fault or fault
        self.end(str(fault))

    def end(self, why: str) -> None:
        """Nothing new is asked; what is under way is waited for."""
        with self.lock:
            self.stopped = self.stopped or why
        self.stop.set()


def generate(
    source: Augment,
    limits: Limits | None = None,
    *,
    tell: Callable[[str, int, int, str], None] | None = None,
    warn: Callable[[str], None] = lambda _: None,
    seed: int = 0,
    sleep: Callable[[float], None] = time.sleep,
    writers: Writers | None = None,
    plan: Plan | None = None,
) -> Report:
    """Asks all that is not answered yet, change after change, and gives the report; answers are kept as they come.

    DataError or GeneratorError with all that keeps it from being begun, before anything is asked. `writers` may be open already,
    and `plan` is what `planned` made of source and limits, where that was done before.
    `tell(name, done, total, note)` is told how far a change is, `warn` why something is asked again.
    Ctrl-C ends the job in order: requests under way are waited for.
    """
    limits = limits or Limits()
    plan = plan or planned(source, limits)
    if plan.problems:
        raise GeneratorError(plan.problems)
    begun = time.monotonic()
    state = _State(limits=limits, chance=random.Random(seed), sleep=sleep, warn=warn)  # noqa: S311 - how long to wait is no secret
    draft = Draft(plan.store)
    reports = []
    complete = True
    with ExitStack() as stack:
        writers = writers or stack.enter_context(Writers())
        for step in plan.steps:
            asked = step.kind.questions(step.name, draft)
            open_ = list(unanswered(step, asked)) if step.asks else []
            kept = sum(each.record is not None for each in answers_of(step, asked))
            if open_ and not state.stop.is_set():
                state.done = 0
                state.tell = _teller(tell, step.name, len(open_), begun, state)
                _ask_all(step, open_, writers.of(step.generator), state)
            answers = answers_of(step, asked)
            reports.append(_reported(step, answers, kept))
            complete = complete and not reports[-1].open
            if state.fault is not None:
                break
            step.kind.apply(step.name, draft, answers)
    report = Report(
        steps=tuple(reports),
        calls=state.calls,
        retried=state.retried,
        prompt_tokens=state.purse.prompt_tokens,
        answer_tokens=state.purse.answer_tokens,
        cost=state.purse.cost if all(step.generator.prices is not None for step in plan.steps) else None,
        seconds=time.monotonic() - begun,
        stopped=state.stopped,
        failures=dict(state.failures),
        complete=complete and state.fault is None,
    )
    if state.fault is not None:
        state.fault.report = report  # type: ignore[attr-defined]  # whoever catches it can tell what is kept
        raise state.fault
    return report


def _teller(
    tell: Callable[[str, int, int, str], None] | None, name: str, total: int, begun: float, state: _State
) -> Callable[[_State], None]:
    if tell is None:
        return lambda _: None

    def told(now: _State) -> None:
        seconds = max(time.monotonic() - begun, 1e-9)
        note = f"{now.purse.answer_tokens / seconds:,.1f} tokens/s"
        if now.purse.cost:
            note += f", {now.purse.cost:,.4g} so far"
        if now.failures:
            note += f", {sum(now.failures.values()):,} failed"
        if now.waits:
            note += f", {now.waits}"
        tell(name, now.done, total, note)

    told(state)
    return told


def _reported(step: Step, answers: Sequence[Answer], kept: int) -> StepReport:
    fitting = sum(each.values is not None for each in answers)
    unfit = sum(each.values is None and each.record is not None for each in answers)
    return StepReport(
        name=step.name,
        questions=len(answers),
        fitting=fitting,
        unfit=unfit,
        open=len(answers) - fitting - unfit,
        kept=kept,
    )


def _ask_all(step: Step, questions: Sequence[Question], writer: Writer, state: _State) -> None:
    """Asks, keeps, and asks again where an answer does not fit, until nothing is left or something ends the job."""
    assert isinstance(step.known, Cache)
    waiting: queue.Queue[Question] = queue.Queue()
    for question in questions:
        waiting.put(question)
    with step.known.writing() as keep:
        # Another process may have answered some of them since.
        work = _Work(step=step, writer=writer, waiting=waiting, keep=keep, state=state)
        if not writer.parallel:
            try:
                work.run()
            except KeyboardInterrupt:
                state.end(INTERRUPTION)
            return
        threads = [
            threading.Thread(target=work.run, daemon=True)
            for _ in range(min(state.limits.concurrency, len(questions)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                try:
                    thread.join(0.2)
                except KeyboardInterrupt:
                    state.end(INTERRUPTION)


def _unforeseen(step: Step, fault: Exception) -> GeneratorError:
    """A fault of a program, with the place of it; a program that catches the error has all of it as its cause."""
    place = traceback.extract_tb(fault.__traceback__)[-1]
    what = f"{type(fault).__name__}: {fault} ({Path(place.filename).name}, line {place.lineno})"
    fix = f"tell whoever wrote {type(step.generator).__name__}; the same command goes on behind what is kept"
    told = GeneratorError([Problem(step.name, what, fix)])
    told.__cause__ = fault
    return told


_MOMENT = 2.0
"""Seconds; a longer wait is told."""
_SOON = 2
"""Tries again, until who answered nothing and does not seem to be there is given up."""
_WARNINGS = 30
"""So many lines say why something is asked again; the report counts what failed in the end."""


@attrs.frozen(eq=False, kw_only=True)
class _Work:
    """One thread's share of a change."""

    step: Step
    writer: Writer
    waiting: queue.Queue[Question]
    keep: Any
    state: _State

    def run(self) -> None:
        """Until nothing waits, or the job ends."""
        try:
            while not self.state.stop.is_set() and (batch := self._next()):
                self._ask(batch)
        except Spent as why:
            self.state.end(f"the budget is spent: {why}")
        except LegoError as fault:
            self.state.fail(fault)
        except Exception as fault:  # noqa: BLE001 - what nobody foresaw ends the job in order, too: what was paid for is told
            self.state.fail(_unforeseen(self.step, fault))

    def _next(self) -> list[Question]:
        batch: list[Question] = []
        while len(batch) < self.writer.together:
            try:
                question = self.waiting.get_nowait()
            except queue.Empty:
                break
            found = settle(self.step.kind, question, self.step.known, self.step.identity)
            if isinstance(found, Question):
                batch.append(found)
            else:
                self._finished()
        return batch

    def _ask(self, batch: list[Question]) -> None:
        failures = 0
        while batch and not self.state.stop.is_set():
            passing = self._once(batch)
            if not passing:
                return
            if failures >= min(_SOON, self.state.limits.retries) and not self.state.calls:
                absent = [why.absent for _, why in passing if why.absent is not None]
                if len(absent) == len(passing):
                    raise GeneratorError(absent[:1])
            if failures >= self.state.limits.retries:
                for _, why in passing:
                    self._failed(str(why))
                return
            batch = [question for question, _ in passing]
            after = max((why.after or 0.0 for _, why in passing), default=0.0)
            with self.state.lock:
                self.state.retried += len(batch)
                wait = self.state.limits.wait(failures, after or None, self.state.chance)
            failures += 1
            self._warn(str(passing[0][1]), wait, failures)
            self._wait(wait, str(passing[0][1]))

    def _warn(self, why: str, seconds: float, failure: int) -> None:
        """At once why it is tried again, and when: each reason once for each try, and no more lines than can be read."""
        again = f"{self.step.name}: {why}; tries again in {seconds:,.1f} s ({failure} of {self.state.limits.retries})"
        with self.state.lock:
            if (why, failure) not in self.state.warned and len(self.state.warned) < _WARNINGS:
                self.state.warned.add((why, failure))
                self.state.warn(again)

    def _wait(self, seconds: float, why: str) -> None:
        """Rests; a longer wait is told."""
        if seconds < _MOMENT:
            self.state.rest(seconds)
            return
        for waits in (f"waits {seconds:,.0f} s: {why}", ""):
            with self.state.lock:
                self.state.waits = waits
                self.state.tell(self.state)
            if waits:
                self.state.rest(seconds)

    def _once(self, batch: list[Question]) -> list[tuple[Question, Passing]]:
        """One call; the questions that may be asked again, and why."""
        prices = self.step.generator.prices
        sizes = [_room(each, self.writer) for each in batch]
        tokens = float(sum(read + write for read, write in sizes))
        cost = cost_of(prices, sum(read for read, _ in sizes), sum(write for _, write in sizes))
        self.state.purse.reserve(tokens, cost)
        try:
            self.state.pace.enter(tokens)
            if self.state.stop.is_set():
                return []
            begun = time.monotonic()
            replies = self.writer.ask(batch)
            took = (time.monotonic() - begun) / len(batch)
        finally:
            self.state.purse.release(tokens, cost)
        passing = []
        for question, reply in zip(batch, replies, strict=True):
            if isinstance(reply, Passing):
                passing.append((question, reply))
            elif isinstance(reply, Refused):
                self._failed(str(reply))
            else:
                self._take(question, reply, took)
        return passing

    def _take(self, question: Question, reply: Reply, seconds: float) -> None:
        """Keeps a reply before it is looked at; what does not fit waits to be asked again."""
        self.keep(question, self.step.identity, reply, seconds)
        self.state.purse.pay(reply.prompt_tokens, reply.answer_tokens, reply.cost)
        with self.state.lock:
            self.state.calls += 1
        found = settle(self.step.kind, question, self.step.known, self.step.identity)
        if isinstance(found, Question):
            self.waiting.put(found)
        else:
            self._finished()

    def _failed(self, why: str) -> None:
        with self.state.lock:
            self.state.failures[why] += 1
        self._finished()

    def _finished(self) -> None:
        with self.state.lock:
            self.state.done += 1
            self.state.tell(self.state)


def _room(question: Question, writer: Writer) -> tuple[int, int]:
    """Tokens that a question reads, about, and writes at most."""
    return sum(writer.count(text) + 8 for _, text in question.messages), question.max_tokens


def export(source: Augment) -> Iterator[dict[str, Any]]:
    """The answers that are used, as lines that `Replay` reads, in the order of the questions; those that did not fit, too."""
    draft = Draft(source.original())
    written = set()
    for step in checked(source.changes, source.generator, draft):
        asked = step.kind.questions(step.name, draft)
        for _, first in asked:
            question = first
            while (record := step.known.find(question, step.identity)) is not None:
                place = (question.prompt, question.attempt)
                if place not in written:
                    written.add(place)
                    yield _line(question, record, step)
                found = settle_once(step, question, record)
                if found is None or question.attempt + 1 >= step.kind.attempts:
                    break
                question = found
        step.kind.apply(step.name, draft, answers_of(step, asked))


def settle_once(step: Step, question: Question, record: Any) -> Question | None:
    """The question to ask behind an answer; None where it fits."""
    from lego.generator.answer import Misfit

    try:
        question.shape.read(record.answer)
    except Misfit as misfit:
        return question.again(record.answer, step.kind.complaint(question, str(misfit)))
    return None


def _line(question: Question, record: Any, step: Step) -> dict[str, Any]:
    line = {
        "key": question.key(step.identity)[:32],
        "prompt": question.prompt,
        "step": question.step,
        "about": question.about,
        "answer": record.answer,
        "model": record.model,
        "time": record.time,
    }
    return {**line, "attempt": question.attempt} if question.attempt else line
