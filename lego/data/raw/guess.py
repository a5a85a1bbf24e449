"""Which column of a user's table is what: known names for roles, values for kinds of attributes, lengths for token budgets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.growing import blocks
from lego.data.raw.read_frame import read_frame
from lego.data.raw.table_files import table_files
from lego.data.table import CATEGORY, flat
from lego.errors import did_you_mean

_ITEM = (
    ("itemid", "item"),
    (
        *(
            "newsid",
            "news",
            "articleid",
            "article",
            "movieid",
            "movie",
            "productid",
            "product",
            "bookid",
            "videoid",
        ),
        *("songid", "trackid", "asin", "sku", "docid", "nid", "iid"),
    ),
    ("artistid",),  # beside the id of a track it is an attribute of the track
)
_USER = (
    ("userid", "user"),
    ("uid", "customerid", "customer", "reviewerid", "visitorid", "memberid", "accountid", "profileid"),
)
NAMES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "item": _ITEM,
    "user": _USER,
    "time": (("timestamp", "time", "datetime"), ("date", "ts", "unixtime", "unixreviewtime", "impressiontime")),
    "label": (("label", "click", "clicked"), ("rating", "score", "stars", "overall", "target", "isclick", "isclicked")),
    "impression": (("impressionid", "impression"), ("impid", "requestid")),
    "history": (("history",), ("clickhistory", "userhistory", "hist", "articleidfixed")),
    "candidates": (("candidates",), ("impressions", "inview", "articleidsinview", "shown")),
    "labels": (("labels",), ("label", "clicks")),
    "clicked": (("clickeditems",), ("clicked", "articleidsclicked")),
    "items": (("items", "history", "sequence"), ("itemids", "itemlist", "itemidlist", "itemsequence")),
    "part": (("part",), ("split", "subset")),
}  # fmt: skip
"""Names of columns of each role, best first; only letters and digits count, in lower case. Names side by side are ambiguous."""

_NUMBER = r"^\s*[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
"""No zero in front: 01234 is a code."""
_ADDRESS = r"^\s*https?://"
_SHARE = 0.5
"""A column of text with at most this share of different values is one of categories."""
_LONGEST = 64
"""Characters of the longest category."""
_MARKS = "|;"
"""What stands between the values of a list, where it is not said."""


def plain(name: str) -> str:
    """A name as it is compared: `Item_ID` is `itemid`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@attrs.frozen
class Roles:
    """What the columns of one table are."""

    columns: Mapping[str, str]
    """Role → column."""
    guessed: frozenset[str]
    """Roles whose column nobody named."""
    rest: tuple[str, ...]
    """Columns without a role."""

    def told(self) -> str:
        """For the manifest: `item = sku, user = uid (guessed); not read: note`."""
        parts = [
            f"{role} = {column}" + (" (guessed)" if role in self.guessed else "")
            for role, column in self.columns.items()
        ]
        return ", ".join(parts)


def roles(
    frame: Frame,
    option: str,
    needed: Iterable[str],
    optional: Iterable[str],
    named: Mapping[str, str],
    problems: Problems,
    *,
    own_id: str | None = None,
) -> Roles:
    """The columns of the roles; what is missing or ambiguous is among the problems, with the columns there are.

    `named` holds what `columns=` says, with `rows.item` before `item`; a name without the table counts only where the table has
    the column. `own_id` is the role that a column `id` can be.
    """
    needed, found, guessed = tuple(needed), {}, set()
    there = ", ".join(frame.columns)
    for role in (*needed, *optional):
        exact, loose = named.get(f"{option}.{role}"), named.get(role)
        if exact is not None and exact not in frame.columns:
            what = f"there is no column {exact!r} for the {role}; there are {there}"
            problems.add(
                frame.name,
                what,
                f"{did_you_mean(exact, frame.columns)}name one in columns={{'{option}.{role}': …}}",
            )
            continue
        column = exact or (loose if loose in frame.columns else None)
        if column is not None:
            found[role] = column
            continue
        taken = set(found.values())
        tiers = [*NAMES[role], *((("id",),) if role == own_id else ())]
        for tier in tiers:
            fits = [each for each in frame.columns if plain(each) in tier and each not in taken]
            if fits:
                break
        if len(fits) == 1:
            found[role] = fits[0]
            guessed.add(role)
        elif fits:
            what = f"{' and '.join(fits)} could each be the {role}"
            problems.add(frame.name, what, f"say which, in columns={{'{option}.{role}': {fits[0]!r}}}")
        elif role in needed:
            what = f"no column is known to be the {role}; there are {there}"
            problems.add(frame.name, what, f"name it in columns={{'{option}.{role}': 'COLUMN'}}")
    rest = tuple(each for each in frame.columns if each not in found.values())
    return Roles(found, frozenset(guessed), rest)


