"""Cleaning of text by named steps, in the order in which they are named.

A source that has the field `clean` says which steps its text goes through by default, and its manifest names them.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.table import CATEGORY, flat
from lego.errors import SpecError, did_you_mean
from lego.ragged import offsets_of

_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
"""Characters of no width: blanks, joiners, marks of the byte order, hyphens that show only at the end of a line."""


def _entities(texts: pa.Array) -> pa.Array:
    """`&amp;` → `&`, `&#39;` → `'`; twice, since crawled pages are often escaped twice."""
    marked = pc.fill_null(pc.match_substring(texts, "&"), fill_value=False)
    return _replaced(texts, marked, lambda text: html.unescape(html.unescape(text)))


def _tags(texts: pa.Array) -> pa.Array:
    """Scripts, styles and comments go with what they hold, tags without it."""
    for pattern in (
        r"(?is)<script\b[^>]*>.*?(</script\s*>|$)",
        r"(?is)<style\b[^>]*>.*?(</style\s*>|$)",
        r"(?s)<!--.*?(-->|$)",
        r"(?s)</?[A-Za-z!][^<>]*>",
    ):
        texts = pc.replace_substring_regex(texts, pattern, " ")
    return texts


def _links(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, r"(?i)\b(https?://|www\.)[^\s<>\"]+", " ")


def _latin1(texts: pa.Array) -> pa.Array:
    return _replaced(texts, pc.fill_null(pc.invert(pc.string_is_ascii(texts)), fill_value=False), _decoded)


def _decoded(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _unicode(texts: pa.Array) -> pa.Array:
    return pc.utf8_normalize(texts, form="NFKC")


def _punctuation(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, r"[\p{P}\p{S}]+", " ")


def _whitespace(texts: pa.Array) -> pa.Array:
    bare = pc.replace_substring_regex(texts, f"[{_INVISIBLE}]+", "")
    return pc.utf8_trim(pc.replace_substring_regex(bare, r"[\s\p{Z}\p{Cc}]+", " "), characters=" ")


_STEPS: Mapping[str, tuple[Callable[[pa.Array], pa.Array], str]] = {
    "latin1": (_latin1, "UTF-8 that was read as Latin-1 is read anew, where that is possible"),
    "entities": (_entities, "entities of HTML become their characters"),
    "tags": (_tags, "tags of HTML become blanks; scripts, styles and comments go with what they hold"),
    "links": (_links, "web addresses become blanks"),
    "unicode": (_unicode, "characters of one meaning become one (NFKC)"),
    "punctuation": (_punctuation, "marks and symbols become blanks"),
    "lower": (pc.utf8_lower, "capital letters become small"),
    "whitespace": (
        _whitespace,
        "runs of blanks, line breaks and control characters become one blank, none at the ends",
    ),
}
STEPS: Mapping[str, str] = {name: words for name, (_, words) in _STEPS.items()}
"""The steps there are, in words."""


def clean(column: pa.ChunkedArray | pa.Array, steps: Sequence[str]) -> pa.Array:
    """The column of text, of lists of text or of categories after the steps; a value of which no text is left is missing.

    In a list such a value is left out. Without steps the column is as it was.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if not steps:
        return column
    if pa.types.is_dictionary(column.type):
        values = _cleaned(pc.cast(column.dictionary, pa.string()), steps)
        return pc.cast(values.take(column.indices).dictionary_encode(), CATEGORY)
    if pa.types.is_list(column.type):
        return _of_lists(column, steps)
    return _cleaned(column, steps)


def joined(column: pa.ChunkedArray | pa.Array, steps: Sequence[str]) -> pa.Array:
    """The texts of each list as one, with blanks between, each after the steps; missing where nothing is left."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    texts = pc.binary_join(_of_lists(column, steps), " ")
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _cleaned(texts: pa.Array, steps: Sequence[str]) -> pa.Array:
    for step in steps:
        texts = _STEPS[step][0](texts)
    blank = pc.fill_null(pc.match_substring_regex(texts, r"^\s*$"), fill_value=False)
    return pc.if_else(blank, pa.scalar(None, pa.string()), texts)


def _of_lists(column: pa.Array, steps: Sequence[str]) -> pa.Array:
    values, owner = _cleaned(column.flatten(), steps), flat(pc.list_parent_indices(column))
    kept = values.is_valid()
    lengths = np.bincount(owner[flat(kept)], minlength=len(column))
    offsets = pa.array(offsets_of(lengths), pa.int32())
    absent = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, values.filter(kept), mask=absent)


def _replaced(texts: pa.Array, marked: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """The texts, of which those that are marked are changed one by one: few need it."""
    changed = pa.array([change(text) for text in texts.filter(marked).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, marked, changed)


def in_words(steps: Sequence[str]) -> str:
    """The steps, for the manifest."""
    return "; then ".join(STEPS[step] for step in steps) or "none"


def are_steps(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    """Validator of the field `clean`: SpecError where a step is not known, or named twice."""
    for step in value:
        if step not in STEPS:
            expected = f"steps among {', '.join(STEPS)}. {did_you_mean(str(step), STEPS)}".strip().rstrip(".")
            raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, expected)
        if value.count(step) > 1:
            raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, "each step once")
