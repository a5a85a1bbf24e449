"""Hidden states of frozen layers, computed once, ever.

A folder for each content hash, of all that can change a value. In it `states.bin`, token after token without padding, or one
state an item, longest items first; `rows.npy`, where each item's states begin and how many they are; `manifest.json`. It is made
aside, under a lock, with a journal that lets a killed run go on where it was, and renamed when it is whole. A file touched since
is read and checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor

from lego.errors import RunError
from lego.home import written
from lego.ragged import Ragged, flat_positions

FORMAT = 1
"""Changes with the layout of the files."""

Dtype = Literal["float32", "bfloat16", "float16"]
_STORED: Mapping[str, tuple[Any, torch.dtype]] = {
    "float32": (np.float32, torch.float32),
    "bfloat16": (np.int16, torch.bfloat16),  # numpy has no bfloat16: its bits travel as int16
    "float16": (np.float16, torch.float16),
}

Per = Literal["token", "item"]
"""What has a state."""
Lower = Callable[[Tensor, Tensor], Tensor]
"""tokens (n, L), mask (n, L) -> states (n, L, H), or (n, 1, H) of items."""
Progress = Callable[[str, int, int], None]
"""Told what is done: a phrase, how many tokens, of how many."""

USED = "used"
"""An empty file whose time says when the states were last opened."""

_JOURNAL_SECONDS = 5.0
_TOLD_SECONDS = 10.0
"""What takes less is not announced."""
_BLOCK = 1 << 24


@attrs.frozen(eq=False)
class HiddenStates:
    """Cached states, one ragged row an item, memory-mapped."""

    path: Path
    """The folder."""
    dtype: str
    width: int
    """H"""
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    values: NDArray[Any]
    """(T, H), on disk."""
    per: Per = "token"

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def bytes(self) -> int:
        """What the states take on disk."""
        return int(self.values.size) * self.values.dtype.itemsize

    def gather(self, rows: NDArray[Any], length: int | None = None) -> Tensor:
        """rows (n,) -> states (n, length, H), zeros behind each row; `length` is that of the longest unless given, never less.

        (n, 1, H) where an item has one state, zeros for one without text.
        """
        lengths = self.lengths[rows]
        longest = int(lengths.max(initial=0))
        if self.per == "item":
            length = 1
        length = longest if length is None else length
        if longest > length:
            raise RunError(
                f"Cached states of {longest} tokens were asked for as {length}. Give the untruncated length."
            )
        flat = torch.from_numpy(self.values[flat_positions(self.starts[rows], lengths)])
        dtype = _STORED[self.dtype][1]
        table = torch.zeros(len(lengths), length, self.width, dtype=dtype)
        places = flat_positions(np.arange(len(lengths)) * length, lengths)
        table.view(-1, self.width)[torch.from_numpy(places)] = flat.view(dtype)
        return table

    def verify(self) -> bool:
        """Reads all of it and says whether it is what was written."""
        manifest = _read_manifest(self.path)
        return _checksum(self.path / "states.bin") == manifest["states_crc"]

    @classmethod
    def build(
        cls,
        folder: Path,
        *,
        key: str,
        tokens: Ragged,
        tokens_identity: str,
        lower: Lower,
        dtype: Dtype = "float32",
        per: Per = "token",
        page_tokens: int = 8192,
        about: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> HiddenStates:
        """The states of all items, from the cache below `folder` or computed now.

        `key` stands for all that `lower` depends on, `tokens_identity` for the tokenizer. `page_tokens` bounds the tokens of a
        call of `lower`; `about` is told by `lego cache list` and is no part of the key. Of several processes one computes, the
        others wait. Damaged files are made again, with a warning.
        """
        parts = {
            "format": FORMAT,
            "key": key,
            "tokenizer": tokens_identity,
            "tokens": _hash_tokens(tokens),
            "dtype": dtype,
            **({} if per == "token" else {"per": per}),
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
        path = folder / digest
        with written(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{digest}.lock"):
            if path.exists():
                try:
                    return cls.open(path)
                except RunError as problem:
                    warnings.warn(f"{problem} It is made again.", stacklevel=2)
                    shutil.rmtree(path)
            _Builder(path, parts, tokens, lower, dtype, per, page_tokens, progress, about or {}).run()
            return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> HiddenStates:
        """The states in a folder; RunError where they are damaged."""
        manifest = _read_manifest(path)
        file = path / "states.bin"
        count, width, dtype = manifest["tokens"], manifest["width"], manifest["dtype"]
        stored = np.dtype(_STORED[dtype][0])
        if not file.exists() or file.stat().st_size != count * width * stored.itemsize:
            raise _damaged(path, "states.bin is missing or has another size")
        if file.stat().st_mtime_ns != manifest["states_time"]:
            if _checksum(file) != manifest["states_crc"]:
                raise _damaged(path, "states.bin was changed after it was written")
            os.utime(file, ns=(manifest["states_time"], manifest["states_time"]))
        try:
            if _checksum(path / "rows.npy") != manifest["rows_crc"]:
                raise _damaged(path, "rows.npy was changed after it was written")
            rows = np.load(path / "rows.npy", allow_pickle=False)
        except (OSError, ValueError) as problem:
            raise _damaged(path, f"rows.npy cannot be read ({problem})") from None
        shape = (count, width)
        with contextlib.suppress(OSError):  # a cache that may only be read is as good
            (path / USED).touch()
        values = np.memmap(file, stored, mode="r", shape=shape) if count else np.zeros(shape, stored)
        return cls(
            path=path,
            dtype=dtype,
            width=width,
            starts=rows[0],
            lengths=rows[1],
            values=values,
            per=manifest["parts"].get("per", "token"),
        )


def bytes_for(tokens: int, width: int, dtype: Dtype = "float32") -> int:
    """What the states of that many tokens take on disk."""
    return tokens * width * np.dtype(_STORED[dtype][0]).itemsize


class _Builder:
    """Computes one folder, from where a killed run left it."""

    def __init__(
        self,
        path: Path,
        parts: Mapping[str, Any],
        tokens: Ragged,
        lower: Lower,
        dtype: Dtype,
        per: Per,
        page_tokens: int,
        progress: Progress | None,
        about: Mapping[str, str],
    ) -> None:
        self.path = path
        self.about = about
        self.partial = path.with_name(f"{path.name}.partial")
        self.file = self.partial / "states.bin"
        self.parts = parts
        self.tokens = tokens
        self.lower = lower
        self.dtype = dtype
        self.per = per
        self.page_tokens = page_tokens
        self.progress = progress
        lengths = tokens.lengths
        order = np.argsort(-lengths, kind="stable")
        self.order = order[: int((lengths > 0).sum())]  # an item without text has no state
        self.kept = lengths if per == "token" else (lengths > 0).astype(lengths.dtype)
        """States of each item."""
        self.total = int(self.kept.sum())

    def run(self) -> None:
        self.partial.mkdir(parents=True, exist_ok=True)
        journal = self._resumed()
        width = journal["width"] or self._width()
        self._check_room(bytes_for(self.total, width, self.dtype) - journal["bytes"])
        if self.progress and self.total:
            size = bytes_for(self.total, width, self.dtype) / 1e6
            what = f"{self.total:,} tokens of" if self.per == "token" else "one for each of"
            done = f", {journal['tokens']:,} of them there already" if journal["tokens"] else ""
            self.progress(
                f"hidden states: {what} {len(self.order):,} items{done}; {size:,.1f} MB of {self.dtype}",
                0,
                0,
            )
        with self.file.open("r+b" if self.file.exists() else "w+b") as file:
            file.truncate(journal["bytes"])
            file.seek(journal["bytes"])
            journal["width"] = width
            with written(self.partial):
                self._compute(file, journal)
        with written(self.partial):
            self._finish(journal)

    def _resumed(self) -> dict[str, int]:
        """What is surely on disk."""
        fresh = {"rows": 0, "tokens": 0, "bytes": 0, "crc": 0, "width": 0}
        try:
            journal = json.loads((self.partial / "journal.json").read_text("utf-8"))
            whole = journal.keys() == fresh.keys() and self.file.stat().st_size >= journal["bytes"]
        except (OSError, ValueError, AttributeError):
            return fresh
        return journal if whole else fresh

    def _compute(self, file: Any, journal: dict[str, int]) -> None:
        lengths = self.tokens.lengths[self.order]
        begun = noted = time.monotonic()
        first = journal["tokens"]
        told = False
        while journal["rows"] < len(self.order):
            place = journal["rows"]
            rows = self.order[place : place + max(1, self.page_tokens // int(lengths[place]))]
            data = self._page(rows, journal["width"])
            file.write(data)
            journal["rows"] += len(rows)
            journal["tokens"] += int(self.kept[rows].sum())
            journal["bytes"] += len(data)
            journal["crc"] = zlib.crc32(data, journal["crc"])
            if self.progress:
                self.progress("hidden states", journal["tokens"], self.total)
            if self.progress and not told:
                told = True
                each = (time.monotonic() - begun) / max(1, journal["tokens"] - first)
                if (left := each * (self.total - journal["tokens"])) > _TOLD_SECONDS:
                    self.progress(f"hidden states: about {left:,.0f} s", 0, 0)
            if time.monotonic() - noted > _JOURNAL_SECONDS:
                self._note(file, journal)
                noted = time.monotonic()
        self._note(file, journal)

    def _page(self, rows: NDArray[Any], width: int) -> bytes:
        """The states of these rows as they are stored, padding left out."""
        table, mask = self.tokens.take(rows).padded()
        with torch.inference_mode():
            real = torch.from_numpy(mask)
            states = self.lower(torch.from_numpy(table.astype(np.int64)), real).cpu()
            states = states[real] if self.per == "token" else states[:, 0]
            states = states.to(_STORED[self.dtype][1])
        if not torch.isfinite(states).all():
            bad = "inf or NaN among the hidden states of the frozen layers"
            raise RunError(
                f"{bad}, stored as {self.dtype}. Store them as float32; if it stays, the weights are damaged."
            )
        assert states.shape[1] == width
        return states.contiguous().view(torch.uint8).numpy().tobytes()

    def _width(self) -> int:
        """H, asked of the model itself with an item of one token."""
        with torch.inference_mode():
            return self.lower(torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool)).shape[
                -1
            ]

    def _check_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self.partial).free
        if wanted > free:
            raise RunError(
                f"The hidden states take {wanted / 1e9:.1f} GB more and {self.partial} has {free / 1e9:.1f} GB free. "
                "Set LEGO_HOME to a larger disk, or lower the token budgets in reads={…}."
            )

    def _note(self, file: Any, journal: Mapping[str, int]) -> None:
        """First the states, then the word that they are there."""
        file.flush()
        os.fsync(file.fileno())
        _write_json(self.partial / "journal.json", journal)

    def _finish(self, journal: Mapping[str, int]) -> None:
        lengths = self.kept
        starts = np.zeros(len(lengths), np.int64)
        sorted_lengths = lengths[self.order]
        starts[self.order] = np.cumsum(sorted_lengths) - sorted_lengths
        np.save(self.partial / "rows.npy", np.stack([starts, lengths]), allow_pickle=False)
        manifest = {
            "parts": dict(self.parts),
            "about": dict(self.about),
            "dtype": self.dtype,
            "tokens": self.total,
            "width": journal["width"],
            "states_crc": journal["crc"],
            "states_time": self.file.stat().st_mtime_ns,
            "rows_crc": _checksum(self.partial / "rows.npy"),
        }
        _write_json(self.partial / "manifest.json", {**manifest, "self": _seal(manifest)})
        (self.partial / "journal.json").unlink()
        self.partial.replace(self.path)


@attrs.frozen(kw_only=True)
class Kept:
    """What stands in a folder of states."""

    path: Path
    state: Literal["whole", "unfinished", "damaged"]
    """As its head says; `check_kept` reads all of it."""
    bytes: int
    used: float
    """When it was last opened, or written, in seconds since 1970."""
    about: Mapping[str, str]
    dtype: str = ""
    tokens: int = 0
    width: int = 0


def kept(folder: Path) -> list[Kept]:
    """Everything below a folder of states, the last used first; reads manifests alone."""
    if not folder.is_dir():
        return []
    found = [_kept(path) for path in folder.iterdir() if path.is_dir()]
    return sorted(found, key=lambda each: -each.used)


def _kept(path: Path) -> Kept:
    files = [each for each in path.iterdir() if each.is_file()]
    size = sum(each.stat().st_size for each in files)
    used = max((each.stat().st_mtime for each in (*files, path)), default=0.0)
    if path.suffix == ".partial":
        return Kept(path=path, state="unfinished", bytes=size, used=used, about={})
    try:
        manifest = _read_manifest(path)
    except RunError:
        return Kept(path=path, state="damaged", bytes=size, used=used, about={})
    return Kept(
        path=path,
        state="whole",
        bytes=size,
        used=used,
        about=manifest.get("about", {}),
        dtype=manifest["dtype"],
        tokens=manifest["tokens"],
        width=manifest["width"],
    )


def check_kept(path: Path) -> bool:
    """Reads all of a folder of finished states and says whether it is what was written."""
    try:
        return HiddenStates.open(path).verify()
    except (RunError, OSError):
        return False


def discard(path: Path) -> bool:
    """Removes a folder of states, unless some process is making it just now; says whether it did."""
    lock = path.with_name(f"{path.name.removesuffix('.partial')}.lock")
    try:
        with FileLock(lock, timeout=0):
            shutil.rmtree(path, ignore_errors=True)
    except Timeout:
        return False
    return not path.exists()


def _hash_tokens(tokens: Ragged) -> str:
    total = hashlib.sha256(np.ascontiguousarray(tokens.lengths, np.int64).tobytes())
    values = tokens.values[tokens.offsets[0] : tokens.offsets[-1]]
    for start in range(0, len(values), _BLOCK):
        total.update(np.ascontiguousarray(values[start : start + _BLOCK], np.int64).tobytes())
    return total.hexdigest()


def _checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc


def _seal(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / "manifest.json").read_text("utf-8"))
        seal = manifest.pop("self")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise _damaged(path, "manifest.json is missing or cannot be read") from None
    if seal != _seal(manifest) or manifest["parts"].get("format") != FORMAT:
        raise _damaged(path, "manifest.json was changed after it was written")
    return manifest


def _damaged(path: Path, why: str) -> RunError:
    return RunError(f"The cached hidden states in {path} are damaged: {why}.")


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    aside = path.with_name(f"{path.name}.aside")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
