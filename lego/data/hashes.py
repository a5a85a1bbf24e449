"""Raw files and their hashes, which are remembered as long as a file stays as it is."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from lego.data.durable import write_durably
from lego.errors import DataError, Problem

_RECENT = 2 * 10**9
"""Nanoseconds. A file changed this shortly before it was hashed may change again without its times moving."""


def describe_files(paths: list[Path], root: Path, *, keep: bool = True) -> list[dict[str, Any]]:
    """Name, size and hash of each file. A file whose times and size have not moved since it was hashed is not hashed again.

    Hashes are remembered below `root`, unless nothing is to be kept.
    """
    memory_path = root / ".hashes.json"
    with FileLock(root / ".hashes.lock") if keep else nullcontext():
        memory = _read_memory(memory_path)
        described = []
        for path in paths:
            where, state = str(path.resolve()), _state(path)
            remembered = memory.get(where)
            if isinstance(remembered, dict) and remembered.get("state") == state:
                digest = remembered["sha256"]
            else:
                digest = sha256_of(path)
                memory.pop(where, None)
                if _state(path) == state and time.time_ns() - max(state[1:3]) > _RECENT:
                    memory[where] = {"state": state, "sha256": digest}
            described.append(
                {"name": path.name, "size": state[0], "sha256": digest, "path": path, "state": state}
            )
        if keep:
            write_durably(memory_path, json.dumps(memory, indent=1).encode())
    return described


def _read_memory(path: Path) -> dict[str, Any]:
    try:
        memory = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a memory can be lost: files are hashed again
        return {}
    return memory if isinstance(memory, dict) else {}


def _state(path: Path) -> list[int]:
    """Size, and what moves with every change: the content's time, and the inode's, which nobody can set."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def sha256_of(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_changed(files: list[dict[str, Any]]) -> None:
    """DataError where one of the described files is another one by now."""
    changed = [
        file["path"] for file in files if not file["path"].is_file() or _state(file["path"]) != file["state"]
    ]
    if changed:
        fix = "prepare again when nobody writes to it"
        raise DataError([Problem(str(path), "changed while it was read", fix) for path in changed])
