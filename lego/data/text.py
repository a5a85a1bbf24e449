"""Attributes of items → token ids: each attribute encoded once, kept on disk, cut to its budget, and joined."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa

from lego.errors import CompositionError, Problem, did_you_mean
from lego.home import written
from lego.ragged import Ragged
from lego.spec import Encoder

if TYPE_CHECKING:
    from lego.data.store import Store


FORMAT = 2
"""Changes with the layout of the files."""

_ARRAYS = ("values.npy", "offsets.npy")
_SUMS = "sums.json"


@attrs.frozen(eq=False, kw_only=True)
class ItemTokens:
    """What content operators read of every item."""

    tokens: Ragged
    """int32 ids, one row an item row; row 0, never an item, is empty."""
    identity: str
    """A hash of all that can change an id: text, budgets and their order, encoder."""
    truncated: Mapping[str, int]
    """Items that lost tokens, by attribute."""
    length: int
    """The longest row that the budgets allow, separators and special tokens included."""
    budgets: Mapping[str, int] = attrs.field(factory=dict)
    """The most tokens of each attribute, or of the one text that is made of them."""


def item_tokens(store: Store, reads: Mapping[str, int], encoder: Encoder, cache: Path) -> ItemTokens:
    """The tokens of all items of a store: the first `reads[attribute]` of each attribute, joined in the order of `reads`.

    Ids of an attribute are made once and memory-mapped from then on, in a folder of `cache` named by the content of the column,
    the attribute and the encoder, so that what changes an id also changes the name. Each file is checked against its sum when it
    is opened; damaged ones are made again, with a warning. CompositionError where `reads` names what
    the items lack or holds a budget below 1.
    """
    columns, reads = _columns(store.items, reads, encoder)
    names = {attribute: _name(attribute, columns[attribute], encoder) for attribute in reads}
    whole = {
        attribute: _cached(cache / f"{name}.{FORMAT}", attribute, columns[attribute], encoder)
        for attribute, name in names.items()
    }
    joined = _joined(whole, reads, encoder)
    return ItemTokens(
        tokens=Ragged(joined.values, np.concatenate([[0], joined.offsets])),
        identity=_hash([[names[attribute], budget] for attribute, budget in reads.items()]),
        truncated={
            attribute: int((whole[attribute].lengths > budget).sum()) for attribute, budget in reads.items()
        },
        length=_longest(reads, encoder),
        budgets=reads,
    )


def encode_items(table: pa.Table, reads: Mapping[str, int], encoder: Encoder) -> Ragged:
    """Tokens of the items of a table that is in no store (row r is line r, counted from 0), cut and joined just as in one."""
    columns, reads = _columns(table, reads, encoder)
    return _joined({name: encoder.encode(name, columns[name]) for name in reads}, reads, encoder)


def longest(reads: Mapping[str, int], encoder: Encoder) -> int:
    """The longest row that budgets allow, separators and special tokens included."""
    none = {name: pa.chunked_array([], pa.string()) for name in reads}
    return _longest(_as_read(none, reads, encoder)[1], encoder)


def _longest(reads: Mapping[str, int], encoder: Encoder) -> int:
    full = [Ragged.from_lengths(np.ones(budget, np.int32), np.array([budget])) for budget in reads.values()]
    return int(encoder.join(full).lengths[0])


def _joined(whole: Mapping[str, Ragged], reads: Mapping[str, int], encoder: Encoder) -> Ragged:
    return encoder.join([whole[attribute].head(budget) for attribute, budget in reads.items()])


def _columns(
    table: pa.Table, reads: Mapping[str, int], encoder: Encoder
) -> tuple[Mapping[str, pa.ChunkedArray], Mapping[str, int]]:
    """The columns that are read, with their budgets, as the encoder wants them."""
    _refuse_unreadable(reads, table.column_names)
    return _as_read({name: table.column(name) for name in reads}, reads, encoder)


def _as_read(
    columns: Mapping[str, pa.ChunkedArray], reads: Mapping[str, int], encoder: Encoder
) -> tuple[Mapping[str, pa.ChunkedArray], Mapping[str, int]]:
    """Encoders that make one text of all attributes (`one_text`) get one; the others read each by itself."""
    one_text = getattr(encoder, "one_text", None)
    return (one_text(columns, reads) if one_text is not None else None) or (columns, reads)


def _refuse_unreadable(reads: Mapping[str, int], columns: Iterable[str]) -> None:
    """All problems of `reads` at once."""
    there = [column for column in columns if column != "item_id"]
    problems = list(_unreadable(reads, there))
    if not reads:
        problems = [Problem("reads", "names no attribute", f"name at least one of {', '.join(there)}")]
    if problems:
        raise CompositionError(problems)


def _unreadable(reads: Mapping[str, int], there: list[str]) -> Iterator[Problem]:
    for attribute, budget in reads.items():
        if attribute not in there:
            what = f"the items have no attribute {attribute!r}"
            yield Problem("reads", what, f"{did_you_mean(attribute, there)}read some of {', '.join(there)}")
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            what = f"the token budget of {attribute!r} is {budget!r}"
            yield Problem("reads", what, f"give a whole number of at least 1, or leave {attribute!r} out")


# --- the cache ----------------------------------------------------------------------------------------------------------------


class _Digest(io.RawIOBase):
    """A file that keeps nothing but the hash of what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return memoryview(data).nbytes


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _name(attribute: str, column: pa.ChunkedArray, encoder: Encoder) -> str:
    """The folder of an attribute's ids: a hash of the column, of who encodes it, and of the library that does."""
    digest = _Digest()
    table = pa.table({attribute: column}).combine_chunks()
    with pa.ipc.new_stream(pa.PythonFile(digest, mode="w"), table.schema) as stream:
        stream.write_table(table)
    return _hash([digest.hash.hexdigest(), attribute, encoder.identity, version("tokenizers")])


