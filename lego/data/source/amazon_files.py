"""The editions of the Amazon reviews: which files a folder holds, and their products and reviews in one form.

meta_C.json   Python literals    reviews_C_5.json  reviews_C.json  ratings_C.csv: user, item, rating, time     2014
meta_C.json   JSON               C_5.json          C.json          C.csv: item, user, rating, time             2018
meta_C.jsonl  JSON               C.jsonl                           C.csv: with a header                        2023
                                 C.train.csv, C.valid.csv, C.test.csv: with a header; also with histories      2023

C is the category. Every file may be gzipped.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.problems import Problems
from lego.data.raw.bounded import lines_of
from lego.data.raw.clean import clean, joined
from lego.data.raw.json_lines import Field, complain_of_values, opened, read_json_lines
from lego.data.raw.official import first_of, missing
from lego.data.raw.once_each import first_rows
from lego.data.raw.reader import CSV, Column, Complaint, Layout, examine, read_pieces
from lego.data.table import CATEGORY, LIST, NUMBER, TEXT, flat
from lego.errors import DataError, Problem, did_you_mean
from lego.ragged import offsets_of

URL = "https://amazon-reviews-2023.github.io"
EARLIER = "https://nijianmo.github.io/amazon (2018) or https://jmcauley.ucsd.edu/data/amazon (2014)"

_META = re.compile(r"meta_(.+?)\.jsonl?(\.gz)?")
_AMOUNT = r"^\s*\$?\s*(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s*$"
_SCRIPT = "var aPageStart"
"""How a title begins that the crawl took from a script of the page."""
_HEADER = "user_id,parent_asin,rating,timestamp"


def _as_text(value: Any) -> Any:
    """A number as a text."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_list(value: Any) -> Any:
    """A text as the only one of a list."""
    return ([value] if value else []) if isinstance(value, str) else value


