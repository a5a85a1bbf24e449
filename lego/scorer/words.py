"""The words of items: runs of letters and digits, in lower case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

    from lego.data.store import Store

_WORD: Final = re.compile(r"\w+")


def words_of(data: Store, names: Sequence[str]) -> tuple[list[list[int]], dict[str, int]]:
    """The numbers of each item's words in the attributes, one after the other, and the number of each word, counted from 0."""
    vocabulary: dict[str, int] = {}
    texts = [_texts(data.items[name]) for name in names]
    every = [
        [vocabulary.setdefault(word, len(vocabulary)) for text in of for word in _WORD.findall(text.lower())]
        for of in zip(*texts, strict=True)
    ]
    return every or [[] for _ in range(data.items.num_rows)], vocabulary


def _texts(column: pa.ChunkedArray) -> Iterable[str]:
    """The text of each item; of a list its values, one after the other."""
    for value in column.to_pylist():
        if isinstance(value, list):
            yield " ".join(map(str, value))
        else:
            yield "" if value is None else str(value)
