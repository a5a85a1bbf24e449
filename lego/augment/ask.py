"""Questions and what is known of their answers: which fit, which have to be asked, asked again, or given up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from lego.augment.cache import Cache, file_of
from lego.augment.draft import Answer, Draft
from lego.augment.kind.base import Kind
from lego.errors import DataError, Problem
from lego.generator.answer import Misfit
from lego.generator.base import Known, Question, Record
from lego.spec import Generator


@attrs.frozen(kw_only=True)
class Settled:
    """A question that needs no asking: it has an answer that fits, or was asked as often as it may be."""

    values: Mapping[str, Any] | None
    record: Record | None
    problem: str = ""


def settle(kind: Kind, question: Question, known: Known, identity: Mapping[str, Any]) -> Settled | Question:
    """What became of a question; or what has to be asked next: itself, or itself behind an answer that did not fit."""
    while True:
        record = known.find(question, identity)
        if record is None:
            return question
        try:
            return Settled(values=question.shape.read(record.answer), record=record)
        except Misfit as misfit:
            problem = str(misfit)
        if question.attempt + 1 >= kind.attempts:
            return Settled(values=None, record=record, problem=problem)
        question = question.again(record.answer, kind.complaint(question, problem))


@attrs.frozen(eq=False, kw_only=True)
class Step:
    """One change, with who answers it and the answers there are."""

    name: str
    kind: Kind
    generator: Generator
    known: Known

    @property
    def identity(self) -> Mapping[str, Any]:
        """Of the generator."""
        return self.generator.identity

    @property
    def asks(self) -> bool:
        """Whether somebody can be asked."""
        return isinstance(self.known, Cache)


def steps_of(changes: Mapping[str, Kind], generator: Generator) -> list[Step]:
    """The changes in order; those of one generator share its answers. DataError with every file that cannot be read."""
    known: dict[Generator, Known] = {}
    caches: dict[Path, Cache] = {}
    problems: dict[Problem, None] = {}
    made = []
    for name, kind in changes.items():
        asked = kind.generator or generator
        try:
            if asked not in known:
                known[asked] = _cache(asked, caches) if (found := asked.known()) is None else found
        except DataError as fault:
            problems |= dict.fromkeys(fault.problems)
        else:
            made.append(Step(name=name, kind=kind, generator=asked, known=known[asked]))
    if problems:
        raise DataError(list(problems))
    return made


def _cache(generator: Generator, caches: dict[Path, Cache]) -> Cache:
    """Generators whose answers are the same have one."""
    path = file_of(generator)
    if path not in caches:
        caches[path] = Cache(path)
    return caches[path]


def answers_of(step: Step, asked: list[tuple[int, Question]]) -> list[Answer]:
    """What is known now of each question."""
    made = []
    for row, question in asked:
        found = settle(step.kind, question, step.known, step.identity)
        if isinstance(found, Question):
            problem = "" if not found.attempt else "an answer did not fit, and it was not asked again"
            made.append(Answer(question=question, row=row, problem=problem))
        else:
            made.append(
                Answer(
                    question=question,
                    row=row,
                    values=found.values,
                    record=found.record,
                    problem=found.problem,
                )
            )
    return made


def unanswered(step: Step, asked: list[tuple[int, Question]]) -> Iterator[Question]:
    """The first thing to ask of each question that is open, each prompt once."""
    seen = set()
    for _, question in asked:
        key = question.key(step.identity)
        if key in seen:
            continue
        seen.add(key)
        found = settle(step.kind, question, step.known, step.identity)
        if isinstance(found, Question):
            yield found


def applied(draft: Draft, steps: list[Step]) -> Iterator[tuple[Step, list[Answer]]]:
    """Each step with its answers, put into the draft before the next one is looked at."""
    for step in steps:
        answers = answers_of(step, step.kind.questions(step.name, draft))
        step.kind.apply(step.name, draft, answers)
        yield step, answers
