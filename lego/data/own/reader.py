"""Files or frames of one's own → items, users and a log, with the places of all that is wrong in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import Catalog, Clicks, Log, no_rows
from lego.data.own.alike import alike
from lego.data.own.attributes import attributes_in, item_roles
from lego.data.own.candidate_rows import read_rows
from lego.data.own.impression_rows import read_impressions
from lego.data.own.known_users import UserTable
from lego.data.own.missing import complain_of_missing
from lego.data.own.reading import Reading, in_words
from lego.data.own.sequences import read_sequences
from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.guess import NAMES, plain, roles
from lego.data.raw.read_frame import read_frame
from lego.data.raw.values import unique_ids
from lego.data.table import PARTS
from lego.errors import DataError, Problem, did_you_mean

if TYPE_CHECKING:
    from lego.data.source.tables import Tables


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
    dropped: dict[str, int] = attrs.field(factory=dict)
    log: Reading = attrs.field(init=False)
    item_ids: pa.Array | None = None
    """The ids of the items, where they can be read."""

    def __attrs_post_init__(self) -> None:
        """What the log needs to be read."""
        self.log = Reading(self.spec)

    @property
    def rules(self) -> dict[str, Any]:
        """How the tables were read."""
        return self.log.rules

    @property
    def problems(self) -> Problems:
        """What is wrong in them."""
        return self.log.problems

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
            complain_of_missing(self.log.catalog.missing, self.item_ids, self.log.met, problems)
        problems.raise_any()
        found = list(zip(alike([log for log, _ in found]), [part for _, part in found], strict=True))
        logs = [each for each in found if isinstance(each[0], Log)]
        clicks = [each for each in found if isinstance(each[0], Clicks)]
        if (logs and clicks) or len(self.log.own_history) > 1:
            what = "some files have impressions or histories, and some have not"
            raise DataError([Problem(spec.log_option, what, "give each file the same columns")])
        items = self._settle_missing(items)
        return ReadTables(
            items=items,
            users=users,
            clicks=[log for log, _ in clicks if isinstance(log, Clicks)],
            impressions=logs,
            made_parts=bool(parts[0]) or any(part is not None for _, part in found),
            missing=self.log.catalog.missing,
            own_history=True in self.log.own_history,
            labels=tuple(self.log.labels),
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

    def _items(self, frame: Frame) -> pa.Table:
        found = item_roles(frame, self.spec.columns, self.problems)
        attributes = attributes_in(frame, found, "items", self.spec.kinds, self.problems)
        ids = self.log.ids(frame, found, "item")
        self.rules["items"] = in_words(found, attributes)
        if ids is None:
            return pa.table({"item_id": pa.array([], pa.string())})
        unique_ids(frame, found.columns["item"], ids, "item", "keep one row per item", self.problems)
        self.log.catalog, self.item_ids = Catalog(pc.unique(ids)), ids
        return pa.table({"item_id": ids, **attributes}) if not self.problems else pa.table({"item_id": ids})

    def _users(self, frame: Frame) -> UserTable:
        found = roles(
            frame, "users", ("user",), ("history",), self.spec.columns, self.problems, own_id="user"
        )
        attributes = attributes_in(frame, found, "users", self.spec.kinds, self.problems)
        ids = self.log.ids(frame, found, "user")
        self.rules["users"] = in_words(found, attributes)
        if ids is None:
            return UserTable(pa.array([], pa.string()), {}, no_rows(0))
        unique_ids(frame, found.columns["user"], ids, "user", "keep one row per user", self.problems)
        history = self.log.lists(frame, found.columns["history"]) if "history" in found.columns else None
        return UserTable(ids, attributes, no_rows(len(ids)) if history is None else history)

    def _read(self, frame: Frame, part: str) -> tuple[Log | Clicks | None, NDArray[np.int8] | None]:
        """The log of a file, and the part of each row where it says."""
        read = {
            "impressions": read_impressions,
            "rows": read_rows,
            "sequences": read_sequences,
        }
        log, parts = read[self.spec.log_option](self.log, frame)
        if part and log is not None:
            length = len(log.impression) if isinstance(log, Log) else len(log)
            parts = np.broadcast_to(np.int8(PARTS.index(part)), length)
        if isinstance(log, Clicks) and parts is not None:
            log.part = parts
        return log, parts

    def _settle_missing(self, items: pa.Table) -> pa.Table:
        absent, spec = self.log.catalog.missing, self.spec
        self.rules["missing"] = spec.missing
        if not len(absent):
            return items
        if spec.missing == "error":
            complain_of_missing(absent, items["item_id"].combine_chunks(), self.log.met, self.problems)
            self.problems.raise_any()
        if spec.missing == "empty":
            self.dropped["items_without_attributes"] = len(absent)
            nothing = [pa.nulls(len(absent), field.type) for field in items.schema if field.name != "item_id"]
            return pa.concat_tables([items, pa.table([absent, *nothing], items.schema)])
        return items
