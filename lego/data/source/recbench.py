"""RecBench (Liu et al. 2025, https://arxiv.org/abs/2503.05493): its intermediate folders, one form for some fifteen data sets.

They are also what Legommenders (https://arxiv.org/abs/2412.15973) reads most of its data from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lego.data.impressions.interactions import is_text, path_text
from lego.data.impressions.log import Catalog, Log, drop_missing, join_logs, no_rows, one_class, part_of_log
from lego.data.impressions.parts import cut, in_words
from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.growing import Growing, kept, rows_of
from lego.data.raw.guess import budgets, kind_by_values, plain
from lego.data.raw.read_frame import read_frame
from lego.data.raw.values import attribute_of, clicks_of, id_lists, ids_of, unique_ids
from lego.data.table import PARTS, Tables, flat, lists
from lego.errors import DataError, Problem, SpecError, did_you_mean
from lego.ragged import Ragged
from lego.spec import PATH, Choice, FrozenMap, Source, between, field_names, ge, operator

_NAMES: Mapping[str, tuple[str, ...]] = {
    "user": ("uid", "userid", "user", "reviewerid", "customerid"),
    "item": ("nid", "bid", "mid", "tid", "iid", "itemid", "item", "asin", "articleid", "businessid", "appid"),
    "history": ("history", "his"),
    "neg": ("neg", "negatives"),
    "click": ("click", "label"),
}
"""Names of the columns of each role in the data sets there are; only letters and digits count, in lower case."""
_NEEDED = {"items": ("item",), "users": ("user", "history"), "rows": ("user", "item", "click")}
_OPTIONAL = {"items": (), "users": ("neg",), "rows": ()}

_READS: Mapping[str, int] = {
    "title": 30,
    "subtitle": 50,
    "title_en": 50,
    "detail_desc": 50,
    "track_name": 50,
    "artist_name": 20,
    "name": 20,
    "address": 50,
}
"""What the data sets there are have in the way of texts that are read by default."""
_CATEGORIES = {"cat", "category", "subcat", "subcategory", "topic", "city", "state"}
_TEXTS = {*_READS, "abs", "abstract", "body", "description", "summary"}


@operator
class RecBench(Source):
    """Users, their histories, and pairs of user and item that are clicked or not, from the Parquet files of one folder.

    - `folder` holds items.parquet, users.parquet, finetune.parquet, test.parquet and valid_user_set_0.1.txt. Columns have the
      names that one of the data sets gives them (`uid`, `reviewerID`, `customer_id`, …; `nid`, `asin`, `article_id`, …);
      `columns={"user": "who"}` names others. All other columns of the items are attributes.
    - All rows of a user in a file are one impression, with the click of each row. The files do not say in which order they were
      shown, and some have the clicks first, so they stand in random order, drawn by `seed`.
    - test.parquet is test. Users in valid_user_set_0.1.txt are the dev part of finetune.parquet, the others train; with `dev=0.1`
      that share of its users is drawn by `seed` instead, and no such file is needed. With `test=0.1` the rows of both files, one
      of which may be missing or empty, are put together and cut by users.
    - The history is that of the user in users.parquet, in its order, without times. A user without impressions is left out and
      counted; one of the log that users.parquet lacks has no history, and the rules count them.
    - `negatives="list"` adds the user's column `neg` to the candidates of train, as items that were not clicked; an item that is
      a candidate already, or is in the list twice, is not added again.
    - An item that items.parquet lacks is an error (`missing="error"`), is left out and counted (`"drop"`), or makes an item
      without attributes (`"empty"`). An impression that is left without candidates is left out and counted.
    """

    domain: ClassVar[str] = "any"
    language: ClassVar[str] = "any"
    official_files: ClassVar[tuple[str, ...]] = (
        "items.parquet",
        "users.parquet",
        "finetune.parquet",
        "test.parquet",
        "valid_user_set_0.1.txt",
    )
    url: ClassVar[str] = "https://github.com/Jyonn/RecBench"
    licence: ClassVar[str] = "that of the data it was made from"
    proven: ClassVar[str] = "format"

    folder: str = attrs.field(kw_only=False, converter=path_text, metadata=PATH, validator=is_text)
    columns: Mapping[str, str] = attrs.field(factory=FrozenMap)
    dev: float | None = attrs.field(default=None, validator=attrs.validators.optional(between(0.0, 1.0)))
    test: float | None = attrs.field(default=None, validator=attrs.validators.optional(between(0.0, 1.0)))
    negatives: Literal["rows", "list"] = "rows"
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    seed: int = attrs.field(default=0, validator=ge(0))

    def __attrs_post_init__(self) -> None:
        """Roles must be known, and the shares leave something."""
        if any(isinstance(getattr(self, name), Choice) for name in ("columns", "dev", "test")):
            return
        for role in self.columns:
            if role not in _NAMES:
                expected = (
                    f"a dict of roles and columns. {did_you_mean(role, _NAMES)}The roles: {', '.join(_NAMES)}"
                )
                raise SpecError.wrong_value("RecBench", "columns", dict(self.columns), expected)
        if (self.dev or 0) + (self.test or 0) >= 1:
            raise SpecError.wrong_value(
                "RecBench", "dev", self.dev, f"less than 1 - test, which is {self.test}"
            )

    @property
    def reads(self) -> Mapping[str, int]:  # type: ignore[override]  # known only from the file
        """The texts of the items that are known by name; where there are none, those that look like text."""
        path = self.root / "items.parquet"
        if not path.is_file():
            return {}
        try:
            names = pq.read_schema(path).names
        except (pa.ArrowException, OSError):  # preparing says what is wrong with it
            return {}
        known = {name: budget for name, budget in _READS.items() if name in names}
        if known:
            return known
        problems = Problems()
        frame = read_frame(path, "items", problems)
        if frame is None:
            return {}
        found = self.attributes_of(frame, self.roles_of(frame, "items", problems), problems)
        return budgets({name: pa.chunked_array([column]) for name, column in found.items()})

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `folder` and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"folder", "history"}]
        return {"version": 1, **{name: getattr(self, name) for name in names}}

    def files(self) -> Iterable[Path]:
        """The files of the folder that are read; DataError with what is missing."""
        root, problems = self.root, Problems()
        get = f"make the folder with RecBench ({self.url}), and give it whole"
        if not root.is_dir():
            what = "is a file, a folder is expected" if root.exists() else "there is no such folder"
            raise DataError([Problem(str(root), what, get)])
        found = [root / "items.parquet", root / "users.parquet"]
        logs = [root / "finetune.parquet", root / "test.parquet"]
        if self.test is not None:
            logs = [path for path in logs if path.is_file()] or logs
        for path in [*found, *logs]:
            if not path.is_file():
                way = ", or choose test=0.1, which cuts the other log by users" if path in logs else ""
                problems.add(str(path), "there is no such file", get + way)
        lists_of_users = sorted(root.glob("valid_user_set_*.txt"))
        if self.dev is None and self.test is None:
            if len(lists_of_users) != 1:
                what = (
                    f"there are {len(lists_of_users)} such files"
                    if lists_of_users
                    else "there is no such file"
                )
                way = "keep one of them" if lists_of_users else get
                where = str(root / "valid_user_set_0.1.txt")
                problems.add(where, what, f"{way}, or choose dev=0.1, which draws the users")
            logs += lists_of_users
        problems.raise_any()
        return [*found, *logs]

    def tables(self) -> Tables:
        """The tables of it, checked."""
        return _Maker(self).make().check()

    @property
    def root(self) -> Path:
        """The folder."""
        return Path(self.folder).expanduser()

    def roles_of(self, frame: Frame, option: str, problems: Problems) -> dict[str, str]:
        """Role → column; what is needed and not there is among the problems."""
        found: dict[str, str] = {}
        for role in (*_NEEDED[option], *_OPTIONAL[option]):
            fits = [each for each in frame.columns if plain(each) in _NAMES[role]]
            exact = self.columns.get(role)
            if exact in frame.columns:
                fits = [exact]
            if len(fits) == 1:
                found[role] = fits[0]
            elif fits or role in _NEEDED[option]:
                there = ", ".join(frame.columns)
                what = (
                    f"{' and '.join(fits)} could each be the {role}"
                    if fits
                    else f"no column is known to be the {role}; there are {there}"
                )
                problems.add(frame.name, what, f"name it in columns={{{role!r}: 'COLUMN'}}")
        return found

    def attributes_of(
        self, frame: Frame, found: Mapping[str, str], problems: Problems
    ) -> dict[str, pa.Array]:
        """The columns without a role."""
        made = {}
        for column in frame.columns:
            if column in found.values() or column in {"item_id", "user_id", "history", "times"}:
                continue
            kind = kind_by_values(frame.table[column])
            if kind in {"text", "category"}:
                kind = "category" if column in _CATEGORIES else "text" if column in _TEXTS else kind
            values = attribute_of(frame, column, kind, problems)
            if values is not None:
                made[column] = values
        return made


@attrs.frozen(eq=False)
class _Rows:
    """The rows of one file."""

    user: pa.Array
    item: NDArray[np.int32]
    click: NDArray[np.bool_]


class _Maker:
    """Tables of the files of a folder."""

    def __init__(self, source: RecBench) -> None:
        self.source = source
        self.problems = Problems()
        self.dropped: dict[str, int] = {}
        self.rules: dict[str, Any] = {}

    def make(self) -> Tables:
        """Reads all files, then says all that is wrong, then makes the tables."""
        source, problems = self.source, self.problems
        paths = {path.name: path for path in source.files()}
        items, catalog = self._items(paths["items.parquet"])
        known = items.num_rows
        people = self._users(paths["users.parquet"], catalog)
        rows = [
            self._rows(paths[name], catalog) for name in ("finetune.parquet", "test.parquet") if name in paths
        ]
        listed = [self._listed(path) for name, path in paths.items() if name.endswith(".txt")]
        problems.raise_any()
        assert people is not None  # it is None only where there is a problem
        names, history, unclicked = people
        logs = [_impressions(each) for each in rows if each is not None]
        if not logs:
            raise DataError([Problem(source.folder, "there is no row in the logs", "use the complete files")])
        if source.test is None and len(logs) < len(rows):
            what = "finetune.parquet or test.parquet has no row"
            fix = "use the complete files, or choose test=0.1, which cuts what there is by users"
            raise DataError([Problem(source.folder, what, fix)])
        if source.test is not None and len(logs) > 1:
            logs = [_impressions(_together([each for each in rows if each is not None]))]
        parts = self._parts(logs, listed)
        if source.negatives == "list":
            logs[0] = _with_listed(logs[0], parts[0] == 0, names, unclicked)
        logs = [_shuffled(log, np.random.default_rng([source.seed, place])) for place, log in enumerate(logs)]
        logs, history, items = self._settle_missing(logs, history, items, catalog, known)
        return self._tables(items, names, history, logs, parts)

    # --- the files

    def _items(self, path: Path) -> tuple[pa.Table, Catalog]:
        nothing = pa.table({"item_id": pa.array([], pa.string())})
        frame = read_frame(path, "items", self.problems)
        found = {} if frame is None else self.source.roles_of(frame, "items", self.problems)
        if frame is None or not found:
            return nothing, Catalog(nothing["item_id"].combine_chunks())
        ids = ids_of(frame, found["item"], self.problems)
        attributes = self.source.attributes_of(frame, found, self.problems)
        if ids is None:
            return nothing, Catalog(pa.array([], pa.string()))
        unique_ids(frame, found["item"], ids, "item", "keep one row per item", self.problems)
        self.rules["items"] = f"item = {found['item']}"
        table = pa.table({"item_id": ids, **(attributes if not self.problems else {})})
        return table, Catalog(pc.unique(ids))

    def _users(self, path: Path, catalog: Catalog) -> tuple[pa.Array, Ragged, Ragged] | None:
        """Ids, histories, and what was listed as not clicked."""
        frame = read_frame(path, "users", self.problems)
        found = {} if frame is None else self.source.roles_of(frame, "users", self.problems)
        if frame is None or not set(_NEEDED["users"]) <= set(found):
            return None
        if self.source.negatives == "list" and "neg" not in found:
            what = f"no column is known to be neg; there are {', '.join(frame.columns)}"
            fix = "name it in columns={'neg': 'COLUMN'}, or leave negatives=\"list\" out"
            self.problems.add(frame.name, what, fix)
        ids = ids_of(frame, found["user"], self.problems)
        history = self._lists(frame, found["history"], catalog)
        # A list that is not asked for must not bring items that nothing else has.
        wanted = "neg" in found and self.source.negatives == "list"
        unclicked = self._lists(frame, found["neg"], catalog) if wanted else no_rows(frame.table.num_rows)
        if ids is None or history is None or unclicked is None:
            return None
        unique_ids(frame, found["user"], ids, "user", "keep one row per user", self.problems)
        self.rules["users"] = f"user = {found['user']}"
        return ids, history, unclicked

    def _lists(self, frame: Frame, column: str, catalog: Catalog) -> Ragged | None:
        lists, before = id_lists(frame, column, self.problems), len(self.problems)
        if lists is None:
            return None
        values, every = Growing(np.int32), Growing(np.int64)
        for _, ids, lengths in lists.pieces(self.problems):
            values.add(catalog.rows(ids))
            every.add(lengths)
        return None if len(self.problems) > before else rows_of(values.array(), every.array())

    def _rows(self, path: Path, catalog: Catalog) -> _Rows | None:
        try:
            if pq.read_metadata(path).num_rows == 0:
                return None
        except (pa.ArrowException, OSError):  # read_frame says what is wrong
            pass
        frame = read_frame(path, "rows", self.problems)
        found = {} if frame is None else self.source.roles_of(frame, "rows", self.problems)
        if frame is None or len(found) < len(_NEEDED["rows"]):
            return None
        user = ids_of(frame, found["user"], self.problems)
        item = ids_of(frame, found["item"], self.problems)
        click = clicks_of(frame, found["click"], None, self.problems)
        if user is None or item is None or click is None:
            return None
        return _Rows(user, catalog.rows(item), click)

    def _listed(self, path: Path) -> pa.Array:
        found = []
        for number, raw in enumerate(path.read_bytes().splitlines(), 1):
            try:
                line = raw.decode("utf-8-sig").strip()
            except UnicodeDecodeError as failure:
                what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                self.problems.add(f"{path.name} line {number}", what, "save the file as UTF-8")
                continue
            if line:
                found.append(line)
        if not found:
            fix = "put the complete file in its place, or choose dev=0.1, which draws the users"
            self.problems.add(path.name, "names no user", fix)
        return pa.array(found, pa.string())

    # --- the rules

    def _parts(self, logs: list[Log], listed: list[pa.Array]) -> list[NDArray[np.int8]]:
        """0 train, 1 dev, 2 test for each impression of each log."""
        source = self.source
        first = np.arange(len(logs[0].impression))  # one impression a user
        nothing = np.zeros(len(first), np.int64)
        if listed:
            inside = pc.is_in(logs[0].user, value_set=listed[0])
            self.rules["split"] = (
                "users of valid_user_set are dev, the others of finetune train; test is test"
            )
            self.rules["listed_users_without_rows"] = len(pc.unique(listed[0])) - int(
                pc.sum(inside).as_py() or 0
            )
            part = flat(inside).astype(np.int8)
        else:
            dev = 0.1 if source.dev is None else source.dev
            part = cut("user", first, nothing, dev, source.test or 0.0, source.seed)
            self.rules["split"] = in_words("user", dev, source.test or 0.0, source.seed, "rows")
            if source.test is None:
                self.rules["split"] = f"test is test; of finetune, {self.rules['split']}"
        return [part, *(np.full(len(log.impression), 2, np.int8) for log in logs[1:])]

    def _settle_missing(
        self, logs: list[Log], history: Ragged, items: pa.Table, catalog: Catalog, known: int
    ) -> tuple[list[Log], Ragged, pa.Table]:
        source, absent = self.source, len(catalog.missing)
        if source.missing == "error" and absent:
            shown = ", ".join([*catalog.missing[:5].to_pylist(), *(["…"] if absent > 5 else [])])
            what = f"lacks {absent} items of the users and the logs: {shown}"
            fix = 'use the files of one folder, or choose missing="drop" or missing="empty"'
            raise DataError([Problem(str(source.root / "items.parquet"), what, fix)])
        if source.missing == "empty":
            nothing = [pa.nulls(absent, field.type) for field in items.schema if field.name != "item_id"]
            items = pa.concat_tables([items, pa.table([catalog.missing, *nothing], items.schema)])
            self.dropped["items_without_text"] = absent
        if source.missing == "drop":
            logs = drop_missing(logs, known, absent, self.dropped)
            inside = history.values <= known
            self.dropped["history_clicks_of_missing_items"] = int((~inside).sum())
            history = kept(history, inside)
            if not any(len(log.impression) for log in logs):
                what = "has none of the candidates"
                fix = "use the files of one folder"
                raise DataError([Problem(str(source.root / "items.parquet"), what, fix)])
        return logs, history, items

    def _tables(
        self,
        items: pa.Table,
        names: pa.Array,
        history: Ragged,
        logs: list[Log],
        parts: list[NDArray[np.int8]],
    ) -> Tables:
        # What was dropped is found again by its number.
        part = np.concatenate([each[log.impression] for each, log in zip(parts, logs, strict=True)])
        log = join_logs(logs)
        ids = _one(pc.cast(log.user, pa.string()))
        place = pc.index_in(ids, value_set=names)
        strangers = pc.unique(ids.filter(place.is_null()))
        every = pa.concat_arrays([names, strangers])
        whole = Ragged.from_lengths(
            history.values, np.concatenate([history.lengths, np.zeros(len(strangers), np.int64)])
        )
        used, row = np.unique(flat(pc.index_in(ids, value_set=every)), return_inverse=True)
        self.dropped["users_without_impressions"] = len(every) - len(used)
        self.rules["users_that_the_table_lacks"] = len(strangers)
        chosen = whole.take(used)
        impressions, single = {}, {}
        for number, name in enumerate(PARTS):
            rows = np.flatnonzero(part == number)
            # Users of both files have an impression of the same number; each part is of one file.
            impressions[name] = part_of_log(
                log, rows, row[rows].astype(np.int32), chosen.lengths[row[rows]], timed=False
            )
            single[name] = one_class(log, rows)
        self.rules |= {
            "click": "click 1",
            "impressions": "all rows of a user in a file",
            "history": "that of the user, in its order",
            "candidates": f"the rows, in random order; seed {self.source.seed}",
            "one_class": {name: dict(counts) for name, counts in single.items()},
            "missing": self.source.missing,
        }
        users = pa.table(
            {"user_id": every.take(pa.array(used)), "history": lists(chosen, pa.int32())},
        )
        return Tables(
            items=items, users=users, impressions=impressions, dropped=self.dropped, rules=self.rules
        )


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _together(rows: list[_Rows]) -> _Rows:
    return _Rows(
        pa.concat_arrays([each.user for each in rows]),
        np.concatenate([each.item for each in rows]),
        np.concatenate([each.click for each in rows]),
    )


def _impressions(rows: _Rows) -> Log:
    """One impression a user, by their first appearance, with the rows as they come."""
    coded = rows.user.dictionary_encode()
    user = flat(coded.indices).astype(np.int64)
    count = len(coded.dictionary)
    order = np.argsort(user, kind="stable")
    return Log(
        impression=np.arange(count, dtype=np.int64),
        user=pa.chunked_array([coded.dictionary]),
        time=np.full(count, -1, np.int64),
        history=no_rows(count),
        candidates=Ragged.from_lengths(rows.item[order], np.bincount(user, minlength=count)),
        labels=rows.click[order].astype(np.int8),
    )


def _with_listed(log: Log, train: NDArray[np.bool_], names: pa.Array, unclicked: Ragged) -> Log:
    """The log, whose train impressions have what is listed as not clicked behind their candidates."""
    place = flat(pc.fill_null(pc.index_in(_one(pc.cast(log.user, pa.string())), value_set=names), -1)).astype(
        np.int64
    )
    some = np.flatnonzero(train & (place >= 0))
    more = unclicked.take(place[some])
    row = np.concatenate(
        [np.repeat(np.arange(len(log.candidates)), log.candidates.lengths), np.repeat(some, more.lengths)]
    )
    item = np.concatenate([log.candidates.values, more.values])
    label = np.concatenate([log.labels, np.zeros(len(more.values), np.int8)])
    new = np.arange(len(row)) < len(log.labels)
    _, first = np.unique(row * (int(item.max(initial=0)) + 1) + item, return_index=True)
    new[first] = True
    row, item, label = row[new], item[new], label[new]
    order = np.argsort(row, kind="stable")
    lengths = np.bincount(row, minlength=len(log.impression))
    return attrs.evolve(log, candidates=Ragged.from_lengths(item[order], lengths), labels=label[order])


def _shuffled(log: Log, generator: np.random.Generator) -> Log:
    """The log with the candidates of each impression in random order."""
    row = np.repeat(np.arange(len(log.candidates)), log.candidates.lengths)
    order = np.lexsort((generator.random(len(row)), row))
    candidates = Ragged(log.candidates.values[order], log.candidates.offsets)
    return attrs.evolve(log, candidates=candidates, labels=log.labels[order])
