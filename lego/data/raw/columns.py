"""Columns of text as raw files have them → attributes, in which a missing value is a null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.raw.values import as_numbers
from lego.data.table import CATEGORY, LIST, TEXT, flat
from lego.ragged import offsets_of

Values: TypeAlias = pa.ChunkedArray | pa.Array


def one(column: Values) -> pa.Array:
    """The column as one array."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def as_text(column: Values, missing: Sequence[str] = ()) -> pa.Array:
    """The texts without blanks around them; nothing, and what stands for it in `missing`, is a null."""
    texts = pc.utf8_trim_whitespace(pc.cast(one(column), TEXT))
    nothing = pc.fill_null(pc.is_in(texts, value_set=pa.array(["", *missing], TEXT)), fill_value=True)
    return pc.if_else(nothing, pa.scalar(None, TEXT), texts)


def as_category(column: Values, missing: Sequence[str] = ()) -> pa.Array:
    """The same as categories."""
    return pc.cast(as_text(column, missing).dictionary_encode(), CATEGORY)


def as_number(column: Values) -> pa.Array:
    """Finite numbers; what is none is a null."""
    numbers = as_numbers(one(column))
    assert numbers is not None  # texts and numbers can be numbers
    finite = pc.fill_null(pc.is_finite(numbers), fill_value=False)
    return pc.if_else(finite, numbers, pa.scalar(None, pa.float64()))


def as_list(column: Values, mark: str, missing: Sequence[str] = ()) -> pa.Array:
    """The values between the marks, without blanks around them; a text without any is a null."""
    texts = as_text(column, missing)
    split = pc.split_pattern(texts, mark)
    values = pc.utf8_trim_whitespace(split.flatten())
    owner = flat(pc.list_parent_indices(split)).astype(np.int64)
    real = flat(pc.not_equal(values, ""))
    offsets = offsets_of(np.bincount(owner[real], minlength=len(texts)))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), values.filter(pa.array(real)), type=LIST, mask=texts.is_null()
    )


def seconds(days: Values) -> Values:
    """Unix seconds of a column of days or times."""
    return pc.cast(pc.cast(days, pa.timestamp("s", getattr(days.type, "tz", None))), pa.int64())
