"""Attributes from a side table, added to a copy of a prepared folder: what was written by a language model, or bought."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from lego.data import table_file
from lego.data.durable import replace_folder, sync, write_durably
from lego.data.hashes import sha256_of
from lego.data.prepare import refuse_occupied
from lego.data.problems import Problems
from lego.data.raw.guess import kind_by_values, roles
from lego.data.raw.read_frame import read_frame
from lego.data.raw.values import attribute_of, ids_of, unique_ids
from lego.data.store import MANIFEST, SCHEMA_VERSION, Store
from lego.data.table import USERS, kind_of
from lego.errors import DataError, Problem
from lego.home import written


def join(
    folder: Path, table: Path, to: Path, *, of: str = "items", columns: Mapping[str, str] | None = None
) -> Store:
    """A copy of the prepared `folder` at `to`, whose items (or users) have the attributes of the table as well.

    The table has a column of ids, and each other column is an attribute, its kind guessed as `Tables` does. The column of ids is
    known by its name, or named in `columns={"item": "sku"}` (`user` for users). An item without a line has null; lines of
    other ids are counted in the manifest as `unmatched`. Its `joined` says what came from which file.
    DataError where an attribute of that name is there already, where an id stands twice, or where no id is known. The folder is
    written aside and renamed, and its fingerprint is of the old one and of the table.
    """
    if of not in {"items", "users"}:
        raise DataError([Problem("--of", f"{of!r} is neither items nor users", "choose one of the two")])
    store, to = Store.open(folder), Path(to).expanduser().resolve()
    if to == store.path:
        raise DataError(
            [Problem(str(to), "is the folder itself, which stays as it is", "name a new one with --out")]
        )
    found = _attributes(store, table, of, columns or {})
    digest = sha256_of(table)
    said = json.dumps([store.fingerprint, digest, of]).encode()
    about = {
        "file": table.name,
        "size": table.stat().st_size,
        "sha256": digest,
        "of": of,
        "attributes": {name: kind_of(column.type) for name, column in found.columns.items()},
        "rows": found.matched,
        "unmatched": found.unmatched,
        "base": store.fingerprint,
    }
    with FileLock(to.parent / f".{to.name}.lock"), written(to):
        refuse_occupied(to, force=False)
        aside = to.parent / f".{to.name}.{os.getpid()}.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            _write(store, found, about, hashlib.sha256(said).hexdigest(), aside)
            replace_folder(aside, to)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return Store.open(to)


class _Found:
    """Columns in the order of the rows of the data, and how many of the table's lines were of use."""

    def __init__(self, columns: dict[str, pa.Array], matched: int, unmatched: int) -> None:
        self.columns = columns
        self.matched = matched
        self.unmatched = unmatched


def _own_id(columns: Mapping[str, str], role: str, problems: Problems) -> dict[str, str]:
    """What is said of the column of ids, so that it has to be there."""
    named = {}
    for name, column in columns.items():
        if name not in (role, f"table.{role}"):
            fix = f"the column of ids is named with --columns {role}=COLUMN"
            problems.add(
                f"--columns {name}={column}", f"the table has no {name}, only the ids of the {role}", fix
            )
        named[f"table.{role}"] = column
    return named


def _attributes(store: Store, table: Path, of: str, columns: Mapping[str, str]) -> _Found:
    problems = Problems()
    frame = read_frame(table, "table", problems)
    problems.raise_any()
    assert frame is not None  # it is None only where there is a problem
    role = "item" if of == "items" else "user"
    known = roles(frame, "table", (role,), (), _own_id(columns, role, problems), problems, own_id=role)
    # Who calls from the command line sets no columns=.
    way = f"name it with --columns {role}=COLUMN (in Python columns={{{role!r}: 'COLUMN'}})"
    problems.reworded(lambda fix: way if "columns={" in fix else fix).raise_any()
    ids = ids_of(frame, known.columns[role], problems)
    problems.raise_any()
    assert ids is not None
    unique_ids(frame, known.columns[role], ids, role, "keep one of the lines", problems)
    there = store.attributes if of == "items" else store.user_attributes
    taken = {"item_id"} if of == "items" else {*USERS.names, *store.history_signals}
    made: dict[str, pa.Array] = {}
    rows = store.item_ids if of == "items" else store.users.user_ids
    place = pc.index_in(rows, value_set=ids)
    for name in known.rest:
        if name in there or name in taken:
            what = f"the {of} have {name} already, and nothing is overwritten"
            problems.add(f"{frame.name}, column {name}", what, "rename the column")
            continue
        values = attribute_of(frame, name, kind_by_values(frame.table[name]), problems)
        if values is not None:
            made[name] = values.take(place)
    if not made and not len(problems):
        problems.add(frame.name, "has no column beside the ids", "add the attributes as columns")
    used = pc.is_in(ids, value_set=rows)
    matched = int(pc.sum(used).as_py() or 0)
    if not matched:
        problems.add(frame.name, f"none of its ids is one of the {of}", "compare the ids with the data's")
    problems.raise_any()
    return _Found(made, matched, len(ids) - matched)


def _write(store: Store, found: _Found, about: dict[str, Any], fingerprint: str, aside: Path) -> None:
    manifest, sizes = dict(store.manifest), {}
    for name in (Path(each).stem for each in manifest["tables"]):
        table, path = store.table(name), aside / f"{name}{table_file.SUFFIX}"
        if name == about["of"]:
            for column, values in found.columns.items():
                table = table.append_column(column, values)
        table_file.write(table, path)
        sync(path)
        sizes[path.name] = path.stat().st_size
    kinds = "attributes" if about["of"] == "items" else "user_attributes"
    manifest |= {
        kinds: {**manifest[kinds], **about["attributes"]},
        "schema": SCHEMA_VERSION,
        "tables": sizes,
        "fingerprint": fingerprint,
        "base": store.base,
        "joined": [*manifest.get("joined", []), about],
    }
    write_durably(aside / MANIFEST, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
