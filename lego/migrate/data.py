"""The data file: which source it is, what is read of its items, and how long a history is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from lego.data.source.mind import MIND
from lego.data.source.recbench import RecBench
from lego.data.source.tables import Tables
from lego.data.source.xmind import LANGUAGES, XMIND
from lego.errors import SpecError
from lego.migrate.notes import Options, Told
from lego.spec import Source

RECBENCH = (
    "automotive",
    "books",
    "cds",
    "ebnerd",
    "goodreads",
    "hm",
    "lastfm",
    "microlens",
    "netflix",
    "pens",
    "pog",
    "yelp",
)
"""Data that Legommenders reads from the folders of RecBench."""

MIND_BUDGETS: Mapping[str, int] = {"title": 50, "abstract": 200, "category": 1, "subcategory": 1}
"""The tokens that the processor of MIND keeps where the file says nothing."""
BUDGET = 50
"""Tokens of a column of which nothing is known."""
VALUE = 4
"""Tokens of a value that was one token by itself and is read as words."""
HISTORY = 100
"""Items of a history that is not truncated: the most that the processors keep."""

_COLUMN = re.compile(r"(?P<name>[^@]+?)(?:@(?P<vocabulary>.+))?")
_COPY = re.compile(r"\s*-{1,2}>\s*")
_STANDARD = {
    "item_col": "item_id",
    "user_col": "user_id",
    "history_col": "history",
    "label_col": "click",
}
_NOT_EMPTY = re.compile(r"\s*lambda\s+(\w+)\s*:\s*(?:\1|len\(\s*\1\s*\)(?:\s*>\s*0)?)\s*")


@attrs.frozen(kw_only=True)
class Column:
    """One of `item.inputs`."""

    name: str
    """The attribute of the item."""
    budget: int
    vocabulary: str | None
    """What stood behind @: the tokens it is made of."""
    alias: str
    """The name it was copied under; its own where it was not."""


@attrs.frozen(kw_only=True)
class Data:
    """What the data file says."""

    source: Source
    columns: tuple[Column, ...]
    """What is read of an item, in order; `item_id` among them is the item itself."""
    prompts: bool
    """Whether prompts for a language model stand between the columns."""
    protocol: str
    negatives: bool
    """Whether users have a list of items that they were shown and did not click."""

    @property
    def texts(self) -> tuple[Column, ...]:
        """The columns that are attributes."""
        return tuple(each for each in self.columns if each.name != "item_id")

    def reads(self, *, pieces: bool) -> dict[str, int]:
        """What a model reads, with its budgets; where all is read as words or `pieces` of words, a value may be several."""
        return {each.name: max(each.budget, VALUE if pieces else 1) for each in self.texts}


def data_of(document: Mapping[str, Any], raw: Mapping[str, str], root: Path, told: Told) -> Data:
    """What a data file says. `raw` has the folders of raw files, by the name of the data; `root` is where its paths lead from."""
    options = Options(document, "data", told)
    name = str(options.take("name", ""))
    base = options.take("base_dir")
    item, user, inter = (options.part(each) for each in ("item", "user", "inter"))
    tables = {
        "items": item.take("ut"),
        "users": user.take("ut"),
        **{each: inter.take(each) for each in ("train", "dev", "test")},
    }
    columns, prompts = _columns(item, name, told)
    history = _history(user, told)
    _filters(inter, told)
    roles = options.part("column_map")
    group = str(roles.take("group_col", "user_id"))
    negatives = roles.take("neg_col") is not None
    named = {role: str(roles.take(role, usual)) for role, usual in _STANDARD.items()}
    source = _source(name, raw, root, base, tables, named, group, history, told, negatives=negatives)
    for each in (item, user, inter, roles, options):
        each.close()
    return Data(
        source=source,
        columns=columns,
        prompts=prompts,
        protocol="legommenders" if group in ("user_id", named["user_col"]) else "once",
        negatives=negatives,
    )


def _columns(item: Options, data: str, told: Told) -> tuple[tuple[Column, ...], bool]:
    where, inputs = f"{item.where}.inputs", item.take("inputs")
    if not isinstance(inputs, list) or not inputs:
        told.problem(where, "it is no list of columns", "list what is read of an item, as in - title: 30")
        return (), False
    made, prompts = [], False
    for entry in inputs:
        if isinstance(entry, Mapping):
            pairs: list[tuple[Any, Any]] = list(entry.items())
        else:
            pairs = [(entry, None)]
        for written, budget in pairs:
            column, *copies = _COPY.split(str(written).strip())
            found = _COLUMN.fullmatch(column)
            if found is None:
                told.problem(where, f"{written!r} is no column", "write NAME, or NAME@VOCABULARY")
                continue
            name, vocabulary = found["name"], found["vocabulary"]
            if name == "prompt" or name.startswith("prompt_"):
                prompts = True
                continue
            alias = copies[-1] if copies else name
            if copies and name != "item_id":
                told.note(where, f"{written!r}: lego reads an attribute once, so the copy is left out")
                continue
            made.append(
                Column(
                    name=name,
                    budget=_budget(name, budget, data, where, told),
                    vocabulary=vocabulary,
                    alias=alias,
                )
            )
    return tuple(made), prompts


def _budget(name: str, given: Any, data: str, where: str, told: Told) -> int:
    if type(given) is int and given > 0:
        return given
    if given not in (None, 0):
        told.problem(where, f"{name}: {given!r} is no number of tokens", "write a whole number above 0")
        return BUDGET
    if name == "item_id":
        return 1
    known = MIND_BUDGETS.get(name) if "mind" in data.lower() else None
    chosen = known or (1 if name in ("category", "subcategory", "cat", "subcat") else BUDGET)
    read = "1 token of it is" if chosen == 1 else f"{chosen} tokens of it are"
    told.note(where, f"{name} has no length: {read} read, {'as the processor keeps' if known else 'a guess'}")
    return chosen


def _history(user: Options, told: Told) -> int:
    truncate = user.number("truncate", 0)
    where = f"{user.where}.truncate"
    if truncate == 0:
        told.note(where, f"no length: the {HISTORY} most recent items are read")
        return HISTORY
    if truncate > 0:
        told.note(
            where,
            f"{truncate} kept the oldest {truncate} items of a longer history; lego keeps the most recent",
        )
    return abs(truncate)


def _filters(inter: Options, told: Told) -> None:
    filters = inter.take("filters")
    if filters is None:
        return
    where = f"{inter.where}.filters"
    if not isinstance(filters, Mapping):
        told.problem(where, f"{filters!r} is no mapping of columns", "write COLUMN: [CONDITION]")
        return
    for column, conditions in filters.items():
        for condition in conditions if isinstance(conditions, list) else [conditions]:
            if column == "history" and (condition == "x" or _NOT_EMPTY.fullmatch(str(condition))):
                what = "users without history were left out of training as well; lego leaves them out of the test alone"
                told.note(f"{where}.{column}", what)
            else:
                what = f"{condition!r} left out: lego evaluates no code. Filter the raw files instead"
                told.note(f"{where}.{column}", what)


def _source(
    name: str,
    raw: Mapping[str, str],
    root: Path,
    base: object,
    tables: Mapping[str, Any],
    named: Mapping[str, str],
    group: str,
    history: int,
    told: Told,
    *,
    negatives: bool,
) -> Source:
    key = name.lower()
    places = [str(each) for each in (base, *tables.values()) if each]
    is_recbench = any("recbench" in each.lower() for each in places) or key.removesuffix("rb") in RECBENCH
    given = raw.get(key) or raw.get("*")
    folder = given or str(root / str(base or (Path(places[0]).parent if places else f"data/{name}")))
    if not given:
        what = f"lego reads raw files, not the pickled tables of UniTok: put them into {folder}, or name their folder with --raw"
        told.note("data.base_dir" if base else "data.item.ut", what)
    if not name:
        told.problem("data.name", "it has no name", "write the name of the data set")
    if is_recbench:
        told.note("data.name", f"{name}: read from the Parquet files of RecBench")
        return RecBench(folder, negatives="list" if negatives else "rows", history=history)
    if key.startswith("xmind"):
        return _xmind(name, folder, raw, root, history, told)
    if "mind" in key:
        if key.startswith("once"):
            what = "a published list cut dev in two, to validate and to test; lego validates on the latest of train"
        else:
            what = "a tenth of the users of train validated; in lego the latest tenth of its impressions does"
        told.note("data.inter.dev", what)
        if key not in ("mind", "oncemind", "once-mind", "mind-small", "mind-large"):
            told.note(
                "data.name",
                f"{name}: read as MIND itself; columns or rows that were added to it are not there",
            )
        told.note(
            "data.user.ut",
            "a user had one history, the first seen; in lego each impression has the one of its row",
        )
        return MIND(folder, history=history)
    return _tables(folder, named, group, history, told)


def _xmind(name: str, folder: str, raw: Mapping[str, str], root: Path, history: int, told: Told) -> Source:
    language = re.split(r"[-_]", name.lower())[-1]
    mind = raw.get("mind")
    if mind is None:
        mind = str(root / "data/mind")
        told.note("data.name", f"the folder of MIND itself is taken to be {mind}: name it in .data")
    if language not in LANGUAGES:
        fix = f"end it in one of: {', '.join(LANGUAGES)}"
        told.problem("data.name", f"{name!r} does not say the language", fix)
        language = next(iter(LANGUAGES))
    return XMIND(folder, mind=mind, language=language, history=history)


def _tables(folder: str, named: Mapping[str, str], group: str, history: int, told: Told) -> Source:
    """Data of one's own: the tables under their names, which have to be written as Parquet."""
    parts = {"train": "train", "dev": "valid", "test": "test"}
    what = (
        f"data of your own: write its tables as {folder}/items.parquet, users.parquet, train.parquet, valid.parquet and "
        "test.parquet, with ids and texts instead of token numbers"
    )
    told.note("data.name", what)
    columns = {
        "item": named["item_col"],
        "user": named["user_col"],
        "users.history": named["history_col"],
        "label": named["label_col"],
        "impression": group,
    }
    try:
        return Tables(
            items=f"{folder}/items.parquet",
            users=f"{folder}/users.parquet",
            rows={part: f"{folder}/{file}.parquet" for part, file in parts.items()},
            columns=columns,
            history=history,
        )
    except SpecError as error:
        told.problem("data.column_map", str(error), "name the columns of your tables")
        return MIND(folder)


def relative(path: str, beside: Path | None) -> str:
    """A path as a script in `beside` writes it; as it is where the script is only printed."""
    if beside is None or Path(path).is_absolute():
        return path
    return Path(os.path.relpath(path, beside)).as_posix()
