"""Operators made of operators: what they ask for, and how a part is handed what it takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from lego.contract import Need, Out
from lego.spec import Behavior, Content, Sequence


class Composite(Sequence):
    """It asks for whatever one of its parts asks for."""

    @property
    def inner(self) -> tuple[Any, ...]:
        """Its parts; choices among them are not asked."""
        raise NotImplementedError

    @property
    def needs(self) -> frozenset[Need]:
        """What any of its parts asks for."""
        return frozenset[Need]().union(*(part.needs for part in self.inner if isinstance(part, Behavior)))

    @property
    def item_needs(self) -> frozenset[Need]:
        """What any of its parts asks for as a content operator."""
        return frozenset[Need]().union(*(part.item_needs for part in self.inner if isinstance(part, Content)))

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """Those that any of its parts reads; all there are where one of them reads all."""
        return _together(part.item_attributes for part in self.inner if Need.ATTRIBUTES in _asked(part))

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """Those that any of its parts reads; all there are where one of them reads all."""
        return _together(part.user_attributes for part in self.inner if Need.PROFILE in _asked(part))

    @property
    def signals(self) -> tuple[str, ...]:
        """Those that any of its parts reads; all there are where one of them reads all."""
        return _together(part.signals for part in self.inner if Need.SIGNALS in _asked(part))

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """Those that any of its parts reads; all there are where one of them reads all."""
        return _together(
            part.candidate_signals
            for part in self.inner
            if isinstance(part, Behavior) and Need.CANDIDATE_SIGNALS in part.needs
        )


def _asked(part: Any) -> frozenset[Need]:
    """In either slot."""
    as_behavior = part.needs if isinstance(part, Behavior) else frozenset[Need]()
    return as_behavior | (part.item_needs if isinstance(part, Content) else frozenset[Need]())


def _together(named: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The union, in the order they are named; no name means all there are, so it wins."""
    lists = list(named)
    if not all(lists):
        return ()
    return tuple(dict.fromkeys(name for names in lists for name in names))


def is_aware(part: Any) -> bool:
    """Whether its module is handed the candidates."""
    return isinstance(part, Behavior) and Need.CANDIDATES in part.needs


def run(module: nn.Module, sequence: Tensor, mask: Tensor, rest: tuple[Any, ...], *, aware: bool) -> Out:
    """What a part gives; `rest` is (needs,), or (candidates, candidate_mask, needs), of which it gets what it takes."""
    *candidates, needs = rest
    return module(sequence, mask, *(candidates if aware else ()), needs)
