"""A prepared folder: the tables of a source as Arrow files, with a manifest that says what they were made from.

    items.arrow  users.arrow  train.arrow  dev.arrow  test.arrow  manifest.json

A folder is written aside and renamed, so it is whole or it is not there. Its name holds the fingerprint: a hash of the source's
options, of its raw files and of the schema version. Other options or other files make another folder; nothing is ever overwritten
with something else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock
from numpy.typing import NDArray

from lego.data import table_file
from lego.data.durable import replace_folder, sync, write_durably
from lego.data.hashes import describe_files, refuse_changed
from lego.data.origin import generated
from lego.data.progress import watched
from lego.data.raw.growing import growing_in
from lego.data.table import IMPRESSIONS, PARTS, Tables, flat, ragged
from lego.data.upgrade import upgrade
from lego.errors import DataError, Problem, did_you_mean
from lego.home import written
from lego.ragged import Ragged, flat_positions
from lego.spec import Source

SCHEMA_VERSION = 3
"""What is written. Version 2 added attributes of impressions, and signals; folders of version 1 are read as having none.
Version 3 writes Arrow files, which are mapped; the Parquet of older folders is read, and `prepare` puts Arrow in its place."""
_RULES_VERSION = 1
"""Counts changes that make prepared tables other ones; part of every fingerprint."""
MANIFEST = "manifest.json"
_TOLD = ("source", "counts", "attributes", "reads", "protocol", "dropped", "rules", "tables", "fingerprint")
"""What the manifest of any version says."""

Progress = Callable[[str], None]


# --- what is read -------------------------------------------------------------------------------------------------------------


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
    table: pa.Table, users: Users, attributes: Sequence[str], signals: Sequence[str]
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
    }
    return {**added, **manifest}


# --- what is written ----------------------------------------------------------------------------------------------------------


def prepare(
    source: Source,
    root: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Store:
    """The prepared folder of a source below `root`, made where it is not there yet: `root/<source>-<fingerprint[:12]>`.

    With `to` it is that very folder; DataError where something else stands there, but `force` replaces other prepared data.
    `progress` is told each step in a few words. `force` makes the folder again. A source that is prepared already (`Prepared`) is
    opened where it is. Two processes may ask for the same folder at once: one makes it, the other waits and opens it.
    """
    tell = progress or _silent
    ready = source.ready()
    if ready is not None:
        if to is not None:
            what = f"is prepared already, so nothing is written to {to}"
            raise DataError([Problem(str(ready), what, "copy the folder, or leave --out away")])
        return _renewed_alone(Store.open(ready), Path(root).expanduser().resolve(), tell)
    root = Path(root).expanduser().resolve()
    refused = _unwritable(root)
    began = time.perf_counter()
    tell("looking at the raw files")
    files = describe_files(list(source.files()), root, keep=refused is None)
    options = dict(source.fingerprint())
    fingerprint = _fingerprint(source, options, files)
    target = root / f"{type(source).__name__.lower()}-{fingerprint[:12]}"
    if refused is not None:
        # What is prepared already is read where it is, though nothing can be written beside it.
        if to is None and not force and (store := _reusable(target, fingerprint)) is not None:
            tell(f"found {target}")
            return store
        raise refused
    lock = root / f".{target.name}.lock"
    if to is not None:
        target = Path(to).expanduser().resolve()
        lock = _lock_elsewhere(root, target)
        root = target.parent
        if refused := _unwritable(root, "name another folder with --out"):
            raise refused
    with FileLock(lock):
        if not force and (store := _reusable(target, fingerprint)) is not None:
            store = _renewed(store, tell)
            tell(f"found {target}")
            return store
        if to is not None:
            refuse_occupied(target, force=force)
        for leftover in root.glob(
            f".{target.name}.*.partial"
        ):  # of a preparation that was killed: we hold its lock
            shutil.rmtree(leftover)
        aside = root / f".{target.name}.{os.getpid()}.partial"
        aside.mkdir()
        try:
            tell("reading")
            with watched(tell, [file["path"] for file in files]), growing_in(aside):
                tables = source.tables().check()
            refuse_changed(files)
            with written(target):
                sizes = _write_tables(tables, aside, tell)
                manifest = _manifest(source, tables, options, files, fingerprint, sizes)
                manifest["seconds"] = round(time.perf_counter() - began, 3)
                text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
                write_durably(aside / MANIFEST, text.encode())
                replace_folder(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    tell(f"wrote {target}")
    return Store.open(target)


_ELSEWHERE = (
    "name a folder for all prepared data that can be written to in LEGO_HOME, or prepare it elsewhere with "
    "`lego data prepare … --out DIR` and read it with Prepared(DIR)"
)


def _unwritable(root: Path, fix: str = _ELSEWHERE) -> DataError | None:
    """Makes the folder where it is not there yet; the error to raise where nothing can be written in it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as failure:
        problem = Problem(str(root), f"cannot be written to: {failure.strerror}", fix)
        return DataError([problem], headline="cannot keep what is prepared")
    return None


