"""What is to ask, change by change, as far as that shows before anything is asked; estimate and job both begin with it."""

from __future__ import annotations

import attrs

from lego.augment.ask import Step, answers_of, unanswered
from lego.augment.check import checked, obstacles
from lego.augment.draft import Draft
from lego.augment.limits import Limits
from lego.augment.source import Augment
from lego.data.store import Store
from lego.errors import Problem
from lego.generator.base import Question


@attrs.frozen(eq=False, kw_only=True)
class Plan:
    """The changes of a source, looked through once."""

    store: Store
    """The data as it was."""
    steps: tuple[Step, ...]
    questions: int
    """All there are, answered or not."""
    open: tuple[tuple[Step, list[Question]], ...]
    """Changes with questions that somebody has to be asked, and these."""
    problems: tuple[Problem, ...]
    """What keeps them from being asked."""


def planned(source: Augment, limits: Limits) -> Plan:
    """What is to ask; DataError with all that keeps it from being begun, where that concerns the data.

    What depends on answers that are not there yet is counted as if they left their places.
    """
    store = source.original()
    draft = Draft(store)
    steps = checked(source.changes, source.generator, draft, limits)
    questions = 0
    open_: list[tuple[Step, list[Question]]] = []
    for step in steps:
        asked = step.kind.questions(step.name, draft)
        questions += len(asked)
        step.kind.apply(step.name, draft, answers_of(step, asked))
        if step.asks and (left := list(unanswered(step, asked))):
            open_.append((step, left))
    problems = obstacles([step.generator for step, _ in open_], limits)
    return Plan(
        store=store, steps=tuple(steps), questions=questions, open=tuple(open_), problems=tuple(problems)
    )
