"""Tables under change: what prompts may be made of, and where the answers go.

Prompts see a user up to the first impression of the dev or test part, and of items what they say. Neither later clicks nor any
candidates of those parts are here, so they cannot reach a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.origin import ORIGINS
from lego.data.store import Store
from lego.data.table import SIGNAL, USERS, Tables, kind_of, lists, ragged
from lego.generator.base import Question, Record
from lego.pretrained.template import rendered
from lego.ragged import Ragged, flat_positions, offsets_of

Until = Literal["train", "first"]
"""How much of a user's history a prompt may hold: up to the first impression of the dev or test part, or of any part."""


@attrs.frozen(kw_only=True)
class Answer:
    """What became of a question."""

    question: Question
    row: int
    """Item row (from 1) or user row (from 0)."""
    values: Mapping[str, Any] | None = None
    """The fields of an answer that fits; None where there is none."""
    record: Record | None = None
    problem: str = ""
    """Why there is no answer that fits; empty where none was ever given."""


class Draft:
    """Items, users and impressions of prepared data, changed step by step."""

    def __init__(self, store: Store) -> None:
        self.items: pa.Table = store.items
        self.users: pa.Table = store.table("users")
        self.impressions = {part: store.table(part) for part in store.parts}
        self.real_items = self.items.num_rows
        """Items that are not generated; those that are stand behind them."""
        self.provenance: list[dict[str, Any]] = []
        self.counts: dict[str, dict[str, Any]] = {}
        self.inserted = 0
        self._insertions: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._history = ragged(self.users["history"])
        self._stops = {until: self._known(until) for until in ("train", "first")}

    # --- what prompts may be made of

    def texts(self, template: str) -> list[str | None]:
        """The template for each item; None where the item has none of what it names."""
        found: list[str | None] = rendered(
            template, {name: self.items[name] for name in self.item_attributes}
        ).to_pylist()
        return found

    def past(self, user: int, until: Until, recent: int) -> NDArray[Any]:
        """Item rows of a user, oldest first: the `recent` latest that prompts may tell of."""
        begin = self._history.offsets[user]
        stop = begin + self._stops[until][user]
        return self._history.values[max(begin, stop - recent) : stop]

    def lengths(self, until: Until) -> NDArray[np.int64]:
        """How many items each user has that prompts may tell of."""
        return self._stops[until]

    @cached_property
    def clicks(self) -> NDArray[np.int64]:
        """How often each item row stands in what prompts may tell of."""
        stops = self._stops["train"]
        flat = self._history.values[flat_positions(self._history.offsets[:-1], stops)]
        return np.bincount(flat, minlength=self.real_items + 1)

    @property
    def item_ids(self) -> list[str]:
        """Id of item row r at r - 1."""
        return list(self.items["item_id"].to_pylist())

    @property
    def user_ids(self) -> list[str]:
        """Id of each user row."""
        return list(self.users["user_id"].to_pylist())

    @property
    def item_attributes(self) -> dict[str, str]:
        """Attribute of the items → its kind."""
        return {f.name: kind_of(f.type) or "" for f in self.items.schema if f.name != "item_id"}

    @property
    def user_attributes(self) -> dict[str, str]:
        """Attribute of the users → its kind."""
        return {
            field.name: kind_of(field.type) or ""
            for field in self.users.schema
            if field.name not in USERS.names and field.type != SIGNAL
        }

    def values_of(self, attribute: str) -> list[str]:
        """The different values that items have in a category or list, the most frequent first."""
        column = self.items[attribute].slice(0, self.real_items)
        if pa.types.is_list(column.type):
            column = pc.list_flatten(column)
        found = pc.value_counts(pc.drop_null(pc.cast(column, pa.string())))
        order = sorted(found.to_pylist(), key=lambda each: (-each["counts"], each["values"]))
        return [each["values"] for each in order]

    def _known(self, until: Until) -> NDArray[np.int64]:
        """How many items of each user's history stand before the impressions that must not be told of."""
        stops = self._history.lengths.copy()
        train = np.full(len(stops), -1, np.int64)
        for part, table in self.impressions.items():
            user = np.asarray(table["user"])
            stop = np.asarray(table["stop"]).astype(np.int64)
            if part == "train" and until == "train":
                np.maximum.at(train, user, stop)
            else:
                np.minimum.at(stops, user, stop)
        if until == "first":
            return stops
        # The clicks of the last train impression are behind it, and may be those of the first dev impression's history.
        only_train = ~self._evaluated()
        stops[only_train] = np.where(train >= 0, train, stops)[only_train]
        return stops

    def _evaluated(self) -> NDArray[np.bool_]:
        found = np.zeros(len(self._history), bool)
        for part, table in self.impressions.items():
            if part != "train":
                found[np.asarray(table["user"])] = True
        return found

    # --- where answers go

    def add_item_attribute(self, name: str, column: pa.Array | pa.ChunkedArray) -> None:
        """A column beside those there are."""
        self.items = self.items.append_column(name, column)

    def add_user_attribute(self, name: str, column: pa.Array | pa.ChunkedArray) -> None:
        """The same of users."""
        self.users = self.users.append_column(name, column)

    def add_items(self, rows: Sequence[Mapping[str, Any]], owners: Sequence[int], until: Until) -> list[int]:
        """Items behind those there are, each at the end of what is known of its owner; their rows.

        The histories of impressions from there on hold them, those before do not.
        """
        if not rows:
            return []
        first = self.items.num_rows + 1
        schema = self.items.schema
        more = pa.table(
            {
                field.name: pa.array([row.get(field.name) for row in rows], _plain(field.type))
                for field in schema
            }
        ).cast(schema)
        self.items = pa.concat_tables([self.items, more]).unify_dictionaries()
        made = list(range(first, first + len(rows)))
        self._insert(np.asarray(made, np.int32), np.asarray(owners, np.int64), until)
        return made

    def _insert(self, rows: NDArray[np.int32], owners: NDArray[np.int64], until: Until) -> None:
        """Puts item rows into the histories of their owners, and moves what impressions see of them."""
        history = ragged(self.users["history"])
        original = self._stops[until]
        at = original.copy()
        for place, number in self._insertions:  # what earlier steps put there stands before
            at += np.where(place <= original, number, 0)
        count = np.bincount(owners, minlength=len(history))
        order = np.argsort(owners, kind="stable")
        places = np.repeat(history.offsets[:-1] + at, count)
        users = self.users
        values = np.insert(history.values, places, rows[order])
        users = _with(
            users, "history", lists(Ragged(values, offsets_of(history.lengths + count)), pa.int32())
        )
        for name in users.column_names:
            field = users.schema.field(name)
            if name != "times" and field.type != SIGNAL:
                continue
            old = ragged(users[name])
            if name == "times":
                before = np.maximum(places - 1, np.repeat(history.offsets[:-1], count))
                filled = old.values[np.minimum(before, max(0, len(old.values) - 1))]
            else:
                filled = np.full(len(rows), np.nan, np.float32)
            new = Ragged(np.insert(old.values, places, filled), offsets_of(history.lengths + count))
            column = lists(new, field.type.value_type)
            users = _with(users, name, column)
        self.users = users
        for part, table in self.impressions.items():
            user = np.asarray(table["user"])
            for edge in ("start", "stop"):
                value = np.asarray(table[edge]).astype(np.int64)
                behind = value > at[user] if edge == "start" else value >= at[user]
                value = value + np.where(behind, count[user], 0)
                table = _with(table, edge, pa.array(value.astype(np.int32)))  # noqa: PLW2901 - one edge after the other
            self.impressions[part] = table
        self._insertions.append((original, count))
        self.inserted += len(rows)

    def note(self, table: str, attribute: str, found: Iterable[tuple[int, str, Record]]) -> int:
        """Where generated values come from; how many there are."""
        lines = [
            {
                "table": table,
                "row": row,
                "id": id_,
                "attribute": attribute,
                "model": record.model or None,
                "prompt": record.prompt or None,
                "time": record.time or None,
            }
            for row, id_, record in found
        ]
        self.provenance += lines
        return len(lines)

    def tables(self, store: Store, dropped: Mapping[str, int]) -> Tables:
        """The tables as they are now."""
        before, made = store.origins, pa.Table.from_pylist(self.provenance, ORIGINS)
        return Tables(
            items=self.items,
            users=self.users,
            impressions=self.impressions,
            dropped={**store.manifest["dropped"], **dropped},
            rules=store.manifest["rules"],
            origins=made if before is None else pa.concat_tables([before, made]),
            base=store.base,
            unlabeled=tuple(store.manifest["unlabeled"]),
        )


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind


def _with(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with another column of that name, in its place."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), column)
