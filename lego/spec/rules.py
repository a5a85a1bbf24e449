"""What a field of a spec may say of itself: the values it takes, and whether it holds a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from lego.errors import SpecError

PATH: Mapping[str, str] = {"lego.path": "always"}
"""Metadata of a field that holds a path: in a script it is relative to the script, elsewhere to the working directory."""

PATH_IF_THERE: Mapping[str, str] = {"lego.path": "if there"}
"""Metadata of a field that may hold a path or a name: it is a path where a file of that name is there."""


@attrs.frozen
class _Rule:
    """A validator that can say what it expects."""

    holds: Callable[[Any], bool]
    expected: str

    def __call__(self, instance: object, attribute: Any, value: object) -> None:
        if not self.holds(value):
            raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, self.expected)


def ge(bound: float) -> Any:
    """At least `bound`."""
    return _Rule(lambda value: value is None or value >= bound, f"at least {bound}")


def gt(bound: float) -> Any:
    """More than `bound`."""
    return _Rule(lambda value: value is None or value > bound, f"more than {bound}")


def between(low: float, high: float) -> Any:
    """From `low` up to, not including, `high`: what a dropout rate is."""
    return _Rule(
        lambda value: value is None or low <= value < high, f"from {low} up to, not including, {high}"
    )


def within(low: float, high: float) -> Any:
    """From `low` to `high`, both included."""
    return _Rule(lambda value: value is None or low <= value <= high, f"from {low} to {high}")


def one_of(*values: object) -> Any:
    """One of the listed values."""
    return _Rule(lambda value: value in values, "one of " + ", ".join(map(repr, values)))
