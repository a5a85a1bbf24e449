"""What keeps changes from being made or asked for, all of it at once, before anything is asked."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from lego.augment.ask import Step, steps_of
from lego.augment.draft import Draft
from lego.augment.kind.base import Kind
from lego.augment.limits import Limits
from lego.errors import DataError, Problem
from lego.spec import Generator


def checked(
    changes: Mapping[str, Kind], generator: Generator, draft: Draft, limits: Limits | None = None
) -> list[Step]:
    """The changes as steps; DataError where they do not fit the data, or prompts or answers cannot be read.

    With `limits` somebody is about to be asked, so what keeps the generators from that stands among the problems, too.
    """
    problems = list(_misfits(changes, draft))
    steps: list[Step] = []
    try:
        steps = steps_of(changes, generator)
    except DataError as fault:
        problems += fault.problems
    if problems and limits is not None:
        problems += obstacles([kind.generator or generator for kind in changes.values()], limits)
    if problems:
        raise DataError(problems, headline="cannot augment the data")
    return steps


def obstacles(generators: Sequence[Generator], limits: Limits) -> list[Problem]:
    """What keeps generators from being asked within the limits."""
    problems: list[Problem] = []
    for each in dict.fromkeys(generators):
        problems += each.lacks()
        if limits.max_cost is not None and each.prices is None:
            what = f"what {each!r} costs is not known"
            fix = (
                "give it prompt_price= and answer_price= (of a million tokens), or limit it with --max-tokens"
            )
            problems.append(Problem(f"--max-cost {limits.max_cost:g}", what, fix))
    return list(dict.fromkeys(problems))


def _misfits(changes: Mapping[str, Kind], draft: Draft) -> Iterator[Problem]:
    """Of each change, as if those before it had been made."""
    draft = copy.copy(draft)  # its tables are replaced, not changed
    for name, kind in changes.items():
        yield from kind.check(name, draft)
        for made in kind.makes(name):
            if kind.subject == "item" and made not in draft.item_attributes:
                draft.add_item_attribute(made, pa.nulls(draft.items.num_rows, pa.string()))
            elif kind.subject == "user" and made not in draft.user_attributes:
                draft.add_user_attribute(made, pa.nulls(draft.users.num_rows, pa.list_(pa.string())))