def refuse_occupied(target: Path, *, force: bool) -> None:
    """Nothing is removed but prepared data, and that only where it was asked for."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() and not (target / MANIFEST).is_file():
        raise DataError(
            [Problem(str(target), "is there and is not prepared data", "name a folder that is new or empty")]
        )
    if target.exists() and not force:
        what = "holds prepared data of other options or files, or is damaged"
        raise DataError([Problem(str(target), what, "name another folder, or replace it with --force")])


def _silent(step: str) -> None:
    """Nobody listens."""


def _fingerprint(source: Source, options: Mapping[str, Any], files: list[dict[str, Any]]) -> str:
    told = {
        "schema": _RULES_VERSION,
        "source": _class_name(source),
        "options": options,
        "files": [[file["name"], file["sha256"]] for file in files],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=_plain).encode()).hexdigest()


def _class_name(source: Source) -> str:
    return f"{type(source).__module__}:{type(source).__qualname__}"


def _plain(value: Any) -> Any:
    """Mappings and sequences that JSON does not know."""
    return dict(value) if isinstance(value, Mapping) else list(value)


def _reusable(target: Path, fingerprint: str) -> Store | None:
    if not (target / MANIFEST).is_file():
        return None
    try:
        store = Store.open(target)
    except DataError:  # damaged: made again
        return None
    return store if store.fingerprint == fingerprint else None


def _lock_elsewhere(root: Path, folder: Path) -> Path:
    """The lock of a prepared folder anywhere: below `root`, so that nothing is left beside the folder."""
    return root / f".{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.lock"


def _renewed_alone(store: Store, root: Path, tell: Progress) -> Store:
    """`_renewed`, for a folder that no lock is held of."""
    if store.manifest["schema"] == SCHEMA_VERSION or _unwritable(root):
        return store
    with FileLock(_lock_elsewhere(root, store.path.resolve())):
        return _renewed(Store.open(store.path), tell)


def _renewed(store: Store, tell: Progress) -> Store:
    """The same data in the layout of this version; as it is, with a word of why, where that cannot be written."""
    if store.manifest["schema"] == SCHEMA_VERSION or _unwritable(store.path):
        return store
    tell(f"upgrading {store.path} from schema version {store.manifest['schema']} to {SCHEMA_VERSION}")
    try:
        upgrade(store.path, store.manifest, SCHEMA_VERSION, MANIFEST)
    except (OSError, DataError) as failure:
        tell(f"{store.path} is read as it is, which takes longer: it cannot be upgraded ({failure})")
    return Store.open(store.path)


def _write_tables(tables: Tables, folder: Path, tell: Progress) -> dict[str, int]:
    """Writes the files; their sizes in bytes."""
    every = {"items": tables.items, "users": tables.users}
    for part in PARTS:
        every[part] = tables.impressions.get(part, _like(tables.impressions))
    if tables.origins is not None:
        every["origins"] = tables.origins
    sizes = {}
    for name, table in every.items():
        tell(f"writing {name}: {table.num_rows:,} rows")
        path = folder / f"{name}{table_file.SUFFIX}"
        table_file.write(table, path)
        sync(path)
        sizes[path.name] = path.stat().st_size
    return sizes


def _like(impressions: Mapping[str, pa.Table]) -> pa.Table:
    """A part without impressions, with the columns of the others."""
    schema = next((table.schema for table in impressions.values()), IMPRESSIONS)
    return schema.empty_table()


def _manifest(
    source: Source,
    tables: Tables,
    options: Mapping[str, Any],
    files: list[dict[str, Any]],
    fingerprint: str,
    sizes: dict[str, int],
) -> dict[str, Any]:
    impressions = {
        part: tables.impressions[part].num_rows if part in tables.impressions else 0 for part in PARTS
    }
    candidates = {
        part: int(pc.sum(pc.list_value_length(tables.impressions[part]["candidates"])).as_py() or 0)
        if part in tables.impressions
        else 0
        for part in PARTS
    }
    counts = {
        "items": tables.items.num_rows,
        "users": tables.users.num_rows,
        "impressions": impressions,
        "candidates": candidates,
    }
    return {
        "schema": SCHEMA_VERSION,
        "lego": version("legorec"),
        "source": {"text": repr(source), "class": _class_name(source)},
        "options": json.loads(json.dumps(options, default=_plain)),
        "files": [{key: file[key] for key in ("name", "size", "sha256")} for file in files],
        "counts": counts,
        "attributes": tables.attributes,
        "user_attributes": tables.user_attributes,
        "impression_attributes": tables.impression_attributes,
        "history_signals": tables.history_signals,
        "candidate_signals": tables.candidate_signals,
        "reads": dict(source.reads),
        "protocol": source.protocol,
        "generated": generated(tables.origins, counts),
        "dropped": dict(tables.dropped),
        "rules": dict(tables.rules),
        "tables": sizes,
        "fingerprint": fingerprint,
        "base": tables.base,
    }