# --- attributes ---------------------------------------------------------------------------------------------------------------


_PIECE = 1 << 19
"""Values that are looked at together."""
_PARTED = 0.2
"""The share of values that hold a mark from which on it parts lists."""
_MANY = 20
"""Values from which on a share says something."""
_NEARLY = 0.95
"""The share of numbers from which on a column is one of numbers with mistakes in it."""


def kind_by_values(column: pa.ChunkedArray) -> str:
    """`text`, `category`, `list` or `number`, from the type and, where that is text, from the values."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return "list"
    if pa.types.is_dictionary(kind) or pa.types.is_boolean(kind):
        return "category"
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    ):
        return "number"
    known = numbers = bracketed = longest = 0
    parted = dict.fromkeys(_MARKS, 0)
    distinct: pa.Array | None = pa.array([], pa.string())
    for begin, end in blocks(len(column), _PIECE):
        values = known_texts(column.slice(begin, end - begin))
        if not len(values):
            continue
        known += len(values)
        numbers += pc.sum(pc.match_substring_regex(values, _NUMBER)).as_py()
        bracketed += pc.sum(pc.match_substring_regex(values, r"^\s*\[.*\]\s*$")).as_py()
        for mark in _MARKS:
            parted[mark] += pc.sum(pc.match_substring_regex(values, _between(mark))).as_py()
        longest = max(longest, pc.max(pc.utf8_length(values)).as_py())
        if distinct is not None and longest <= _LONGEST:
            distinct = pc.unique(pa.chunked_array([distinct, pc.unique(values)]))
        if longest > _LONGEST or (distinct is not None and len(distinct) > _SHARE * len(column)):
            distinct = None  # there are too many, whatever follows
    if not known:
        return "text"
    if numbers == known or (known >= _MANY and numbers >= _NEARLY * known):
        return "number"  # the few that are none are then complained of, with their lines
    if bracketed == known or any(count / known >= _PARTED for count in parted.values()):
        return "list"
    return "category" if distinct is not None and len(distinct) <= _SHARE * known else "text"


def known_texts(column: pa.ChunkedArray) -> pa.Array:
    """The values of a column of text that are neither missing nor blank."""
    texts = pc.cast(column, pa.string())
    texts = pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], pa.string())
    return texts.filter(pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(texts), ""), fill_value=False))


def _between(mark: str) -> str:
    """Finds the mark between words, and close to them."""
    return rf"\S{re.escape(mark)}\S"


def budgets(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, int]:
    """The attributes a model reads unless it says otherwise, with room for the tokens of 19 of 20 items.

    Texts in words; where there are none, categories and lists. A word makes about one and a half tokens, and a letter beyond
    ASCII about half of one more, whoever cuts them.
    """
    texts = {name: column for name, column in columns.items() if pa.types.is_string(column.type)}
    wordy = {name: column for name, column in texts.items() if _is_wordy(known_texts(column))}
    chosen = (
        wordy or texts or {n: c for n, c in columns.items() if pa.types.is_list(c.type) or c.type == CATEGORY}
    )
    return {name: _budget(column) for name, column in chosen.items()}


def _is_wordy(values: pa.Array) -> bool:
    """Whether it is prose: some values have blanks, and they are no addresses."""
    if (
        not len(values)
        or pc.mean(pc.cast(pc.match_substring_regex(values, _ADDRESS), pa.float64())).as_py() > _SHARE
    ):
        return False
    several = pc.or_(
        pc.match_substring_regex(values, r"\S\s+\S"), pc.match_substring_regex(values, r"[^\x00-\x7f]")
    )
    return bool(pc.mean(pc.cast(several, pa.float64())).as_py() >= 0.1)


def _budget(column: pa.ChunkedArray) -> int:
    if pa.types.is_list(column.type):
        lists = column.combine_chunks()
        lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
        texts, low, high = pc.binary_join(lists.drop_null(), " , "), 4, 32
    else:
        texts, low, high = known_texts(column), 4, 64
    if not len(texts):
        return low
    words = flat(pc.count_substring_regex(texts, r"\S+"))
    foreign = flat(pc.subtract(pc.binary_length(texts), pc.utf8_length(texts)))
    tokens = float(np.quantile(1.5 * words + 0.5 * foreign, 0.95))
    return int(min(high, max(low, np.ceil(tokens))))


def log_option(path: str, others: Mapping[str, str] | None = None) -> str:
    """Which option of `Tables` a log is for, by the names of its columns: `impressions`, `rows` or `sequences`.

    DataError where it cannot be read, with what is wrong in the `others` too: other tables, name → path.
    """
    problems = Problems()
    absent = {
        option: path for option, path in (others or {}).items() if not table_files(path, option, problems)
    }
    frame = read_frame(path, "log", problems)
    if frame is None:
        for option, each in (others or {}).items():
            if option not in absent:
                read_frame(each, option, problems)
    problems.raise_any()
    assert frame is not None  # it is None only where there is a problem
    there = {plain(name) for name in frame.columns}

    def has(role: str) -> bool:
        return any(there & set(tier) for tier in NAMES[role])

    if has("candidates"):
        return "impressions"
    return "sequences" if has("items") and not has("item") else "rows"


# --- columns that look like a role that nobody has ------------------------------------------------------------------------------


_LOOKED_AT = 1 << 16
"""Rows that are looked at, where a doubt is at stake."""
_TIMES = ((10**9, 2 * 10**9), (10**12, 2 * 10**12), (10**15, 2 * 10**15), (10**18, 2 * 10**18))
"""Unix seconds, milliseconds, microseconds and nanoseconds of 2001 to 2033."""
_DATE = r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([ T]\d{1,2}:\d{2}.*)?\s*$"


def looks_like(column: pa.ChunkedArray) -> str | None:
    """`label` of a column of 0 and 1 or true and false, `time` of one of dates or unix times, else None. By its first rows."""
    kind, column = column.type, column.slice(0, _LOOKED_AT).drop_null()
    if pa.types.is_dictionary(kind):
        kind, column = kind.value_type, column.cast(kind.value_type)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    if not len(column):
        return None
    if pa.types.is_boolean(kind):
        return "label"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = known_texts(column)
        if not len(texts):
            return None
        words = set(pc.utf8_lower(pc.utf8_trim_whitespace(pc.unique(texts).slice(0, 3))).to_pylist())
        if words in ({"0", "1"}, {"0.0", "1.0"}, {"true", "false"}):
            return "label"
        if pc.all(pc.match_substring_regex(texts, _DATE)).as_py():
            return "time"
        if not pc.all(pc.match_substring_regex(texts, r"^\s*\d{10,19}(\.\d*)?\s*$")).as_py():
            return None
        column = pc.cast(pc.utf8_trim_whitespace(texts), pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    elif set(pc.unique(column).slice(0, 3).to_pylist()) == {0, 1}:
        return "label"
    least, most = pc.min(column).as_py(), pc.max(column).as_py()
    return "time" if any(low <= least and most <= high for low, high in _TIMES) else None
