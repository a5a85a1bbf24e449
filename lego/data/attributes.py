"""Categorical attributes of items and users → codes: whole numbers from 1, 0 where there is no value or an unknown one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from lego.data.table import flat
from lego.errors import Problem, did_you_mean
from lego.ragged import Ragged

CATEGORICAL = ("category", "list")
"""The kinds of attributes whose values are counted; a text is read word by word instead."""


@attrs.frozen(eq=False)
class Codes:
    """The values of one attribute, row by row, as codes of its vocabulary."""

    vocabulary: pa.Array
    """Code c is the value at c - 1; distinct and sorted, so that no order of rows moves a code."""
    rows: Ragged
    """int64; row r is that of item or user row r. A missing value has none, an unknown one has 0."""

    @classmethod
    def of(cls, column: pa.ChunkedArray, first: int, among: NDArray[np.integer] | None = None) -> Codes:
        """The codes of a whole column, behind `first` rows without a value (items count from 1).

        With `among`, values that none of these lines of the column has are unknown.
        """
        values = _values(column if among is None else column.take(pa.array(among)))
        vocabulary = pc.drop_null(pc.unique(values))
        vocabulary = vocabulary.take(pc.sort_indices(vocabulary))
        made = cls(vocabulary, Ragged(np.empty(0, np.int64), np.zeros(first + 1, np.int64)))
        return made.extended(column)

    def extended(self, column: pa.ChunkedArray) -> Codes:
        """The same with more rows behind, read with the vocabulary that stands; values outside it are 0."""
        more = self.read(column)
        values = np.concatenate([self.rows.values, more.values])
        return Codes(
            self.vocabulary, Ragged.from_lengths(values, np.concatenate([self.rows.lengths, more.lengths]))
        )

    def __len__(self) -> int:
        """Values, 0 included."""
        return len(self.vocabulary) + 1

    def read(self, column: pa.ChunkedArray) -> Ragged:
        """The codes of other rows, by the vocabulary that stands."""
        values = _values(column)
        found = pc.fill_null(pc.add(pc.index_in(values, self.vocabulary), 1), 0)
        if pa.types.is_list(column.type):
            lengths = flat(pc.fill_null(pc.list_value_length(column), 0))
        else:
            lengths = flat(column.is_valid()).astype(np.int64)
            found = found.filter(values.is_valid())
        return Ragged.from_lengths(flat(found).astype(np.int64), lengths)


def _values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The single values of a column of categories, or of lists of them, as strings."""
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    return column.cast(pa.string())


def padded(rows: Ragged, wanted: NDArray[np.int64]) -> Tensor:
    """The rows at `wanted`, of any shape (…) -> (…, V), V as many as the longest has and 1 at least."""
    taken = rows.take(wanted.reshape(-1))
    table, _ = taken.padded(max(1, int(taken.lengths.max(initial=0))))
    return torch.from_numpy(table.reshape(*wanted.shape, -1))


def codes_of(
    table: pa.Table,
    kinds: Mapping[str, str],
    names: Iterable[str],
    first: int,
    among: NDArray[np.integer] | None = None,
) -> dict[str, Codes]:
    """Codes of the named attributes of a table; of all that are categorical where none is named."""
    chosen = list(names) or [name for name, kind in kinds.items() if kind in CATEGORICAL]
    return {name: Codes.of(table.column(name), first, among) for name in chosen}


def not_categorical(names: Iterable[str], kinds: Mapping[str, str], of: str) -> Iterator[Problem]:
    """Named attributes that are not there, or that have no values to count."""
    there = [name for name, kind in kinds.items() if kind in CATEGORICAL]
    listed = f"the categorical ones are {', '.join(there)}" if there else "none of them is categorical"
    for name in names:
        if name not in kinds:
            yield Problem(
                f"{name!r}",
                f"the {of} have no such attribute",
                f"{did_you_mean(name, kinds)}Of the {of}, {listed}",
            )
        elif name not in there:
            yield Problem(
                f"{name!r}",
                f"it is a {kinds[name]} attribute of the {of}, whose values are not counted",
                listed,
            )