def _as_line(value: Any) -> Any:
    """A list of texts as one text."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return _as_text(value)


def _as_amount(value: Any) -> Any:
    """A text as the number that stands in it, None where there is none or several."""
    if not isinstance(value, str):
        return value
    found = re.match(_AMOUNT, value)
    return float(found[1].replace(",", "")) if found else None


_TEXTS = pa.list_(pa.string())
_PRODUCTS: Mapping[int, tuple[Field, ...]] = {
    2014: (
        Field("asin", required=True),
        Field("title", otherwise=_as_line),
        Field("brand", otherwise=_as_text),
        Field("categories", pa.list_(_TEXTS)),
        Field("description", otherwise=_as_line),
        Field("price", pa.float64(), otherwise=_as_amount),
    ),
    2018: (
        Field("asin", required=True),
        Field("title", otherwise=_as_line),
        Field("brand", otherwise=_as_text),
        Field("main_cat", otherwise=_as_text),
        Field("category", _TEXTS, otherwise=_as_list),
        Field("description", _TEXTS, otherwise=_as_list),
        Field("feature", _TEXTS, otherwise=_as_list),
        Field("price", otherwise=_as_text),
    ),
    2023: (
        Field("parent_asin", required=True),
        Field("title", otherwise=_as_line),
        Field("store", otherwise=_as_text),
        Field("main_category", otherwise=_as_text),
        Field("categories", _TEXTS, otherwise=_as_list),
        Field("description", _TEXTS, otherwise=_as_list),
        Field("features", _TEXTS, otherwise=_as_list),
        Field("price", pa.float64(), otherwise=_as_amount),
    ),
}
_NAMES = {
    "parent_asin": "item_id",
    "asin": "item_id",
    "store": "brand",
    "main_cat": "department",
    "main_category": "department",
    "category": "categories",
    "feature": "features",
}
"""What the editions call differently."""


def _log(user: str, item: str, value: str, time: str) -> tuple[Field, ...]:
    return (
        Field(user, required=True),
        Field(item, required=True),
        Field(value, pa.float64(), required=True, low=1, high=5),
        Field(time, pa.int64(), required=True, low=0),
    )


_OLDER = _log("reviewerID", "asin", "overall", "unixReviewTime")
_NEWER = _log("user_id", "parent_asin", "rating", "timestamp")
_EVENT = ["user", "item", "value", "time"]


@attrs.frozen(kw_only=True)
class Edition:
    """The files of a category and how they are written."""

    year: int
    meta: Path
    logs: tuple[Path, ...]
    """One file, or those of train, dev and test."""

    @property
    def paths(self) -> list[Path]:
        """All files."""
        return [self.meta, *self.logs]

    @property
    def cut(self) -> bool:
        """Whether the files say what is train, dev and test."""
        return len(self.logs) > 1

    def read_products(self, steps: tuple[str, ...], problems: Problems) -> tuple[pa.Table, dict[str, int]]:
        """The products, each once, and what was left out."""
        fields, literal = _PRODUCTS[self.year], self.year == 2014 and not _is_json(self.meta)
        pieces, scripts = [], 0
        for piece in read_json_lines(self.meta, fields, problems, literal=literal):
            begun = pc.fill_null(pc.starts_with(pc.utf8_ltrim_whitespace(piece["title"]), _SCRIPT), False)
            scripts += int(pc.sum(begun).as_py() or 0)
            pieces.append(_product(piece.filter(pc.invert(begun)), steps))
        problems.raise_any()
        table = pa.concat_tables(pieces)
        first = first_rows(table["item_id"])
        repeated = table.num_rows - len(first)
        table = table.take(pa.array(first)) if repeated else table
        for name in ("brand", "department"):
            if name in table.column_names:
                coded = pc.cast(table[name].dictionary_encode(), CATEGORY)
                table = table.set_column(table.schema.get_field_index(name), name, coded)
        return table, {"products_with_a_script_for_a_title": scripts, "repeated_products": repeated}

    def read_log(self, problems: Problems) -> Iterator[pa.Table]:
        """Who rated what, as user, item, value, time in seconds, and part where the files say it, piece by piece."""
        for number, log in enumerate(self.logs):
            if ".csv" in log.suffixes:
                columns, layout = self._columns()
                pieces = read_pieces(log, columns, problems, layout)
            else:
                pieces = read_json_lines(log, _NEWER if self.year == 2023 else _OLDER, problems)
            for piece in pieces:
                table = piece.rename_columns(_EVENT)
                if self.year == 2023:
                    table = table.set_column(3, "time", pc.divide(table["time"], 1000))
                if self.cut:
                    table = table.append_column("part", pa.array(np.full(table.num_rows, number, np.int8)))
                yield table

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each row of a product that the metadata lack, by its line."""
        what = f"product {{}} is not in {self.meta.name}"
        for log in self.logs:
            if ".csv" in log.suffixes:
                columns, layout = self._columns()
                values = frozenset((value,) for value in absent.to_pylist())
                named = columns[1].name
                complaint = Complaint((named,), values, what.replace("{}", f"{{{named}}}"), fix)
                problems.extend(examine(log, columns, [complaint], layout))
            else:
                field = (_NEWER if self.year == 2023 else _OLDER)[1]
                complain_of_values(log, field, absent, what, fix, problems)

    def _columns(self) -> tuple[tuple[Column, ...], Layout]:
        """Of the CSV: user, item, rating and time."""
        names = _HEADER.split(",") if self.year == 2023 else _EVENT
        user, item, value, time = names
        columns = (
            Column(user),
            Column(item),
            Column(value, pa.float64(), low=1, high=5),
            Column(time, pa.int64(), low=0),
        )
        if self.year == 2023:
            return columns, CSV
        order = _EVENT if self.year == 2014 else ("item", "user", "value", "time")
        return columns, Layout(tuple(order))


def _product(piece: pa.Table, steps: tuple[str, ...]) -> pa.Table:
    """Products in the names and types of all editions, their text cleaned."""
    made: dict[str, Any] = {}
    for name in piece.column_names:
        column = piece[name].combine_chunks()
        own = _NAMES.get(name, name)
        if own == "item_id":
            made[own] = column
        elif own == "price":
            made[own] = _price(column)
        elif own == "categories":
            made[own] = clean(_distinct(column, lambda texts: clean(texts, steps)), ())
        elif column.type == LIST:
            made[own] = joined(column, steps)
        else:
            if own == "department":  # some are the picture of a logo, which says the name
                column = pc.replace_substring_regex(column, r'(?s)^\s*<img\b.*\balt="([^"]*)".*$', r"\1")
            made[own] = clean(column, steps)
    return pa.table(made)


