"""Problems gathered while data is looked at: the first twenty in full, the rest counted."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from lego.errors import DataError, Problem

LIMIT = 20


@attrs.define(eq=False)
class Problems:
    """What is wrong so far."""

    shown: list[Problem] = attrs.field(factory=list)
    more: int = 0

    def __len__(self) -> int:
        return len(self.shown) + self.more

    def add(self, where: str, what: str, fix: str) -> None:
        """One problem."""
        if len(self.shown) < LIMIT:
            self.shown.append(Problem(where, what, fix))
        else:
            self.more += 1

    def count_alike(self, like: Problem, count: int) -> None:
        """More problems like one that was added, which nobody has worded."""
        self.more += count

    def extend(self, found: Iterable[Problem]) -> None:
        """Several."""
        for problem in found:
            self.add(problem.where, problem.what, problem.fix)

    def raise_any(self) -> None:
        """DataError with all of them, where there are any."""
        if self.shown:
            raise DataError(self.shown, more=self.more)


_PLACE = re.compile(r"(?P<file>.+?) (?P<unit>line|row) (?P<line>\d+)(?P<column>, column .*)?", re.DOTALL)
_ALIKE = 3
"""Problems with one way out that are told one by one; of more, the first stands for all."""
_LINES = 5
"""Further places that are named."""


@attrs.define(eq=False)
class _Group:
    """Problems of one file and column with one way out."""

    first: list[Problem]
    count: int
    file: int
    """Which file it is, in the order they were met."""


@attrs.define(eq=False)
class GroupedProblems(Problems):
    """What is wrong in files that anybody wrote: one cause in thousands of lines is told once, and what is left line by line."""

    groups: dict[tuple[str, ...], _Group] = attrs.field(factory=dict)
    files: dict[str, int] = attrs.field(factory=dict)

    def add(self, where: str, what: str, fix: str) -> None:
        """One problem."""
        problem = Problem(where, what, fix)
        group = self._group_of(problem)
        group.count += 1
        if len(group.first) < LIMIT:
            group.first.append(problem)
            self.shown.append(problem)
        else:
            self.more += 1

    def count_alike(self, like: Problem, count: int) -> None:
        """More problems like one that was added, which nobody has worded."""
        self._group_of(like).count += count
        self.more += count

    def raise_any(self) -> None:
        """DataError with all of them by file and line, where there are any."""
        if not self.shown:
            return
        told = sorted(
            (each for group in self.groups.values() for each in _told(group)), key=lambda each: each[:2]
        )
        problems = [problem for *_, problem, _ in told]
        more = sum(count for *_, count in told[LIMIT:])
        stand_for = sum(count - 1 for *_, count in told[:LIMIT])
        raise DataError(problems[:LIMIT], more=more, alike=stand_for)

    def _group_of(self, problem: Problem) -> _Group:
        place = _PLACE.fullmatch(problem.where)
        file = place["file"] if place else problem.where.partition(", column ")[0]
        number = self.files.setdefault(file, len(self.files))
        key = (
            (file, place["column"] or "", problem.fix)
            if place
            else (problem.where, problem.what, problem.fix, "")
        )
        return self.groups.setdefault(key, _Group([], 0, number))


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
