"""Tables of one's own: items with attributes, and a log of who clicked what, as files or as data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data import table
from lego.data.candidates import draw_unseen, impressions_of_clicks
from lego.data.frame import Frame, kept, read_frame
from lego.data.guess import NAMES, Roles, budgets, kind_by_values, roles
from lego.data.known_users import KnownUsers, UserTable
from lego.data.log import (
    Catalog,
    Clicks,
    Log,
    behind,
    clicks_before,
    drop_missing,
    join_logs,
    no_rows,
    one_class,
    part_of_log,
    share_histories,
    side_by_side,
    sorted_sets,
)
from lego.data.parts import cut, in_words
from lego.data.problems import LIMIT, Problems
from lego.data.table import KINDS, PARTS, flat, lists
from lego.data.values import (
    array_of,
    as_numbers,
    attribute_of,
    clicks_of,
    id_lists,
    ids_of,
    shown,
    times_of,
    unique_ids,
)
from lego.errors import DataError, Problem, SpecError, did_you_mean
from lego.ragged import Ragged
from lego.spec import PATH, Choice, FrozenMap, Source, between, field_names, ge, operator

_LOGS = ("impressions", "rows", "sequences")
_MADE_PARTS = {**{part: part for part in PARTS}, "valid": "dev", "validation": "dev", "val": "dev"}
"""What a column of parts may hold."""


def _kept(option: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        made = kept(value, option)
        return FrozenMap(made) if isinstance(made, Mapping) else made

    return convert


@operator
class Tables(Source):
    """Items with attributes and a log, from files or from tables in memory.

    - `items` has a row per item: its id and its attributes. Give just one log:
        - `impressions`: a row per impression: user, the candidates with their labels (lists `candidates` and `labels`, or
          `candidates` and the list `clicked`, or one text such as `id7-0 id2-1`), and if known the time and the user's history;
        - `rows`: a row per user and item, with a label where not every row is a click, and with the time where it is known. Rows
          of one impression id are one impression; without impression ids each click is shown among drawn candidates;
        - `sequences`: a row per user with the list of the items, the oldest first. Drawn candidates again.
    - `users` may add attributes of users, and a `history` that precedes the log.
    - Each is a path (CSV, TSV, JSON lines, Parquet, Arrow), or in Python a data frame, an Arrow table, a list of dicts or a dict
      of columns, which is written to Parquet under LEGO_HOME and named by its content. A log may be several: `{"train": …,
      "test": …}`.
    - Columns are known by their names (`item_id`, `user`, `timestamp`, …); `columns={"item": "sku"}` names others, and
      `{"items.item": "id", "rows.item": "sku"}` where the tables differ. The rules in the manifest say what was taken for what.
    - Every other column of items and users is an attribute. Its kind is guessed from the values; `kinds={"year": "category"}`
      says otherwise: text, category, list, number or none.
    - A click is a label of 1; `above=3` makes it a label above 3, for ratings.
    - Clicks of a user are in the order of time, then of the log. The history of an impression is what `users` has, then all
      clicks of the user before the impression, unless its own row says.
    - Drawn candidates: the click and up to `negatives` items that the user never met in the log or before, in random places,
      drawn without putting back in proportion to their clicks (`candidates="popularity"`) or each as likely as the others
      (`"uniform"`). An impression for which there is nothing to draw is left out and counted.
    - Parts are taken from the files of a dict or from a column `part`; where dev is not among these, the `dev` share of train is.
      Else `split` cuts: `"time"` takes the latest `test` share of the impressions, and the `dev` share before them;
      `"leave_last_out"` the last impression of each user who has two, and the one before it of each who has three; `"user"` all
      impressions of a share of the users. Unless it is said, it is time where there are times, else leave_last_out. A share of 0
      makes no part.
    - An id of the log that `items` lacks is an error (`missing="error"`), is left out and counted (`"drop"`), or makes an item
      without attributes (`"empty"`). A user without history and an impression without a click stay; the latter are counted in
      the rules.
    - Chance comes from `seed` alone. `history` cuts to the most recent items when the data is read, and changes nothing that is
      prepared.
    """

    domain: ClassVar[str] = "any"
    language: ClassVar[str] = "any"
    official_files: ClassVar[tuple[str, ...]] = (
        "one table of items",
        "one log: impressions, rows or sequences",
        "if you like, one table of users",
    )
    licence: ClassVar[str] = "your own"

    items: str = attrs.field(kw_only=False, converter=_kept("items"), metadata=PATH)
    impressions: str | Mapping[str, str] | None = attrs.field(
        default=None, converter=_kept("impressions"), metadata=PATH
    )
    rows: str | Mapping[str, str] | None = attrs.field(default=None, converter=_kept("rows"), metadata=PATH)
    sequences: str | Mapping[str, str] | None = attrs.field(
        default=None, converter=_kept("sequences"), metadata=PATH
    )
    users: str | None = attrs.field(default=None, converter=_kept("users"), metadata=PATH)
    columns: Mapping[str, str] = attrs.field(factory=FrozenMap)
    kinds: Mapping[str, str] = attrs.field(factory=FrozenMap)
    above: float | None = None
    candidates: Literal["popularity", "uniform"] = "popularity"
    negatives: int = attrs.field(default=20, validator=ge(1))
    split: Literal["time", "leave_last_out", "user"] | None = None
    dev: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    test: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    seed: int = attrs.field(default=0, validator=ge(0))

    def __attrs_post_init__(self) -> None:
        """What one option says must go with what another says."""
        if any(isinstance(getattr(self, name), Choice) for name in field_names(type(self))):
            return
        logs = [name for name in _LOGS if getattr(self, name) is not None]
        if len(logs) != 1:
            what = f"{' and '.join(logs)} are given" if logs else "no log is given"
            raise SpecError.wrong_call(
                "Tables", f"{what}, and just one is needed", "Tables('items.csv', rows='clicks.csv')"
            )
        if self.dev + self.test >= 1:
            expected = f"less than 1 - test, which is {1 - self.test:g}"
            raise SpecError.wrong_value("Tables", "dev", self.dev, expected)
        for name, kind in self.kinds.items():
            if kind not in {*KINDS, "none"}:
                expected = f"a dict of columns and kinds ({', '.join([*KINDS, 'none'])})"
                raise SpecError.wrong_value("Tables", "kinds", {name: kind}, expected)
        for name in self.columns:
            frame, _, role = name.rpartition(".")
            if role not in NAMES or frame not in {"", "items", "users", *_LOGS}:
                hint = did_you_mean(role, NAMES)
                expected = f"a dict of roles and columns. {hint}The roles: {', '.join(NAMES)}, or with a table as in items.item"
                raise SpecError.wrong_value("Tables", "columns", {name: self.columns[name]}, expected)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind of log."""
        return (
            cls("items.csv", rows="clicks.csv"),
            cls(
                "items.parquet", impressions={"train": "train.jsonl", "test": "test.jsonl"}, users="users.csv"
            ),
            cls(
                "items.csv", sequences="histories.csv", columns={"items.item": "sku"}, split="leave_last_out"
            ),
        )

    @property
    def reads(self) -> Mapping[str, int]:  # type: ignore[override]  # known only from the values
        """The texts of the items, with room for most of them; categories and lists where there is no text."""
        path = Path(self.items).expanduser()
        state = (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None
        return dict(_reads(self.items, state, FrozenMap(self.columns), FrozenMap(self.kinds)))

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but paths and `history`; `version` counts changes of the rules above."""
        left_out = {"items", "users", "history", *_LOGS}
        options = {name: getattr(self, name) for name in field_names(type(self)) if name not in left_out}
        parts = {part: str(order) for order, (part, _) in enumerate(self.log_paths())}
        return {
            "version": 1,
            "log": self.log_option,
            "parts": parts,
            "users": self.users is not None,
            **options,
        }

    def files(self) -> Iterable[Path]:
        """The files that are named; DataError where one is not there."""
        problems, paths = Problems(), []
        for option, text in self.named_paths():
            path = Path(text).expanduser()
            paths.append(path)
            if not path.is_file():
                read_frame(path, option, problems)
        problems.raise_any()
        return paths

    @property
    def log_option(self) -> str:
        """The option that the log is given in."""
        return next(name for name in _LOGS if getattr(self, name) is not None)

    def log_paths(self) -> list[tuple[str, str]]:
        """Part, empty where the log is one file, and path."""
        log = getattr(self, self.log_option)
        return (
            [(part, log[part]) for part in PARTS if part in log] if isinstance(log, Mapping) else [("", log)]
        )

    def named_paths(self) -> list[tuple[str, str]]:
        """What messages call each table, and its path."""
        users = [] if self.users is None else [("users", self.users)]
        log = self.log_option
        logs = [(f"{log}[{part!r}]" if part else log, path) for part, path in self.log_paths()]
        return [("items", self.items), *users, *logs]

    def tables(self) -> table.Tables:
        """The tables of it, checked."""
        self.files()
        return _Maker(self).make().check()


@lru_cache(maxsize=64)
def _reads(
    path: str, state: object, columns: Mapping[str, str], kinds: Mapping[str, str]
) -> Mapping[str, int]:
    problems = Problems()
    frame = read_frame(path, "items", problems)
    problems.raise_any()
    assert frame is not None  # it is None only where there is a problem
    found = _attributes(frame, _item_roles(frame, columns, problems), "items", kinds, problems)
    problems.raise_any()
    return budgets({name: pa.chunked_array([column]) for name, column in found.items()})


# --- items and users ----------------------------------------------------------------------------------------------------------


def _item_roles(frame: Frame, columns: Mapping[str, str], problems: Problems) -> Roles:
    return roles(frame, "items", ("item",), (), columns, problems, own_id="item")


def _attributes(
    frame: Frame, found: Roles, option: str, kinds: Mapping[str, str], problems: Problems
) -> dict[str, pa.Array]:
    """The columns without a role as attributes."""
    made = {}
    taken = ("item_id",) if option == "items" else ("user_id", "history", "times")
    for column in found.rest:
        kind = kinds.get(f"{option}.{column}", kinds.get(column)) or kind_by_values(frame.table[column])
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


# --- the log ------------------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Met:
    """Where ids of items stand in a frame, so that one that is missing can be shown."""

    frame: Frame
    column: str
    ids: pa.Array
    row: NDArray[np.int64]


@attrs.define(eq=False)
class _Maker:
    """Files → tables, once."""

    spec: Tables
    problems: Problems = attrs.field(factory=Problems)
    dropped: dict[str, int] = attrs.field(factory=dict)
    rules: dict[str, Any] = attrs.field(factory=dict)
    met: list[_Met] = attrs.field(factory=list)
    own_history: set[bool] = attrs.field(factory=set)
    """Whether impressions have a history of their own, of each file."""
    catalog: Catalog = attrs.field(factory=lambda: Catalog(pa.array([], pa.string())))

    def make(self) -> table.Tables:
        spec, problems = self.spec, self.problems
        frames = [read_frame(path, option, problems) for option, path in spec.named_paths()]
        whole = [frame for frame in frames if frame is not None]
        if len(whole) < len(frames):
            problems.raise_any()
        item_frame, *rest = whole
        user_frame = rest.pop(0) if spec.users is not None else None
        self._refuse_unused(whole, [item_frame] if user_frame is None else [item_frame, user_frame])
        items = self._items(item_frame)
        users = None if user_frame is None else self._users(user_frame)
        parts = [part for part, _ in spec.log_paths()]
        found = [self._read(frame, part) for frame, part in zip(rest, parts, strict=True)]
        problems.raise_any()
        logs = [each for each in found if isinstance(each[0], Log)]
        clicks = [each for each in found if isinstance(each[0], Clicks)]
        if (logs and clicks) or len(self.own_history) > 1:
            what = "some files have impressions or histories, and some have not"
            raise DataError([Problem(spec.log_option, what, "give each file the same columns")])
        items = self._settle_missing(items)
        base = KnownUsers.of(users, items.num_rows, self.dropped)
        made_parts = bool(parts[0]) or any(part is not None for _, part in found)
        if clicks:
            return self._of_clicks(
                items, base, [log for log, _ in clicks if isinstance(log, Clicks)], made_parts=made_parts
            )
        return self._of_logs(items, base, logs, made_parts=made_parts)

    def _refuse_unused(self, frames: list[Frame], described: list[Frame]) -> None:
        """Names in `columns=` and `kinds=` that no table has: dropped in silence they would be guessed."""
        for role, column in self.spec.columns.items():
            there = list(dict.fromkeys(name for frame in frames for name in frame.columns))
            if "." not in role and column not in there:
                fix = f"{did_you_mean(column, there)}The columns are {', '.join(there)}"
                self.problems.add(f"columns={{{role!r}: {column!r}}}", "no table has such a column", fix)
        for name in self.spec.kinds:
            there = list(dict.fromkeys(each for frame in described for each in frame.columns))
            if name not in there and name.partition(".")[2] not in there:
                fix = f"{did_you_mean(name, there)}The columns are {', '.join(there)}"
                self.problems.add(f"kinds: {name!r}", "neither items nor users have such a column", fix)

    # --- reading

    def _items(self, frame: Frame) -> pa.Table:
        found = _item_roles(frame, self.spec.columns, self.problems)
        attributes = _attributes(frame, found, "items", self.spec.kinds, self.problems)
        ids = self._ids(frame, found, "item")
        self.rules["items"] = _told(found, attributes)
        if ids is None:
            return pa.table({"item_id": pa.array([], pa.string())})
        unique_ids(frame, found.columns["item"], ids, "item", "keep one row per item", self.problems)
        self.catalog = Catalog(pc.unique(ids))
        return pa.table({"item_id": ids, **attributes}) if not self.problems else pa.table({"item_id": ids})

    def _users(self, frame: Frame) -> UserTable:
        found = roles(
            frame, "users", ("user",), ("history",), self.spec.columns, self.problems, own_id="user"
        )
        attributes = _attributes(frame, found, "users", self.spec.kinds, self.problems)
        ids = self._ids(frame, found, "user")
        self.rules["users"] = _told(found, attributes)
        if ids is None:
            return UserTable(pa.array([], pa.string()), {}, no_rows(0))
        unique_ids(frame, found.columns["user"], ids, "user", "keep one row per user", self.problems)
        history = self._lists(frame, found.columns["history"]) if "history" in found.columns else None
        return UserTable(ids, attributes, no_rows(len(ids)) if history is None else history)

    def _ids(self, frame: Frame, found: Roles, role: str) -> pa.Array | None:
        return ids_of(frame, found.columns[role], self.problems) if role in found.columns else None

    def _lists(self, frame: Frame, column: str) -> Ragged | None:
        """Item rows of lists of ids."""
        read = id_lists(frame, column, self.problems)
        if read is None:
            return None
        ids, lengths, how = read
        self.rules[f"{frame.name} {column}"] = how
        return self._rows_of(frame, column, ids, np.repeat(np.arange(len(lengths)), lengths), lengths)

    def _rows_of(
        self, frame: Frame, column: str, ids: pa.Array, row: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> Ragged:
        self.met.append(_Met(frame, column, ids, row))
        return Ragged.from_lengths(self.catalog.rows(ids), lengths)

    def _read(self, frame: Frame, part: str) -> tuple[Log | Clicks | None, NDArray[np.int8] | None]:
        """The log of a file, and the part of each row where it says."""
        read = {
            "impressions": self._read_impressions,
            "rows": self._read_rows,
            "sequences": self._read_sequences,
        }
        log, parts = read[self.spec.log_option](frame)
        if part and log is not None:
            length = len(log.impression) if isinstance(log, Log) else len(log.item)
            parts = np.full(length, PARTS.index(part), np.int8)
        if isinstance(log, Clicks) and parts is not None:
            log.part = parts
        return log, parts

    def _read_impressions(self, frame: Frame) -> tuple[Log | None, NDArray[np.int8] | None]:
        optional = ("impression", "time", "history", "labels", "clicked", "part")
        found = self._roles(frame, ("user", "candidates"), optional)
        columns, before = found.columns, len(self.problems)
        user, time = self._ids(frame, found, "user"), self._times(frame, found)
        history = (
            self._lists(frame, columns["history"]) if "history" in columns else no_rows(frame.table.num_rows)
        )
        self.own_history.add("history" in columns)
        shown_to = self._candidates(frame, columns) if "candidates" in columns else None
        impression = self._impression_numbers(frame, columns.get("impression"))
        part = self._parts(frame, columns.get("part"))
        if len(self.problems) > before or user is None or shown_to is None or impression is None:
            return None, part
        assert time is not None  # these are None only where there is a problem
        assert history is not None
        candidates, labels = shown_to
        log = Log(
            impression=impression,
            user=pa.chunked_array([user]),
            time=time,
            history=history,
            candidates=candidates,
            labels=labels,
        )
        return log, part

    def _candidates(self, frame: Frame, columns: Mapping[str, str]) -> tuple[Ragged, NDArray[np.int8]] | None:
        column = columns["candidates"]
        read = id_lists(frame, column, self.problems)
        if read is None:
            return None
        ids, lengths, how = read
        self.rules[f"{frame.name} {column}"] = how
        empty, fix = lengths == 0, "take the row out"
        frame.complain(empty, column, lambda _: "there are no candidates", fix, self.problems)
        row = np.repeat(np.arange(len(lengths)), lengths)
        if "labels" in columns and columns["labels"] != column:
            labels = self._label_lists(frame, columns["labels"], lengths)
        elif "clicked" in columns:
            labels = self._clicked(frame, columns["clicked"], ids, row)
        else:
            marked = flat(pc.match_substring_regex(ids, r"^.+-[01]$"))
            wrong = np.zeros(len(lengths), bool)
            wrong[row[~marked]] = True
            role = f"{self.spec.log_option}.labels"
            fix = (
                f"name their column in columns={{{role!r}: 'COLUMN'}} or '….clicked', or write id-1 and id-0"
            )
            frame.complain(wrong, column, lambda _: "the candidates have no labels", fix, self.problems)
            labels = flat(pc.ends_with(ids, "-1")).astype(np.int8)
            ids = pc.utf8_slice_codeunits(ids, 0, -2)
            if wrong.any():
                return None
        return None if labels is None else (self._rows_of(frame, column, ids, row, lengths), labels)

    def _label_lists(self, frame: Frame, column: str, wanted: NDArray[np.int64]) -> NDArray[np.int8] | None:
        read = id_lists(frame, column, self.problems)
        if read is None:
            return None
        words, lengths, _ = read
        uneven = lengths != wanted
        frame.complain(
            uneven,
            column,
            lambda row: f"{lengths[row]} labels for {wanted[row]} candidates",
            "give one label per candidate",
            self.problems,
        )
        numbers = as_numbers(words)
        values = flat(pc.fill_null(numbers, -1.0))
        wrong = np.zeros(len(lengths), bool)
        wrong[np.repeat(np.arange(len(lengths)), lengths)[(values != 0) & (values != 1)]] = True
        frame.complain(
            wrong, column, lambda _: "labels of 0 or 1 are expected", "1 is a click, 0 none", self.problems
        )
        return None if uneven.any() or wrong.any() else values.astype(np.int8)

    def _clicked(
        self, frame: Frame, column: str, ids: pa.Array, row: NDArray[np.int64]
    ) -> NDArray[np.int8] | None:
        read = id_lists(frame, column, self.problems)
        if read is None:
            return None
        words, lengths, _ = read
        codes = flat(pa.concat_arrays([ids, words]).dictionary_encode().indices).astype(np.int64)
        size = int(codes.max(initial=0)) + 1
        candidates = row * size + codes[: len(ids)]
        clicked = np.repeat(np.arange(len(lengths)), lengths) * size + codes[len(ids) :]
        outside = np.unique(clicked[~np.isin(clicked, candidates)] // size)
        wrong = np.isin(np.arange(len(lengths)), outside)
        fix = "a click is on one of the candidates: add it to them, or take the row out"
        frame.complain(wrong, column, lambda _: "an item is clicked that is no candidate", fix, self.problems)
        return None if wrong.any() else np.isin(candidates, clicked).astype(np.int8)

    def _impression_numbers(self, frame: Frame, column: str | None) -> NDArray[np.int64] | None:
        """The ids where they are whole numbers, else the order of the rows."""
        count = frame.table.num_rows
        if column is None:
            return np.arange(count, dtype=np.int64)
        ids = ids_of(frame, column, self.problems)
        if ids is None:
            return None
        fix = "keep one row per impression; rows of one candidate each are rows=, not impressions="
        unique_ids(frame, column, ids, "impression", fix, self.problems)
        numbers = as_numbers(ids)
        whole = pc.all(pc.match_substring_regex(ids, r"^(0|[1-9]\d{0,14})$")).as_py()
        return flat(pc.cast(numbers, pa.int64())) if whole else np.arange(count, dtype=np.int64)

    def _read_rows(self, frame: Frame) -> tuple[Log | Clicks | None, NDArray[np.int8] | None]:
        found = self._roles(frame, ("user", "item"), ("label", "time", "impression", "part"))
        columns, before = found.columns, len(self.problems)
        user, item, time = (
            self._ids(frame, found, "user"),
            self._ids(frame, found, "item"),
            self._times(frame, found),
        )
        click: NDArray[np.bool_] | None = np.ones(frame.table.num_rows, bool)
        if "label" in columns:
            click = clicks_of(frame, columns["label"], self.spec.above, self.problems)
        part = self._parts(frame, columns.get("part"))
        group = self._ids(frame, found, "impression")
        if len(self.problems) > before or user is None or item is None or click is None or time is None:
            return None, part
        rows = self._rows_of(
            frame, columns["item"], item, np.arange(len(item)), np.ones(len(item), np.int64)
        ).values
        if group is None:
            everywhere = np.full(len(rows), -1, np.int8)
            return Clicks(
                user=user, item=rows, click=click, time=time, part=everywhere if part is None else part
            ), part
        return self._grouped(frame, columns, group, user, rows, click, time, part)

    def _grouped(
        self,
        frame: Frame,
        columns: Mapping[str, str],
        group: pa.Array,
        user: pa.Array,
        item: NDArray[np.int32],
        click: NDArray[np.bool_],
        time: NDArray[np.int64],
        part: NDArray[np.int8] | None,
    ) -> tuple[Log | None, NDArray[np.int8] | None]:
        """Rows of one impression id as one impression, which stands where its first row stands."""
        code = flat(group.dictionary_encode().indices)
        _, first = np.unique(code, return_index=True)
        whose = flat(user.dictionary_encode().indices)
        checks = [("user", whose)] + ([("part", part)] if part is not None else [])
        for role, values in checks:
            wrong = values != values[first[code]]

            def words(row: int, role: str = role) -> str:
                return f"impression {group[row].as_py()} has another {role} in {frame.line(int(first[code[row]]))}"

            fix = "give each impression an id of its own"
            frame.complain(wrong, columns[role], words, fix, self.problems)
            if wrong.any():
                return None, part
        order = np.argsort(code, kind="stable")
        begin = time.copy()[first]
        np.minimum.at(begin, code, time)
        whole = pc.all(pc.match_substring_regex(group, r"^(0|[1-9]\d{0,14})$")).as_py()
        ids = group.take(pa.array(first))
        log = Log(
            impression=flat(pc.cast(ids, pa.int64())) if whole else np.arange(len(first)),
            user=pa.chunked_array([user.take(pa.array(first))]),
            time=begin,
            history=no_rows(len(first)),
            candidates=Ragged.from_lengths(item[order], np.bincount(code)),
            labels=click[order].astype(np.int8),
        )
        return log, None if part is None else part[first]

    def _read_sequences(self, frame: Frame) -> tuple[Clicks | None, NDArray[np.int8] | None]:
        found = self._roles(frame, ("user",), ("items", "item", "time", "part"))
        columns, before = found.columns, len(self.problems)
        user, part = self._ids(frame, found, "user"), self._parts(frame, columns.get("part"))
        if "items" not in columns and "item" not in columns:
            what = f"no column is known to be the list of items; there are {', '.join(frame.columns)}"
            self.problems.add(frame.name, what, "name it in columns={'sequences.items': 'COLUMN'}")
        if "items" in columns:
            history, time = self._lists(frame, columns["items"]), np.full(frame.table.num_rows, -1, np.int64)
            if user is not None and part is None:
                unique_ids(frame, columns["user"], user, "user", "join the rows of a user", self.problems)
        else:
            item, found_time = self._ids(frame, found, "item"), self._times(frame, found)
            if item is None or found_time is None:
                return None, part
            row, one = np.arange(len(item)), np.ones(len(item), np.int64)
            history, time = self._rows_of(frame, columns["item"], item, row, one), found_time
        if len(self.problems) > before or user is None or history is None:
            return None, part
        owner = np.repeat(np.arange(len(history)), history.lengths)
        parts = None if part is None else part[owner]
        clicks = Clicks(
            user=user.take(pa.array(owner)),
            item=history.values,
            click=np.ones(len(owner), bool),
            time=time[owner],
            part=np.full(len(owner), -1, np.int8) if parts is None else parts,
        )
        return clicks, parts

    def _roles(self, frame: Frame, needed: tuple[str, ...], optional: tuple[str, ...]) -> Roles:
        option = self.spec.log_option
        if isinstance(getattr(self.spec, option), Mapping):
            optional = tuple(role for role in optional if role != "part")
        found = roles(frame, option, needed, optional, self.spec.columns, self.problems)
        self.rules[frame.name] = _told(found, ())
        return found

    def _times(self, frame: Frame, found: Roles) -> NDArray[np.int64] | None:
        """Unix seconds, -1 in each row where there is no such column; None where one cannot be read."""
        if "time" not in found.columns:
            return np.full(frame.table.num_rows, -1, np.int64)
        read = times_of(frame, found.columns["time"], self.problems)
        if read is None:
            return None
        self.rules[f"{frame.name} {found.columns['time']}"] = read[1]
        return read[0]

    def _parts(self, frame: Frame, column: str | None) -> NDArray[np.int8] | None:
        if column is None:
            return None
        words = pc.utf8_lower(pc.fill_null(pc.cast(array_of(frame, column), pa.string()), ""))
        place = pc.index_in(words, value_set=pa.array(list(_MADE_PARTS)))
        wrong = flat(place.is_null())
        if wrong.any():
            frame.complain(
                wrong,
                column,
                lambda row: f"{', '.join(PARTS)} is expected, {shown(words[row].as_py())} found",
                "correct it, or rename the column where it is not the part",
                self.problems,
            )
            return None
        numbers = np.array([PARTS.index(part) for part in _MADE_PARTS.values()], np.int8)
        return numbers[flat(place)]

    # --- ids that items lack

    def _settle_missing(self, items: pa.Table) -> pa.Table:
        absent, spec = self.catalog.missing, self.spec
        self.rules["missing"] = spec.missing
        if not len(absent):
            return items
        if spec.missing == "error":
            raise self._missing_items()
        if spec.missing == "empty":
            self.dropped["items_without_attributes"] = len(absent)
            nothing = [pa.nulls(len(absent), field.type) for field in items.schema if field.name != "item_id"]
            return pa.concat_tables([items, pa.table([absent, *nothing], items.schema)])
        return items

    def _missing_items(self) -> DataError:
        """Where the first twenty of them stand for the first time."""
        fix = 'add them to items, or choose missing="drop" or missing="empty"'
        problems: list[Problem] = []
        open_ids = self.catalog.missing
        for met in self.met:
            here = flat(pc.index_in(met.ids, value_set=open_ids).is_valid())
            places = np.flatnonzero(here)
            ids = met.ids.take(pa.array(places))
            _, first = np.unique(flat(ids.dictionary_encode().indices), return_index=True)
            for place in np.sort(first)[: LIMIT - len(problems)].tolist():
                where = met.frame.where(int(met.row[places[place]]), met.column)
                problems.append(Problem(where, f"items has no {shown(ids[place].as_py())}", fix))
            open_ids = open_ids.filter(pc.invert(pc.is_in(open_ids, value_set=pc.unique(ids))))
            if len(problems) == LIMIT or not len(open_ids):
                break
        return DataError(problems, more=len(self.catalog.missing) - len(problems))

    # --- tables

    def _of_clicks(
        self, items: pa.Table, base: KnownUsers, logs: list[Clicks], *, made_parts: bool
    ) -> table.Tables:
        """Each click is an impression with drawn candidates."""
        spec = self.spec
        log = Clicks.joined(logs)
        inside = log.item <= items.num_rows
        if not inside.all():
            absent = len(self.catalog.missing)
            self._count_dropped(missing_items=absent, rows_of_missing_items=int((~inside).sum()))
            log = log.where(inside)
        if not log.click.any():
            raise _nothing(spec.log_option, "there is no click")
        names, user = base.users_with(log.user)
        timed = bool((log.time >= 0).all())
        time = log.time if timed else np.zeros(len(user), np.int64)
        order = np.lexsort((np.arange(len(user)), log.part, time, user))
        order = order[log.click[order]]
        clicks = Ragged.from_lengths(log.item[order], np.bincount(user[order], minlength=len(names)))
        part = log.part[order]
        if made_parts:
            part = self._cut_dev(part, user[order], time[order], timed=timed)
        else:
            part = self._split(user[order], time[order], timed=timed, unit="clicks")
        before = base.history_of(names)
        history = side_by_side(before, clicks)
        whole_part = behind(before, -1, Ragged(part, clicks.offsets)).values
        moments = behind(before, 0, Ragged(time[order], clicks.offsets)) if timed else None
        times = None if len(before.values) else moments
        met = sorted_sets(
            np.concatenate([user, np.repeat(np.arange(len(before)), before.lengths)]),
            np.concatenate([log.item, before.values]),
            len(names),
        )
        urn = (
            clicks.values
            if spec.candidates == "popularity"
            else np.arange(1, items.num_rows + 1, dtype=np.int32)
        )

        def draw(owners: NDArray[np.int64], generator: np.random.Generator) -> Ragged:
            return draw_unseen(urn, owners, met, spec.negatives, generator)

        impressions, without = impressions_of_clicks(history, moments, whole_part, draw, spec.seed)
        self._count_dropped(impressions_without_negatives=without)
        after = ", behind the history in users" if len(before.values) else ""
        drawn = {"popularity": "by their clicks in all parts", "uniform": "each as likely as the others"}
        self.rules |= {
            "click": self._click_rule(),
            "order": "time, then the log" if timed else "the log",
            "history": f"all clicks of the user before the impression{after}",
            "candidates": f"the click and up to {spec.negatives} items that the user never met, {drawn[spec.candidates]}, "
            f"without putting back; places random; seed {spec.seed}",
        }
        return self._tables(items, base, names, history, times, impressions)

    def _of_logs(
        self,
        items: pa.Table,
        base: KnownUsers,
        found: list[tuple[Any, NDArray[np.int8] | None]],
        *,
        made_parts: bool,
    ) -> table.Tables:
        """Impressions stay as they were logged."""
        spec, logs = self.spec, [log for log, _ in found]
        parts = [np.full(len(log.impression), -1, np.int8) if part is None else part for log, part in found]
        if spec.missing == "drop" and len(self.catalog.missing):
            numbered = [attrs.evolve(log, impression=np.arange(len(log.impression))) for log in logs]
            kept_rows = drop_missing(numbered, items.num_rows, len(self.catalog.missing), self.dropped)
            parts = [part[log.impression] for part, log in zip(parts, kept_rows, strict=True)]
            logs = [
                attrs.evolve(new, impression=old.impression[new.impression])
                for old, new in zip(logs, kept_rows, strict=True)
            ]
        log, part = join_logs(logs), np.concatenate(parts)
        if not len(part):
            raise _nothing(spec.log_option, "no impression is left")
        names, user = base.users_with(pa.concat_arrays(log.user.chunks))
        timed = bool((log.time >= 0).all())
        if made_parts:
            part = self._cut_dev(part, user, log.time, timed=timed)
        else:
            part = self._split(user, log.time, timed=timed, unit="impressions")
        if True in self.own_history:
            shared, row, stop = share_histories([log])
            names, history = base.with_others(shared["user_id"], table.ragged(shared["history"]))
            times = None
            self.rules["history"] = "that of the row"
        else:
            row = user.astype(np.int32)
            before = base.history_of(names)
            history, times, stop = clicks_before(log, part, user, before, timed=timed)
            after = ", behind the history in users" if len(before.values) else ""
            self.rules["history"] = f"the clicks of the user in the impressions before{after}"
        self.rules |= {
            "click": self._click_rule(),
            "order": "time, then the log" if timed else "the log",
            "candidates": "those of the log, in its order",
        }
        impressions, single = {}, {}
        for number, name in enumerate(PARTS):
            rows = np.flatnonzero(part == number)
            impressions[name] = part_of_log(log, rows, row[rows], stop[rows], timed=timed)
            single[name] = one_class(log, rows)
        self.rules["one_class"] = single
        return self._tables(items, base, names, history, times, impressions)

    def _tables(
        self,
        items: pa.Table,
        base: KnownUsers,
        names: pa.Array,
        history: Ragged,
        times: Ragged | None,
        impressions: Mapping[str, pa.Table],
    ) -> table.Tables:
        columns = {"user_id": names, "history": lists(history, pa.int32())}
        if times is not None:
            columns["times"] = lists(times, pa.int64())
        attributes, unknown = base.attributes_of(names)
        if attributes:
            self._count_dropped(users_without_attributes=unknown)
        self.rules["reads"] = "texts of the items, with room for 19 of 20"
        return table.Tables(
            items=items,
            users=pa.table({**columns, **attributes}),
            impressions=impressions,
            dropped=self.dropped,
            rules=self.rules,
        )

    def _count_dropped(self, **counts: int) -> None:
        for name, count in counts.items():
            self.dropped[name] = self.dropped.get(name, 0) + count

    def _click_rule(self) -> str:
        above = self.spec.above
        return (
            "label 1, or every row where there are no labels" if above is None else f"label above {above:g}"
        )

    # --- parts

    def _split(
        self, user: NDArray[np.int64], time: NDArray[np.int64], *, timed: bool, unit: str
    ) -> NDArray[np.int8]:
        spec = self.spec
        rule = spec.split or ("time" if timed else "leave_last_out")
        if rule == "time" and not timed:
            fix = "name the column in columns={'time': 'COLUMN'}, or choose split='leave_last_out' or split='user'"
            raise DataError([Problem(spec.log_option, "split='time' needs times, and there are none", fix)])
        part = cut(
            rule, user, time if timed else np.zeros(len(user), np.int64), spec.dev, spec.test, spec.seed
        )
        self.rules["split"] = in_words(rule, spec.dev, spec.test, spec.seed, unit)
        if not (part == 0).any():
            raise _nothing(spec.log_option, f"{len(user)} {unit} are too few to have a train part")
        return part

    def _cut_dev(
        self, part: NDArray[np.int8], user: NDArray[np.int64], time: NDArray[np.int64], *, timed: bool
    ) -> NDArray[np.int8]:
        """Ready-made parts; where dev is not among them, a share of train is."""
        spec = self.spec
        self.rules["split"] = "ready-made"
        absent = [name for number, name in enumerate(PARTS) if name != "dev" and not (part == number).any()]
        if absent:
            fix = "name files of train and test, or one file without a column of parts, which split= cuts"
            raise DataError(
                [Problem(spec.log_option, f"there is no impression in {' and '.join(absent)}", fix)]
            )
        if (part == 1).any() or spec.dev == 0:
            return part
        train = np.flatnonzero(part == 0)
        rule = spec.split or ("time" if timed else "leave_last_out")
        moment = time[train] if timed else np.zeros(len(train), np.int64)
        latest = cut(rule, user[train], moment, 0.0, spec.dev, spec.seed)
        part = part.copy()
        part[train[latest == 2]] = 1
        self.rules["split"] = (
            f"ready-made; dev is of train: {in_words(rule, 0.0, spec.dev, spec.seed, 'impressions')}"
        )
        return part


def _told(found: Roles, attributes: Iterable[str]) -> str:
    """For the manifest: what was taken for what."""
    made = list(attributes)
    left_out = [column for column in found.rest if column not in made]
    parts = [found.told()]
    parts += [f"attributes: {', '.join(made)}"] if made else []
    parts += [f"not read: {', '.join(left_out)}"] if left_out else []
    return "; ".join(parts)


def _nothing(where: str, what: str) -> DataError:
    return DataError([Problem(where, what, "give more of the log, or other options")])