def _price(column: pa.Array) -> pa.Array:
    if column.type == NUMBER:
        return column
    found = pc.struct_field(pc.extract_regex(column, _AMOUNT.replace("(", "(?P<amount>", 1)), "amount")
    return pc.cast(pc.replace_substring(found, ",", ""), NUMBER)


def _distinct(column: pa.Array, cleaned: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The names of each product, each once, in their order; of several paths one after the other."""
    owner, values = flat(pc.list_parent_indices(column)), column.flatten()
    if pa.types.is_list(values.type):
        inner = flat(pc.list_parent_indices(values))
        owner, values = owner[inner], values.flatten()
    values = cleaned(values)
    coded = values.dictionary_encode()
    known = flat(coded.is_valid())
    place, codes = np.flatnonzero(known), flat(coded.indices.filter(pa.array(known))).astype(np.int64)
    key = owner[place].astype(np.int64) * max(len(coded.dictionary), 1) + codes
    _, first = np.unique(key, return_index=True)
    kept = np.sort(place[first])
    offsets = offsets_of(np.bincount(owner[kept], minlength=len(column)))
    absent = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pc.cast(values.take(pa.array(kept)), TEXT), mask=absent
    )


def _is_json(path: Path) -> bool:
    """Whether the first line is JSON; it is a Python literal otherwise."""
    try:
        with opened(path) as stream:
            line = next((line for line in lines_of(stream) if line.strip()), b"")
    except (OSError, EOFError, zlib.error):  # which is said where it is read
        return True
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def find(folder: Path, category: str | None, log: str | None) -> Edition:
    """The files of a category; DataError with where to get them."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("meta_*")) if folder.is_dir() else []:
        match = _META.fullmatch(path.name)
        if match:
            found.setdefault(match[1], path)
    if category is None and len(found) > 1:
        what = f"holds several categories: {', '.join(found)}"
        raise DataError([Problem(str(folder), what, f'choose one with category="{next(iter(found))}"')])
    if category is not None and category not in found and found:
        what = (
            f"holds no meta_{category}.json.gz. {did_you_mean(category, found)}There are {', '.join(found)}"
        )
        raise DataError([Problem(str(folder), what, "choose one of them with category=")])
    if not found:
        wanted = f"meta_{category or 'CATEGORY'}.json.gz"
        download = f"download the metadata of a category and its reviews from {URL} (2023), {EARLIER} into one folder"
        raise missing(
            folder, wanted, download, "meta_*.json", "meta_*.json.gz", "meta_*.jsonl", "meta_*.jsonl.gz"
        )
    name, meta = (category, found[category]) if category is not None else next(iter(found.items()))
    newer = ".jsonl" in meta.suffixes
    one_file: dict[str, tuple[str, ...]] = {
        "core": () if newer else (f"{name}_5.json", f"reviews_{name}_5.json"),
        "all": (f"{name}.jsonl",) if newer else (f"{name}.json", f"reviews_{name}.json"),
        "ratings": (f"{name}.csv", f"ratings_{name}.csv"),
    }
    ways: list[tuple[str, ...]] = [
        (each,) for kind, names in one_file.items() if log in (None, kind) for each in names
    ]
    if newer and log in (None, "cut"):
        ways.append(tuple(f"{name}.{part}.csv" for part in ("train", "valid", "test")))
    lacking: list[str] = []
    for names in ways:
        paths = [first_of(folder, each) for each in names]
        there = tuple(path for path in paths if path is not None)
        if len(there) == len(names):
            older = there[0].name.startswith(("reviews_", "ratings_"))
            return Edition(year=2023 if newer else 2014 if older else 2018, meta=meta, logs=there)
        if there or len(ways) == 1:
            lacking = [each for each, path in zip(names, paths, strict=True) if path is None]
    wanted = " and ".join(lacking) or " or ".join(names[0] for names in ways)
    what = f"the reviews of {name} are missing: {wanted}" if ways else f"no edition of {meta.name} has {log=}"
    fix = f"download them from {URL if newer else EARLIER} and put them beside {meta.name}"
    raise DataError([Problem(str(folder), what, fix)])
