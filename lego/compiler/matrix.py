"""How many models there are: every content operator with every behavior operator and every predictor, by name.

An operator is tried in each of its examples, and a triple of names is valid where some of these make a model: `Attention`
gives DIN a sequence as `Attention(pool=None)`. Presets and checkpoints of one operator count once, and so do its options.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from lego import catalog
from lego.compiler.rules import broken
from lego.spec import Behavior, Content, Predictor

Variants = Mapping[str, Sequence[Any]]
"""Operators of a slot by name, each in one or several instances."""


@attrs.frozen(kw_only=True)
class Triple:
    """A content operator, a behavior operator and a predictor that make a model."""

    names: tuple[str, str, str]
    content: Content
    behavior: Behavior
    predictor: Predictor


@attrs.frozen(kw_only=True)
class Matrix:
    """All triples of names."""

    operators: Mapping[str, int]
    """How many operators each slot has."""
    valid: tuple[Triple, ...]
    reasons: Mapping[str, int]
    """How many of the others break which rule."""
    tasks: tuple[str, ...]
    """A task sees scores and labels alone, so every model fits every one of them, but for those that read scores as cosines."""
    of_cosines: frozenset[str]
    """Tasks that do."""
    giving_cosines: frozenset[str]
    """Predictors that can give them."""
    unmade: tuple[str, ...]
    """Operators that are not counted, since they cannot be made without a file."""

    def count(self, task: str) -> int:
        """How many models a task can train."""
        if task not in self.of_cosines:
            return len(self.valid)
        return sum(triple.names[2] in self.giving_cosines for triple in self.valid)

    def record(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "valid": {task: self.count(task) for task in self.tasks},
            "reasons": dict(self.reasons),
            "operators": dict(self.operators),
            "not_counted": list(self.unmade),
        }


def variants(slot: str, extra: Variants | None = None) -> tuple[dict[str, list[Any]], list[str]]:
    """The operators of a slot in examples of every declaration that they have, and those that have no example.

    `extra` adds instances of operators that need more than defaults, such as the path of a file.
    """
    found: dict[str, list[Any]] = {}
    unmade = []
    for entry in catalog.entries(slot):
        operator: Any = catalog.load_entry(entry)
        is_preset = not isinstance(operator, type)
        if is_preset:  # the operator that it makes is listed itself
            continue
        made = [*(extra or {}).get(entry.name, ()), *operator.examples()]
        if made:
            found[entry.name] = list({_declared(each): each for each in reversed(made)}.values())[::-1]
        else:
            unmade.append(entry.name)
    return found, unmade


def _declared(spec: Any) -> tuple[Any, ...]:
    """What rules read of an operator."""
    return tuple(
        getattr(spec, name, None)
        for name in (
            "gives",
            "takes",
            "needs",
            "reads",
            "item_form",
            "item_needs",
            "item_attributes",
            "inner",
            "cosines",
        )
    )


def matrix(extra: Mapping[str, Variants] | None = None) -> Matrix:
    """Every triple of the catalog, by the rules."""
    slots = {slot: variants(slot, (extra or {}).get(slot)) for slot in ("content", "behavior", "predictor")}
    named = {slot: found for slot, (found, _) in slots.items()}
    valid, reasons = [], Counter[str]()
    for names in _triples(named):
        made, why = _model(*(named[slot][name] for slot, name in zip(named, names, strict=True)))
        if made is None:
            reasons[why] += 1
        else:
            content, behavior, predictor = made
            valid.append(Triple(names=names, content=content, behavior=behavior, predictor=predictor))
    tasks = {entry.name.lower(): catalog.load_entry(entry) for entry in catalog.entries("task")}
    return Matrix(
        operators={slot: len(found) for slot, found in named.items()},
        valid=tuple(valid),
        reasons=dict(reasons.most_common()),
        tasks=tuple(sorted(tasks)),
        of_cosines=frozenset(name for name, task in tasks.items() if getattr(task, "cosines", False)),
        giving_cosines=frozenset(
            name for name in named["predictor"] if _gives_cosines(catalog.load("predictor", name))
        ),
        unmade=tuple(sorted({name for _, unmade in slots.values() for name in unmade})),
    )


def _gives_cosines(predictor: Any) -> bool:
    return any(each.cosines for each in predictor.examples())


def _triples(named: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for content in named["content"]:
        for behavior in named["behavior"]:
            for predictor in named["predictor"]:
                yield content, behavior, predictor


def _model(
    contents: Sequence[Content], behaviors: Sequence[Behavior], predictors: Sequence[Predictor]
) -> tuple[tuple[Content, Behavior, Predictor] | None, str]:
    """The first of their variants that make a model; else the rule that the first of all breaks."""
    first = ""
    for content in contents:
        for behavior in behaviors:
            for predictor in predictors:
                why = broken(content, behavior, predictor)
                if why is None:
                    return (content, behavior, predictor), ""
                first = first or why
    return None, first
