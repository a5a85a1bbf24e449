"""A prepared folder of an older lego, written anew in the layout of this one: the same tables, the same fingerprint."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lego.data import table_file
from lego.data.durable import replace_folder, sync, write_durably


def upgrade(folder: Path, manifest: Mapping[str, Any], schema: int, name: str) -> None:
    """Puts a folder of version `schema`, whose manifest is called `name`, in the place of `folder`; OSError where it cannot.

    Whoever has the old folder open goes on reading it.
    """
    aside = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    aside.mkdir()
    try:
        sizes = {}
        for each in manifest["tables"]:
            path = aside / f"{Path(each).stem}{table_file.SUFFIX}"
            table_file.write(table_file.mapped(folder / each), path)
            sync(path)
            sizes[path.name] = path.stat().st_size
        told = {**manifest, "schema": schema, "tables": sizes}
        write_durably(aside / name, (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
        replace_folder(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
