"""The rule for hidden widths, as `hidden=(256, 128)` has them."""

from __future__ import annotations

from typing import Any

from lego.errors import SpecError


def widths(instance: object, attribute: Any, value: tuple[int, ...]) -> None:
    """A validator: every width is at least 1; an empty tuple means no hidden layer."""
    if any(isinstance(each, int) and each < 1 for each in value):
        raise SpecError.wrong_value(
            type(instance).__name__, attribute.name, value, "widths of at least 1 each"
        )
