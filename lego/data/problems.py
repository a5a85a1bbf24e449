"""Problems gathered while data is looked at: the first twenty in full, the rest counted."""

from __future__ import annotations

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

    def extend(self, found: Iterable[Problem]) -> None:
        """Several."""
        for problem in found:
            self.add(problem.where, problem.what, problem.fix)

    def raise_any(self) -> None:
        """DataError with all of them, where there are any."""
        if self.shown:
            raise DataError(self.shown, more=self.more)
