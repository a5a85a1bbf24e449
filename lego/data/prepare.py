"""Making a prepared folder of a source.

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
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from lego.data import table_file
from lego.data.durable import replace_folder, sync, write_durably
from lego.data.hashes import describe_files, refuse_changed
from lego.data.origin import generated
from lego.data.progress import watched
from lego.data.raw.growing import growing_in
from lego.data.store import MANIFEST, SCHEMA_VERSION, Store
from lego.data.table import IMPRESSIONS, PARTS, Tables
from lego.data.upgrade import upgrade
from lego.errors import DataError, Problem
from lego.home import written
from lego.spec import Source

_RULES_VERSION = 1
"""Counts changes that make prepared tables other ones; part of every fingerprint."""

Progress = Callable[[str], None]


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
            _warn(store, tell)
            return store
        if to is not None:
            refuse_occupied(target, force=force)
        for leftover in root.glob(
            f".{target.name}.*.partial"
        ):  # of a preparation that was killed: we hold its lock
            shutil.rmtree(leftover)
        aside = root / f".{target.name}.{os.getpid()}.partial"
        with written(target):
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
    store = Store.open(target)
    _warn(store, tell)
    return store


def _warn(store: Store, tell: Progress) -> None:
    """Of what may have been misread."""
    for doubt in store.manifest["rules"].get("doubts", ()):
        tell(f"warning: {doubt}")


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
        part: sum(len(chunk.flatten()) for chunk in tables.impressions[part]["candidates"].chunks)
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
        "unlabeled": list(tables.unlabeled),
    }
