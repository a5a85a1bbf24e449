"""The columns of items and users without a role, as attributes."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.guess import Roles, kind_by_values, roles
from lego.data.raw.values import attribute_of

BESIDE = ("candidates", "history")
"""What numbers of a log may stand beside: kinds of its columns, with those of attributes."""


def item_roles(frame: Frame, columns: Mapping[str, str], problems: Problems) -> Roles:
    """What the columns of the items are."""
    return roles(frame, "items", ("item",), (), columns, problems, own_id="item")


def attributes_in(
    frame: Frame, found: Roles, option: str, kinds: Mapping[str, str], problems: Problems
) -> dict[str, pa.Array]:
    """The columns without a role as attributes."""
    made = {}
    taken = ("item_id",) if option == "items" else ("user_id", "history", "times")
    for column in found.rest:
        kind = kinds.get(f"{option}.{column}", kinds.get(column)) or kind_by_values(frame.table[column])
        if kind in BESIDE:  # of a column of the log that has the same name
            kind = kind_by_values(frame.table[column])
        if kind == "none":
            continue
        if column in taken:
            what = f"an attribute cannot be called {column}"
            problems.add(
                f"{frame.name}, column {column}",
                what,
                f"rename it, or leave it out with kinds={{{column!r}: 'none'}}",
            )
            continue
        values = attribute_of(frame, column, kind, problems)
        if values is not None:
            made[column] = values
    return made
