"""Files or frames of one's own → items, users and a log, with the places of all that is wrong in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import (
    Catalog,
    Clicks,
    Log,
    no_rows,
)
from lego.data.own.known_users import UserTable
from lego.data.problems import LIMIT, GroupedProblems, Problems
from lego.data.raw.frame import Frame, read_frame
from lego.data.raw.growing import Growing
from lego.data.raw.guess import NAMES, Roles, kind_by_values, looks_like, plain, roles
from lego.data.raw.values import (
    array_of,
    as_numbers,
    attribute_of,
    clicks_of,
    id_lists,
    ids_of,
    number_lists,
    shown,
    times_of,
    unique_ids,
)
from lego.data.table import IMPRESSIONS, KINDS, PARTS, PAST, USERS, flat
from lego.errors import DataError, Problem, did_you_mean
from lego.ragged import Ragged

if TYPE_CHECKING:
    from lego.data.source.tables import Tables

BESIDE = ("candidates", "history")
"""What numbers of a log may stand beside: kinds of its columns, with those of attributes."""
DOUBTS = "doubts"
"""The rule of the manifest that lists what may have been misread."""

_MADE_PARTS = {**{part: part for part in PARTS}, "valid": "dev", "validation": "dev", "val": "dev"}
"""What a column of parts may hold."""


def item_roles(frame: Frame, columns: Mapping[str, str], problems: Problems) -> Roles:
    """What the columns of the items are."""
    return roles(frame, "items", ("item",), (), columns, problems, own_id="item")


def attributes_in(
    frame: Frame, found: Roles, option: str, kinds: Mapping[str, str], problems: Problems
) -> dict[str, pa.Array]:
    """The columns without a role as attributes."""
    made = {}
    taken = ("item_id",) if option == "items" else ("user_id", "history", "times")
    for column in found.rest:
        kind = kinds.get(f"{option}.{column}", kinds.get(column)) or kind_by_values(frame.table[column])
        if kind in BESIDE:  # of a column of the log that has the same name
            kind = kind_by_values(frame.table[column])
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


@attrs.frozen(eq=False)
class _Columns:
    """What the columns of a log without a role became."""

    attributes: dict[str, pa.Array] = attrs.field(factory=dict)
    beside: dict[str, dict[str, NDArray[np.float32]]] = attrs.field(
        factory=lambda: {each: {} for each in BESIDE}
    )
    """`candidates` or `history` → name → numbers, flat."""

    def names(self) -> list[str]:
        return [*self.attributes, *(name for each in self.beside.values() for name in each)]


# --- the log ------------------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Met:
    """Where ids of items stand in a frame, so that one that is missing can be shown."""

    frame: Frame
    column: str
    found: tuple[pa.Array, NDArray[np.int64]] | None = None
    """The ids, and the row of each; None where each row has just one, which can be read again."""

    def ids(self) -> tuple[pa.Array, NDArray[np.int64]]:
        """The same."""
        if self.found is not None:
            return self.found
        ids = ids_of(self.frame, self.column, Problems())
        assert ids is not None  # they were read before
        return ids, np.arange(self.frame.table.num_rows)


@attrs.frozen(eq=False)
class _Rows:
    """Rows of a log as they are read piece by piece."""

    user: Growing = attrs.field(factory=lambda: Growing(np.int32))
    item: Growing = attrs.field(factory=lambda: Growing(np.int32))
    click: Growing = attrs.field(factory=lambda: Growing(np.bool_))
    part: Growing = attrs.field(factory=lambda: Growing(np.int8))


@attrs.frozen(eq=False, kw_only=True)
class ReadTables:
    """What was read, item ids looked up; items that the table lacks have rows behind its own."""

    items: pa.Table
    users: UserTable | None
    clicks: list[Clicks]
    """Logs in which every click is by itself; empty where impressions were logged."""
    impressions: list[tuple[Any, NDArray[np.int8] | None]]
    """Logs of impressions, each with the parts of its rows where it says."""
    made_parts: bool
    """Whether the files say which part a row is of."""
    missing: pa.Array
    """Ids of the log that the items lack."""
    own_history: bool
    """Whether impressions have a history of their own."""
    labels: tuple[str, ...] = ()
    """Where the labels of a log of rows stand: file and column."""


@attrs.define(eq=False)
class TableReader:
    """Reads the tables of a `Tables`, once. `dropped` and `rules` are what the manifest says of it."""

    spec: Tables
    problems: Problems = attrs.field(factory=GroupedProblems)
    dropped: dict[str, int] = attrs.field(factory=dict)
    rules: dict[str, Any] = attrs.field(factory=dict)
    met: list[_Met] = attrs.field(factory=list)
    own_history: set[bool] = attrs.field(factory=set)
    """Whether impressions have a history of their own, of each file."""
    catalog: Catalog = attrs.field(factory=lambda: Catalog(pa.array([], pa.string())))
    item_ids: pa.Array | None = None
    """The ids of the items, where they can be read."""
    labels: list[str] = attrs.field(factory=list)
    """File and column of labels."""
    log_kinds: dict[str, str] = attrs.field(factory=dict)
    """What the first file of the log showed its columns to be; the others are read alike."""

    def read(self) -> ReadTables:
        """All of it; DataError with what is wrong."""
        spec, problems = self.spec, self.problems
        frames = [read_frame(path, option, problems) for option, path in spec.named_paths()]
        whole = [frame for frame in frames if frame is not None]
        if len(whole) < len(frames):
            problems.raise_any()
        item_frame, *rest = whole
        user_frame = rest.pop(0) if spec.users is not None else None
        self._refuse_swapped(item_frame, rest)
        self._refuse_unused(whole)
        items = self._items(item_frame)
        users = None if user_frame is None else self._users(user_frame)
        parts = [part for part, _ in spec.log_paths()]
        found = [self._read(frame, part) for frame, part in zip(rest, parts, strict=True)]
        if problems and spec.missing == "error" and self.item_ids is not None:
            self._complain_of_missing(self.item_ids)
        problems.raise_any()
        found = list(zip(self._alike([log for log, _ in found]), [part for _, part in found], strict=True))
        logs = [each for each in found if isinstance(each[0], Log)]
        clicks = [each for each in found if isinstance(each[0], Clicks)]
        if (logs and clicks) or len(self.own_history) > 1:
            what = "some files have impressions or histories, and some have not"
            raise DataError([Problem(spec.log_option, what, "give each file the same columns")])
        items = self._settle_missing(items)
        return ReadTables(
            items=items,
            users=users,
            clicks=[log for log, _ in clicks if isinstance(log, Clicks)],
            impressions=logs,
            made_parts=bool(parts[0]) or any(part is not None for _, part in found),
            missing=self.catalog.missing,
            own_history=True in self.own_history,
            labels=tuple(self.labels),
        )

    def _refuse_swapped(self, items: Frame, logs: list[Frame]) -> None:
        """DataError where the items have users and the log has none: all else that is wrong would follow from that."""
        known = {name for tier in NAMES["user"] for name in tier}

        def has_user(frame: Frame) -> bool:
            return any(plain(name) in known for name in frame.columns)

        named = {"user", f"{self.spec.log_option}.user"} & self.spec.columns.keys()
        if not named and has_user(items) and not any(has_user(log) for log in logs):
            what = f"has a column of users, and {' and '.join(log.name for log in logs)} has none: they look exchanged"
            fix = f"give the items first and the log as {self.spec.log_option}=, or name the user in columns={{'user': 'COLUMN'}}"
            raise DataError([Problem(items.name, what, fix)])

    def _refuse_unused(self, frames: list[Frame]) -> None:
        """Names in `columns=` and `kinds=` that no table has: dropped in silence they would be guessed."""
        for role, column in self.spec.columns.items():
            there = list(dict.fromkeys(name for frame in frames for name in frame.columns))
            if "." not in role and column not in there:
                fix = f"{did_you_mean(column, there)}The columns are {', '.join(there)}"
                self.problems.add(f"columns={{{role!r}: {column!r}}}", "no table has such a column", fix)
        for name in self.spec.kinds:
            there = list(dict.fromkeys(each for frame in frames for each in frame.columns))
            if name not in there and name.partition(".")[2] not in there:
                fix = f"{did_you_mean(name, there)}The columns are {', '.join(there)}"
                self.problems.add(f"kinds: {name!r}", "no table has such a column", fix)

    # --- reading

    def _items(self, frame: Frame) -> pa.Table:
        found = item_roles(frame, self.spec.columns, self.problems)
        attributes = attributes_in(frame, found, "items", self.spec.kinds, self.problems)
        ids = self._ids(frame, found, "item")
        self.rules["items"] = _told(found, attributes)
        if ids is None:
            return pa.table({"item_id": pa.array([], pa.string())})
        unique_ids(frame, found.columns["item"], ids, "item", "keep one row per item", self.problems)
        self.catalog, self.item_ids = Catalog(pc.unique(ids)), ids
        return pa.table({"item_id": ids, **attributes}) if not self.problems else pa.table({"item_id": ids})

    def _users(self, frame: Frame) -> UserTable:
        found = roles(
            frame, "users", ("user",), ("history",), self.spec.columns, self.problems, own_id="user"
        )
        attributes = attributes_in(frame, found, "users", self.spec.kinds, self.problems)
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
        self.met.append(_Met(frame, column, (ids, row)))
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
            length = len(log.impression) if isinstance(log, Log) else len(log)
            parts = np.broadcast_to(np.int8(PARTS.index(part)), length)
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
        told = self._beside_impressions(
            frame, found, candidates.lengths, history.lengths if "history" in columns else None
        )
        log = Log(
            impression=impression,
            user=pa.chunked_array([user]),
            time=time,
            history=history,
            candidates=candidates,
            labels=labels,
            attributes=_table(told),
            signals=told.beside["candidates"],
            history_signals=told.beside["history"],
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
        if not {"user", "item"} <= columns.keys():
            return None, None
        if "label" in columns:
            self.labels.append(f"{frame.name}, column {columns['label']}")
        users, read = Catalog(pa.array([], pa.string())), _Rows()
        for piece in frame.pieces():
            if not self._read_piece(piece, columns, users, read):
                break
        time = self._times(frame, found)
        group = self._ids(frame, found, "impression")
        part = read.part.array() if "part" in columns else None
        if len(self.problems) > before or time is None:
            return None, part
        user, item, click = read.user.array(), read.item.array(), read.click.array()
        if group is not None:
            names = users.missing.take(pa.array(user))
            return self._grouped(frame, found, group, names, item, click, time, part)
        everywhere = np.broadcast_to(np.int8(-1), len(item))
        told = self._beside_clicks(frame, found)
        return Clicks(
            names=users.missing,
            user=user,
            item=item,
            click=click,
            time=time,
            part=everywhere if part is None else part,
            attributes=_table(told),
            signals=told.beside["history"],
        ), part

    def _read_piece(self, frame: Frame, columns: Mapping[str, str], users: Catalog, read: _Rows) -> bool:
        """Users, items, labels and parts of some rows; whether there is sense in reading on."""
        problems = self.problems
        user, item = (ids_of(frame, columns[role], problems) for role in ("user", "item"))
        click: NDArray[np.bool_] | None = np.ones(frame.table.num_rows, bool)
        if "label" in columns:
            click = clicks_of(frame, columns["label"], self.spec.above, problems)
        part = self._parts(frame, columns.get("part"))
        rows = None
        if item is not None:  # what the items lack is told among what is wrong elsewhere
            rows = _places(self.catalog, item)
            self.met.append(_Met(frame, columns["item"]))
        if user is None or rows is None or click is None:
            # What is wrong with a whole column is said once.
            return not any(each.where.startswith(f"{frame.name}, column ") for each in problems.shown)
        read.user.add(_places(users, user) - 1)
        read.item.add(rows)
        read.click.add(click)
        if part is not None:
            read.part.add(part)
        return True

    def _grouped(
        self,
        frame: Frame,
        found: Roles,
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
            frame.complain(wrong, found.columns[role], words, fix, self.problems)
            if wrong.any():
                return None, part
        order = np.argsort(code, kind="stable")
        begin = time.copy()[first]
        np.minimum.at(begin, code, time)
        whole = pc.all(pc.match_substring_regex(group, r"^(0|[1-9]\d{0,14})$")).as_py()
        ids = group.take(pa.array(first))
        told = self._beside_groups(frame, found, code, first, order)
        log = Log(
            impression=flat(pc.cast(ids, pa.int64())) if whole else np.arange(len(first)),
            user=pa.chunked_array([user.take(pa.array(first))]),
            time=begin,
            history=no_rows(len(first)),
            candidates=Ragged.from_lengths(item[order], np.bincount(code)),
            labels=click[order].astype(np.int8),
            attributes=_table(told),
            signals=told.beside["candidates"],
        )
        return log, None if part is None else part[first]

    # --- columns without a role

    def _beside_impressions(
        self, frame: Frame, found: Roles, candidates: NDArray[np.int64], history: NDArray[np.int64] | None
    ) -> _Columns:
        """Attributes; lists of as many numbers as there are candidates, or items of the history, stand beside these."""
        told = _Columns()
        lengths = {"candidates": candidates, **({} if history is None else {"history": history})}
        for column in self._free(found):
            kind = self._said(column)
            numbers = None if kind in KINDS else number_lists(frame, column)
            fits = (
                [] if numbers is None else [of for of, each in lengths.items() if (each == numbers[1]).all()]
            )
            if kind in BESIDE and kind not in fits:
                self._complain_of_lengths(frame, column, kind, numbers, lengths.get(kind))
                continue
            if kind is None and len(fits) > 1:
                what = "has a number for each candidate and for each item of the history"
                fix = f"say which is meant, in kinds={{{column!r}: 'candidates'}} or 'history'"
                self.problems.add(f"{frame.name}, column {column}", what, fix)
                continue
            kind = self.log_kinds[column] = kind or (fits[0] if fits else kind_by_values(frame.table[column]))
            if kind in BESIDE:
                assert numbers is not None
                told.beside[kind][column] = numbers[0]
            else:
                self._attribute(frame, column, kind, told)
        self.rules[frame.name] = _told(found, told.names(), told)
        return told

    def _complain_of_lengths(
        self,
        frame: Frame,
        column: str,
        kind: str,
        numbers: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
        wanted: NDArray[np.int64] | None,
    ) -> None:
        place, fix = f"{frame.name}, column {column}", "correct it, or leave it out with the kind 'none'"
        if wanted is None:
            self.problems.add(place, "there is no history that it could stand beside", fix)
        elif numbers is None:
            self.problems.add(place, "lists of numbers are expected", fix)
        else:
            lengths = numbers[1]
            frame.complain(
                lengths != wanted,
                column,
                lambda row: f"{lengths[row]} numbers for {wanted[row]} items of {kind}",
                fix,
                self.problems,
            )

    def _beside_clicks(self, frame: Frame, found: Roles) -> _Columns:
        """Attributes of the impression that a click makes; numbers that later impressions see where `kinds` says so."""
        told = _Columns()
        for column in self._free(found):
            kind = self.log_kinds[column] = self._said(column) or kind_by_values(frame.table[column])
            if kind == "candidates":
                what = "candidates are drawn here, so nothing is known of them"
                self.problems.add(f"{frame.name}, column {column}", what, "give the log impression ids")
            elif kind == "history":
                self._numbers(frame, column, "history", told)
            else:
                self._attribute(frame, column, kind, told)
        self.rules[frame.name] = _told(found, told.names(), told)
        return told

    def _beside_groups(
        self,
        frame: Frame,
        found: Roles,
        code: NDArray[np.int64],
        first: NDArray[np.int64],
        order: NDArray[np.int64],
    ) -> _Columns:
        """Attributes; numbers that differ within an impression stand beside candidates, other things that do are not read."""
        told, rows = _Columns(), _Columns()
        for column in self._free(found):
            kind = self._said(column)
            if kind is None:
                kind = kind_by_values(frame.table[column])
                values = array_of(frame, column)
                if kind != "list":
                    words = flat(pc.fill_null(values.dictionary_encode().indices, -1))
                    if (words != words[first[code]]).any():
                        kind = "candidates" if kind == "number" else "none"
                self.log_kinds[column] = kind
            if kind == "history":
                what = "the history is that of earlier impressions"
                self.problems.add(f"{frame.name}, column {column}", what, "say 'candidates', or 'none'")
            elif kind == "candidates":
                self._numbers(frame, column, "candidates", rows)
            else:
                self._attribute(frame, column, kind, rows)
        for name, values in rows.attributes.items():
            told.attributes[name] = values.take(pa.array(first))
        for name, numbers in rows.beside["candidates"].items():
            told.beside["candidates"][name] = numbers[order]
        self.rules[frame.name] = _told(found, told.names(), told)
        return told

    def _free(self, found: Roles) -> list[str]:
        """Columns that can become something; names that tables use themselves are left alone, unless a kind is said."""
        used = {*IMPRESSIONS.names, *USERS.names, *PAST}
        names = [column for column in found.rest if column.partition("@")[0] not in used]
        for column in found.rest:
            if column not in names and self._said(column) not in (None, "none"):
                what = f"what is known of an impression cannot be called {column}"
                self.problems.add(f"column {column}", what, "rename it, or leave it out with the kind 'none'")
        return names

    def _said(self, column: str) -> str | None:
        """The kind that the options say, or that an earlier file of the log showed."""
        kinds = self.spec.kinds
        return kinds.get(f"{self.spec.log_option}.{column}", kinds.get(column)) or self.log_kinds.get(column)

    def _attribute(self, frame: Frame, column: str, kind: str, told: _Columns) -> None:
        values = None if kind == "none" else attribute_of(frame, column, kind, self.problems)
        if values is not None:
            told.attributes[column] = values

    def _numbers(self, frame: Frame, column: str, of: str, told: _Columns) -> None:
        values = attribute_of(frame, column, "number", self.problems)
        if values is not None:
            told.beside[of][column] = flat(pc.fill_null(values, float("nan"))).astype(np.float32)

    def _alike(self, logs: list[Log | Clicks | None]) -> list[Log | Clicks | None]:
        """The files of a log with the columns of all, missing values where one of them lacks a column."""
        there = [log for log in logs if log is not None]
        tables = [log.attributes for log in there if log.attributes is not None]
        kinds = {field.name: field.type for table in tables for field in table.schema}
        names = {
            option: dict.fromkeys(name for log in there for name in getattr(log, option, {}))
            for option in ("signals", "history_signals")
        }

        def filled(log: Log | Clicks, option: str, count: int) -> dict[str, NDArray[np.float32]]:
            found = getattr(log, option)
            return {name: found.get(name, np.full(count, np.nan, np.float32)) for name in names[option]}

        made: list[Log | Clicks | None] = []
        for log in logs:
            if log is None:
                made.append(None)
                continue
            table = pa.table({}) if log.attributes is None else log.attributes
            count = len(log.impression) if isinstance(log, Log) else len(log)
            columns = {
                name: table[name] if name in table.column_names else pa.nulls(count, kind)
                for name, kind in kinds.items()
            }
            attributes = pa.table(columns) if columns else None
            if isinstance(log, Clicks):
                signals = filled(log, "signals", count)
                made.append(attrs.evolve(log, attributes=attributes, signals=signals))
            else:
                signals = filled(log, "signals", len(log.candidates.values))
                before = filled(log, "history_signals", len(log.history.values))
                made.append(attrs.evolve(log, attributes=attributes, signals=signals, history_signals=before))
        return made

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
        names, code = in_order_met(user)
        met = code[owner]
        clicks = Clicks(
            names=names,
            user=met,
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
        self._doubt(frame, found, optional)
        return found

    def _doubt(self, frame: Frame, found: Roles, optional: tuple[str, ...]) -> None:
        """Says of each column without a role that it looks like one that no column has, unless its kind was chosen."""
        instead = {
            "label": "every row is taken for a click",
            "time": "the order of the log is taken for that of time",
        }
        absent = [role for role in instead if role in optional and role not in found.columns]
        for column in found.rest:
            kinds = self.spec.kinds
            if {column, f"{self.spec.log_option}.{column}"} & kinds.keys():
                continue
            role = looks_like(frame.table[column]) if absent else None
            if role in absent:
                doubt = (
                    f"{frame.name}: no column is known to be the {role}, so {instead[role]}; the column {column} looks like "
                    f"it. If it is: columns={{{role!r}: {column!r}}}; if not: kinds={{{column!r}: 'none'}}, or its kind"
                )
                self.rules.setdefault(DOUBTS, []).append(doubt)

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
            self._complain_of_missing(items["item_id"].combine_chunks())
            self.problems.raise_any()
        if spec.missing == "empty":
            self.dropped["items_without_attributes"] = len(absent)
            nothing = [pa.nulls(len(absent), field.type) for field in items.schema if field.name != "item_id"]
            return pa.concat_tables([items, pa.table([absent, *nothing], items.schema)])
        return items

    def _complain_of_missing(self, known: pa.Array) -> None:
        """Where the first of them stand for the first time."""
        problems, open_ids = self.problems, self.catalog.missing
        fix = 'add them to items, or choose missing="drop" or missing="empty"'
        if len(known) and not self._meets_any(known):
            there = shown(known[0].as_py())
            fix = f"no id of the log is in items, which has ids like {there}: name the columns of both in columns="
        told: list[Problem] = []
        for met in self.met:
            every, rows = met.ids()
            here = flat(pc.index_in(every, value_set=open_ids).is_valid())
            places = np.flatnonzero(here)
            ids = every.take(pa.array(places))
            _, first = np.unique(flat(ids.dictionary_encode().indices), return_index=True)
            for place in np.sort(first)[: LIMIT - len(told)].tolist():
                where = met.frame.where(int(rows[places[place]]), met.column)
                told.append(Problem(where, f"items has no {shown(ids[place].as_py())}", fix))
            open_ids = open_ids.filter(pc.invert(pc.is_in(open_ids, value_set=pc.unique(ids))))
            if len(told) == LIMIT or not len(open_ids):
                break
        problems.extend(told)
        if told and (more := len(self.catalog.missing) - len(told)):
            problems.count_alike(told[0], more)

    def _meets_any(self, known: pa.Array) -> bool:
        return any(pc.any(pc.is_in(met.ids()[0], value_set=known), min_count=0).as_py() for met in self.met)


def _places(catalog: Catalog, ids: pa.Array) -> NDArray[np.int32]:
    """The row of each id, which is looked up once where it stands in several places."""
    coded = ids.dictionary_encode()
    return catalog.rows(coded.dictionary)[flat(coded.indices)]


def in_order_met(user: pa.Array) -> tuple[pa.Array, NDArray[np.int32]]:
    """Distinct users in the order in which they first appear, and the place of each row's among them."""
    coded = user.dictionary_encode()
    return coded.dictionary, flat(coded.indices)


def _table(told: _Columns) -> pa.Table | None:
    return pa.table(told.attributes) if told.attributes else None


def _told(found: Roles, attributes: Iterable[str], log: _Columns | None = None) -> str:
    """For the manifest: what was taken for what."""
    made = list(attributes)
    left_out = [column for column in found.rest if column not in made]
    parts = [found.told()]
    if log is None:
        parts += [f"attributes: {', '.join(made)}"] if made else []
    else:
        parts += [f"attributes of the impression: {', '.join(log.attributes)}"] if log.attributes else []
        for of, names in log.beside.items():
            parts += [f"beside the {of}: {', '.join(names)}"] if names else []
    parts += [f"not read: {', '.join(left_out)}"] if left_out else []
    return "; ".join(parts)
