"""A prepared folder of an older lego, in the layout of this one: the same tables, the same fingerprint, the same place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lego.data import table_file
from lego.data.durable import sync, write_durably


def upgrade(folder: Path, manifest: Mapping[str, Any], schema: int, name: str) -> None:
    """Makes of `folder` one of version `schema`, whose manifest is called `name`; OSError or DataError where it cannot.

    The new tables are written beside the old ones, which are removed once the manifest names the new; whatever else is in the
    folder stays. Where it fails, or is killed, the folder is the old one. The caller holds the folder's lock.
    """
    for leftover in folder.glob(f".*{table_file.SUFFIX}.*.partial"):  # of an upgrade that was killed
        leftover.unlink()
    sizes: dict[str, int] = {}
    made: list[Path] = []
    try:
        for each in manifest["tables"]:
            path = folder / f"{Path(each).stem}{table_file.SUFFIX}"
            aside = folder / f".{path.name}.{os.getpid()}.partial"
            made += [aside, path]
            table_file.write(table_file.mapped(folder / each), aside)
            sync(aside)
            aside.replace(path)
            sizes[path.name] = path.stat().st_size
        told = {**manifest, "schema": schema, "tables": sizes}
        sync(folder)
        write_durably(folder / name, (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    sync(folder)
    for each in manifest["tables"]:
        (folder / each).unlink(missing_ok=True)
