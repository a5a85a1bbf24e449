"""One text from several attributes: `News: {title} [{category}]`."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc


def fields_of(template: str) -> tuple[str, ...]:
    """The attributes that a template names, in order; ValueError with the reason where it is none."""
    names = []
    for _, name, form, conversion in Formatter().parse(template):
        if name is None:
            continue
        if not name or form or conversion or not name.replace("_", "a").isalnum():
            raise ValueError(
                f"{{{name}{'!' + conversion if conversion else ''}{':' + form if form else ''}}} is no plain name"
            )
        names.append(name)
    if not names:
        raise ValueError("it names no attribute")
    return tuple(dict.fromkeys(names))


def rendered(template: str, columns: Mapping[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    """The text of each item; null where none of the named attributes has a value, which elsewhere leaves its place empty."""
    pieces: list[pa.ChunkedArray | pa.Scalar] = []
    texts = {name: as_text(columns[name]) for name in fields_of(template)}
    for literal, name, _, _ in Formatter().parse(template):
        pieces.append(pa.scalar(literal, pa.string()))
        if name is not None:
            pieces.append(pc.fill_null(texts[name], ""))
    whole = pc.binary_join_element_wise(*pieces, "")
    present = None
    for text in texts.values():
        full = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(text), ""), False)
        present = full if present is None else pc.or_(present, full)
    return pc.if_else(present, whole, pa.scalar(None, pa.string()))


def as_text(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as text; several values of an item are joined by a comma."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # a column without a single chunk
        array = pa.array([], column.type)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return pc.binary_join(pc.cast(array, pa.list_(pa.string())), ", ")
    return pc.cast(array, pa.string())