def _cached(folder: Path, attribute: str, column: pa.ChunkedArray, encoder: Encoder) -> Ragged:
    """The ids of a whole column: mapped from the folder where it is sound, else made and written there."""
    kept = _opened(folder, len(column))
    if kept is not None:
        return kept
    if folder.exists():
        warnings.warn(f"The cached token ids in {folder} are damaged. They are made again.", stacklevel=2)
    made = encoder.encode(attribute, column)
    with written(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        with written(folder):
            np.save(aside / "values.npy", np.ascontiguousarray(made.values, np.int32))
            np.save(aside / "offsets.npy", np.ascontiguousarray(made.offsets, np.int64))
            sums = json.dumps({name: _checksum(aside / name) for name in _ARRAYS})
            (aside / _SUMS).write_text(sums, "utf-8")
            _move(aside, folder, len(column))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return made if (kept := _opened(folder, len(column))) is None else kept


def _move(aside: Path, folder: Path, count: int) -> None:
    """Puts a finished folder in its place, unless another process has put an equal one there."""
    try:
        aside.rename(folder)
    except OSError:
        if _opened(folder, count) is not None:
            return
        # Damaged, or it would have been used: out of the way with it.
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def _opened(folder: Path, count: int) -> Ragged | None:
    """The arrays of a folder, memory-mapped; None where they are missing, or are not those of `count` items that were written."""
    try:
        sums = json.loads((folder / _SUMS).read_text("utf-8"))
        if sums != {name: _checksum(folder / name) for name in _ARRAYS}:
            return None
        values: Any = np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False)
        offsets: Any = np.load(folder / "offsets.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = offsets.shape == (count + 1,) and offsets[0] == 0 and offsets[-1] == len(values)
    return Ragged(values, offsets) if sound and bool((np.diff(offsets) >= 0).all()) else None


def _checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            crc = zlib.crc32(block, crc)
    return crc
