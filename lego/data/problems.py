"""Problems gathered while data is looked at: one cause in thousands of lines is told once, and what is left line by line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import attrs

from lego.errors import DataError, Problem

LIMIT = 20
"""Problems that an error tells."""

_PLACE = re.compile(r"(?P<file>.+?) (?P<unit>line|row) (?P<line>\d+)(?P<column>, column .*)?", re.DOTALL)
_ALIKE = 3
"""Problems with one way out that are told one by one; of more, the first stands for all."""
_LINES = 5
"""Further places that are named."""
_GROUPS = 1000
"""Causes that are kept apart; what comes behind so many is counted."""


@attrs.define(eq=False)
class _Group:
    """Problems of one file and column with one way out."""

    first: list[Problem]
    count: int
    file: int
    """Which file it is, in the order they were met."""


@attrs.define(eq=False)
class Problems:
    """What is wrong so far."""

    shown: list[Problem] = attrs.field(factory=list)
    more: int = 0
    groups: dict[tuple[str, ...], _Group] = attrs.field(factory=dict)
    files: dict[str, int] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self.shown) + self.more

    def add(self, where: str, what: str, fix: str) -> None:
        """One problem."""
        problem = Problem(where, what, fix)
        group = self._group_of(problem)
        if group is not None:
            group.count += 1
        if group is not None and len(group.first) < LIMIT:
            group.first.append(problem)
            self.shown.append(problem)
        else:
            self.more += 1

    def add_each(self, count: int, worded: Callable[[int], Problem]) -> None:
        """`count` problems of one cause, of which `worded` words any by its place; those behind the limit are only counted."""
        told = [worded(place) for place in range(min(count, LIMIT))]
        self.extend(told)
        if count > LIMIT:
            self.count_alike(told[0], count - LIMIT)

    def count_alike(self, like: Problem, count: int) -> None:
        """More problems like one that was added, which nobody has worded."""
        group = self._group_of(like)
        if group is not None:
            group.count += count
        self.more += count

    def extend(self, found: Iterable[Problem]) -> None:
        """Several."""
        for problem in found:
            self.add(problem.where, problem.what, problem.fix)

    def reworded(self, fix: Callable[[str], str]) -> Problems:
        """All of them, each with the way out that `fix` makes of its own; those that nobody has worded are counted here, too."""
        made, told = Problems(), 0
        for group in self.groups.values():
            for each in group.first:
                made.add(each.where, each.what, fix(each.fix))
            last = group.first[-1]
            made.count_alike(Problem(last.where, last.what, fix(last.fix)), group.count - len(group.first))
            told += group.count
        made.more += len(self) - told
        return made

    def raise_any(self) -> None:
        """DataError with all of them by file and line, where there are any."""
        if not self.shown:
            return
        told = sorted(
            (each for group in self.groups.values() for each in _told(group)), key=lambda each: each[:2]
        )
        problems = [problem for *_, problem, _ in told]
        stand_for = sum(count - 1 for *_, count in told[:LIMIT])
        more = len(self) - len(problems[:LIMIT]) - stand_for
        raise DataError(problems[:LIMIT], more=more, alike=stand_for)

    def _group_of(self, problem: Problem) -> _Group | None:
        place = _PLACE.fullmatch(problem.where)
        file = place["file"] if place else problem.where.partition(", column ")[0]
        key: tuple[str, ...] = (problem.where, problem.what, problem.fix)
        if place:
            expected, said, _ = problem.what.partition(" expected")
            key = (file, place["column"] or "", problem.fix, expected if said else "")
        group = self.groups.get(key)
        if group is None and len(self.groups) < _GROUPS:
            number = self.files.setdefault(file, len(self.files))
            group = self.groups[key] = _Group([], 0, number)
        return group


def _told(group: _Group) -> list[tuple[int, int, Problem, int]]:
    """File, line, what is told, and how many problems that is."""
    places = [_PLACE.fullmatch(each.where) for each in group.first]
    lines = [0 if place is None else int(place["line"]) for place in places]
    ordered = sorted(zip(lines, range(len(lines)), strict=True))
    first = [group.first[place] for _, place in ordered]
    if group.count <= _ALIKE:
        return [(group.file, line, each, 1) for (line, _), each in zip(ordered, first, strict=True)]
    others = list(dict.fromkeys(line for line, _ in ordered[1:]))[:_LINES]
    unit = "" if places[0] is None else f", {places[0]['unit']}s {', '.join(map(str, others))}"
    dots = "" if group.count <= len(others) + 1 else " …"
    what = f"{first[0].what}; {group.count - 1:,} more like it{unit}{dots}"
    return [(group.file, ordered[0][0], Problem(first[0].where, what, first[0].fix), group.count)]
