"""Run folders: made once, never shared, never overwritten; every file in them is written aside and moved into place."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
from filelock import FileLock, Timeout

from lego import catalog
from lego.data.durable import sync
from lego.errors import RunError

ASIDE = ".aside"
"""How the name of a file ends that is still being written. Only a killed process leaves one."""


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` where the block ends well, and else leaves nothing.

    RunError where the disk does not take it: what stood at `path` stays.
    """
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=ASIDE)
        os.close(handle)
        aside = Path(name)
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.chmod(0o644)
        aside.replace(path)
        sync(path.parent)
    except OSError as problem:
        raise RunError.unwritten(path, problem) from problem
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """The value in plain JSON types. What is not a number is null, since JSON has no NaN."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, record: Any) -> None:
    """A JSON file, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(
            json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> Any:
    """A JSON file; RunError that names it where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.parent} is not a whole run folder: {path.name} is missing.") from None
    except (OSError, ValueError) as problem:
        raise RunError(f"{path} cannot be read: {problem}.") from None


@attrs.frozen
class Folder:
    """A run folder: `experiment.json environment.json log.jsonl metrics.json scores/ checkpoint/`."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The kept weights, and the last position under `last/`."""
        return self.path / "checkpoint"

    @property
    def scores(self) -> Path:
        """One Parquet file a part."""
        return self.path / "scores"

    def log(self, event: str, **fields: Any) -> None:
        """A line more in log.jsonl; nothing is ever cut from it. RunError where the disk does not take it."""
        line = json.dumps(plain({"event": event, **fields}), ensure_ascii=False, allow_nan=False)
        path = self.path / "log.jsonl"
        try:
            with path.open("ab+") as file:
                # A killed process may have left half a line; the next one starts on a line of its own.
                if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                    line = "\n" + line
                file.write(line.encode() + b"\n")
        except OSError as problem:
            raise RunError.unwritten(path, problem) from problem

    @property
    def finished(self) -> bool:
        """Whether the test metrics stand in it."""
        return (self.path / "metrics.json").exists()


def identity(record: Any, fingerprint: str) -> str:
    """What a run is named by: its whole specification (the seed included), its data, and the version of the code."""
    text = json.dumps([record, fingerprint, code_version()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def code_version() -> str:
    """The version of the distribution, and a hash of the source, so that an edited checkout is another version.

    Read once: what a process runs is what it has imported.
    """
    digest = hashlib.sha256()
    root = Path(__file__).parent.parent
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode())
        digest.update(file.read_bytes())
    return f"{_version(catalog.BUILTIN)}+{digest.hexdigest()[:12]}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def finished(out: Path, name: str, run_id: str) -> Folder | None:
    """The folder of a finished run of that name and id; None where there is none."""
    there = (out / name / run_id, *sorted((out / name).glob(f"{run_id}-*")))
    return next((folder for folder in map(Folder, there) if folder.finished), None)


def create(
    out: Path, name: str, run_id: str, *, resume: bool = False, tell: Callable[[str], None] | None = None
) -> Folder:
    """A new folder `out/name/id`; a run that was made before gets `id-2`, `id-3` …; with `resume` the unfinished one is taken.

    Where `resume` finds nothing to go on with, `tell` is told so, and what there is instead.
    """
    if not name or Path(name).name != name or name in (".", ".."):
        raise RunError(f"--name {name!r} must be a plain folder name.")
    parent = out / name
    number = 1
    while True:
        path = parent / (run_id if number == 1 else f"{run_id}-{number}")
        folder = Folder(path)
        if resume and path.exists() and not folder.finished:
            return folder
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        except OSError as problem:
            raise RunError(
                f"The run folder {path} cannot be made: {problem.strerror}. Choose another with --out."
            ) from None
        if resume and tell is not None:
            tell(_nothing_to_resume(parent, path))
        return folder


def _nothing_to_resume(parent: Path, made: Path) -> str:
    """Why a run begins anew: it is finished, or what is unfinished was another experiment."""
    finished, other = [], []
    for each in sorted(parent.iterdir()):
        if each == made or not (each / "experiment.json").exists():
            continue
        same = each.name.partition("-")[0] == made.name.partition("-")[0]
        if Folder(each).finished:
            finished += [str(each)] if same else []
        else:
            other.append(str(each))
    words = "--resume: there is no unfinished run of this experiment, so a new one begins."
    if finished:
        words += f" Finished already: {', '.join(finished)}."
    if other:
        words += (
            f" Unfinished, but of another specification, data or version of the code: {', '.join(other)}."
        )
    return words


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Keeps other processes out of a run folder; RunError where one is at work in it. A killed process holds nothing."""
    lock = FileLock(folder.path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder.path} is being run by another process. Wait for it, or start a run of its own without --resume."
        ) from None
    try:
        for left in folder.path.rglob(f".*{ASIDE}"):  # by a process that was killed: nobody else writes here
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def environment(specs: list[type]) -> dict[str, Any]:
    """Versions, machine and threads, and the distributions that the operators come from."""
    import torch

    libraries = (
        "torch",
        "transformers",
        "peft",
        "numpy",
        "pyarrow",
        "tokenizers",
        "safetensors",
        "attrs",
        "entrypoints",
    )
    return {
        "lego": code_version(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "libraries": {name: _version(name) for name in libraries},
        "operators": {cls.__name__: list(catalog.origin_of(cls)) for cls in specs},
    }
