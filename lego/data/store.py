"""A prepared folder, open: the tables of a source as Arrow files, with a manifest that says what they were made from.

    items.arrow  users.arrow  train.arrow  dev.arrow  test.arrow  manifest.json

`lego.data.prepare` writes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data import table_file
from lego.data.table import PARTS, flat, ragged
from lego.errors import DataError, Problem, did_you_mean
from lego.ragged import Ragged, flat_positions

SCHEMA_VERSION = 3
"""What is written. Version 2 added attributes of impressions, and signals; folders of version 1 are read as having none.
Version 3 writes Arrow files, which are mapped; the Parquet of older folders is read, and `prepare` puts Arrow in its place."""
MANIFEST = "manifest.json"
_TOLD = ("source", "counts", "attributes", "reads", "protocol", "dropped", "rules", "tables", "fingerprint")
"""What the manifest of any version says."""


@attrs.frozen(eq=False, kw_only=True)
class Users:
    """Who there is. Row u is a user; `times` is aligned with `history` (unix seconds), None where the source has none."""

    user_ids: pa.Array
    history: Ragged
    times: Ragged | None = None
    attributes: pa.Table | None = None
    """Line u, counted from 0, is user row u; a column per attribute, as items have them. None where the source has none."""
    signals: Mapping[str, NDArray[np.float32]] = attrs.field(factory=dict)
    """Numbers of each click (how long it was read), flat, aligned with `history.values`; NaN where one is missing."""

    def __len__(self) -> int:
        return len(self.user_ids)


@attrs.frozen(eq=False, kw_only=True)
class Impressions:
    """n rows. The history of row r is `users.history.values[start[r]:stop[r]]`; both count from the first user's first item."""

    impression: NDArray[np.int64]
    user: NDArray[np.int32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    time: NDArray[np.int64] | None
    """Unix seconds; -1 where the time of a row is not known."""
    candidates: Ragged
    labels: NDArray[np.int8]
    """Flat, aligned with `candidates.values`."""
    attributes: pa.Table | None = None
    """Line r is row r; a column per attribute of the impression, as items have them. None where the source has none."""
    signals: Mapping[str, NDArray[np.float32]] = attrs.field(factory=dict)
    """Numbers of each candidate (its position), flat, aligned with `candidates.values`; NaN where one is missing."""
    labeled: bool = True
    """Whether the labels are known; else they are 0 and mean nothing, as in the test part of a challenge."""

    def __len__(self) -> int:
        return len(self.impression)

    def recent(self, history: int) -> Impressions:
        """The same with at most the `history` most recent items of each history."""
        return attrs.evolve(self, start=np.maximum(self.start, self.stop - history))

    def take(self, rows: NDArray[Any]) -> Impressions:
        """The given rows, in the given order."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        starts = self.candidates.offsets[rows]
        flat_rows = flat_positions(starts, self.candidates.offsets[rows + 1] - starts)
        return Impressions(
            impression=self.impression[rows],
            user=self.user[rows],
            start=self.start[rows],
            stop=self.stop[rows],
            time=None if self.time is None else self.time[rows],
            candidates=self.candidates.take(rows),
            labels=self.labels[flat_rows],
            attributes=None if self.attributes is None else self.attributes.take(pa.array(rows, pa.int64())),
            signals={name: values[flat_rows] for name, values in self.signals.items()},
            labeled=self.labeled,
        )


@attrs.frozen(eq=False)
class Store:
    """A prepared folder, open. Only the manifest is read at once; a table is read when it is first asked for."""

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """The prepared folder at `path`, or the only one inside it. DataError where there is none, or a damaged one."""
        folder = Path(path).expanduser()
        if not (folder / MANIFEST).is_file():
            inside = (
                sorted(each.parent for each in folder.glob(f"[!.]*/{MANIFEST}")) if folder.is_dir() else []
            )
            if len(inside) != 1:
                raise DataError([_not_prepared(folder, inside)])
            folder = inside[0]
        return cls(folder.resolve(), _read_manifest(folder))

    @property
    def fingerprint(self) -> str:
        """The hash of what the tables were made from."""
        return str(self.manifest["fingerprint"])

    @property
    def base(self) -> str:
        """The fingerprint of the data whose impressions and candidates these are: its own, unless it adds to other data."""
        return str(self.manifest["base"] or self.fingerprint)

    @property
    def attributes(self) -> dict[str, str]:
        """Attribute of the items → `text`, `category`, `list` or `number`."""
        return dict(self.manifest["attributes"])

    @property
    def user_attributes(self) -> dict[str, str]:
        """Attribute of the users → its kind; empty where they have none."""
        return dict(self.manifest["user_attributes"])

    @property
    def impression_attributes(self) -> dict[str, str]:
        """Attribute of the impressions → its kind; empty where they have none."""
        return dict(self.manifest["impression_attributes"])

    @property
    def history_signals(self) -> tuple[str, ...]:
        """Numbers that stand beside the clicks of a history; empty where there are none."""
        return tuple(self.manifest["history_signals"])

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """Numbers that stand beside the candidates."""
        return tuple(self.manifest["candidate_signals"])

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts there are, empty ones too."""
        return tuple(part for part in PARTS if part in self.manifest["counts"]["impressions"])

    @property
    def item_count(self) -> int:
        """Items; their rows are 1 … item_count."""
        return int(self.manifest["counts"]["items"])

    @property
    def generated(self) -> dict[str, Any]:
        """`items.llm_title` → how many values a language model wrote, which share that is, and which models."""
        return dict(self.manifest["generated"])

    @property
    def real_items(self) -> int:
        """Items that are not generated; their rows are 1 … real_items. Those that a language model invented stand behind them."""
        return self.item_count - int(self.generated.get("items.item_id", {}).get("values", 0))

    @cached_property
    def origins(self) -> pa.Table | None:
        """Where generated values come from; None where nothing is generated."""
        there = any(Path(name).stem == "origins" for name in self.manifest["tables"])
        return self._mapped("origins") if there else None

    @cached_property
    def items(self) -> pa.Table:
        """item_id and the attributes; line r, counted from 1, is item row r."""
        return self._mapped("items")

    @cached_property
    def item_ids(self) -> pa.Array:
        """Id of item row r at position r - 1."""
        return _one_array(self.items["item_id"])

    def item_rows(self, ids: pa.Array | list[str]) -> NDArray[np.int32]:
        """Item row of each id; 0 where no item has it."""
        wanted = pa.array(ids, pa.string())
        return flat(pc.fill_null(pc.add(pc.index_in(wanted, self.item_ids), 1), 0)).astype(np.int32)

    @cached_property
    def users(self) -> Users:
        """The users with their histories."""
        table = self._mapped("users")
        times = ragged(table["times"]) if "times" in table.column_names else None
        names = list(self.user_attributes)
        return Users(
            user_ids=_one_array(table["user_id"]),
            history=ragged(table["history"]),
            times=times,
            attributes=table.select(names) if names else None,
            signals={name: ragged(table[name]).values for name in self.history_signals},
        )

    def part(self, name: str) -> Impressions:
        """The impressions of `train`, `dev` or `test`."""
        if name not in self.parts:
            what = f"there is no part {name!r}. {did_you_mean(name, self.parts)}".strip()
            raise DataError([Problem(str(self.path), what, f"the parts are {', '.join(self.parts)}")])
        if name not in self._parts:
            self._parts[name] = _impressions(
                self._mapped(name),
                self.users,
                list(self.impression_attributes),
                self.candidate_signals,
                labeled=name not in self.manifest["unlabeled"],
            )
        return self._parts[name]

    def table(self, name: str) -> pa.Table:
        """`items`, `users`, a part or `origins`, just as the source gave it (`lego.data.table`)."""
        return table_file.as_given(self._mapped(name))

    def _mapped(self, name: str) -> pa.Table:
        old, new = (self.path / f"{name}{suffix}" for suffix in (table_file.OLD_SUFFIX, table_file.SUFFIX))
        # Another process may have upgraded the folder since it was opened.
        return table_file.mapped(old if old.name in self.manifest["tables"] and old.exists() else new)

    @cached_property
    def _parts(self) -> dict[str, Impressions]:
        return {}


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _impressions(
    table: pa.Table, users: Users, attributes: Sequence[str], signals: Sequence[str], *, labeled: bool
) -> Impressions:
    user = flat(table["user"])
    base = users.history.offsets[user]
    return Impressions(
        impression=flat(table["impression"]),
        user=user,
        start=base + flat(table["start"]),
        stop=base + flat(table["stop"]),
        time=_times(table["time"]) if "time" in table.column_names else None,
        candidates=ragged(table["candidates"]),
        labels=ragged(table["labels"]).values,
        attributes=table.select(attributes) if attributes else None,
        signals={name: ragged(table[name]).values for name in signals},
        labeled=labeled,
    )


def _times(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return flat(pc.fill_null(column, -1) if column.null_count else column)


def _not_prepared(folder: Path, inside: list[Path]) -> Problem:
    if inside:
        names = ", ".join(each.name for each in inside)
        return Problem(str(folder), f"holds {len(inside)} prepared folders", f"name one of them: {names}")
    what = (
        "is not a prepared folder: there is no manifest.json"
        if folder.is_dir()
        else "there is no such folder"
    )
    return Problem(str(folder), what, "make one with: lego data prepare SOURCE RAW --out DIR")


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    again = "prepare it again with: lego data prepare SOURCE RAW --out DIR"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as failure:
        raise DataError([Problem(str(folder / MANIFEST), f"cannot be read: {failure}", again)]) from failure
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema not in range(1, SCHEMA_VERSION + 1):
        newer = isinstance(schema, int) and schema > SCHEMA_VERSION
        what = f"has schema version {schema!r}, and this lego reads 1 to {SCHEMA_VERSION}"
        fix = (
            f"it was written by a newer lego ({manifest.get('lego')}): upgrade this one, or {again}"
            if newer
            else again
        )
        raise DataError([Problem(str(folder / MANIFEST), what, fix)])
    lacking = [name for name in _TOLD if name not in manifest]
    if lacking:
        raise DataError([Problem(str(folder / MANIFEST), f"does not say {', '.join(lacking)}", again)])
    wrong = []
    for name, size in manifest["tables"].items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            what = "is missing" if found is None else f"has {found} bytes, {size} were written"
            wrong.append(Problem(str(folder / name), what, again))
    if wrong:
        raise DataError(wrong)
    return _upgraded(manifest)


def _upgraded(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """A manifest of any version with all that this one says; `schema` stays that of the folder."""
    added: Mapping[str, Any] = {
        "user_attributes": {},
        "impression_attributes": {},
        "history_signals": [],
        "candidate_signals": [],
        "generated": {},
        "base": None,
        "unlabeled": [],
    }
    return {**added, **manifest}
