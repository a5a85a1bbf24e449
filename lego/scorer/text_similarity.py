"""What reads like what was read before: ready-made vectors compared, and nothing learned.

With the history's items h_1 … h_S and a candidate c, all of length 1:  score = cos(mean(h_1, …, h_S), c). Sentence vectors are
those of Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084: the mean of a language model's final states over a text.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs
import numpy as np
import torch
from torch.nn import functional

from lego.data.text import encode_items, item_tokens, longest
from lego.errors import DataError, Problem
from lego.home import home
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import shape_of
from lego.pretrained.model import base_hash
from lego.pretrained.packaged import MINILM
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.pretrained.vectors import encode, reader
from lego.ragged import Ragged, flat_positions
from lego.scorer.base import Baseline, Fitted, Scores
from lego.spec import PATH_IF_THERE, operator

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.data.store import Impressions, Store

FILES = (".npy", ".parquet", ".safetensors")
"""How the name of a file with vectors ends; anything else is a checkpoint."""

_RULE = "text similarity 1"
"""Changes with what can move a vector in this file."""
_PAGE_ROWS = 4096


@operator
class TextSimilarity(Baseline):
    """The cosine between an item and the mean of the history, by vectors that stand already; a user without history scores 0.

    `vectors` is a checkpoint (a folder, or a name as for `Pretrained`) that makes a vector of what an item says, or a file of
    vectors as for `Embedding`. `reads` names the attributes and their token budgets, the source's unless given; `pool` says
    what of a text's states is its vector. An item without text, or a new one where vectors come from a file, scores 0.
    """

    vectors: str = attrs.field(kw_only=False, metadata=PATH_IF_THERE)
    reads: Mapping[str, int] | None = None
    pool: Literal["mean", "first", "last"] = "mean"

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        if Path(self.vectors).suffix in FILES:
            return _TextSimilarity(_File(self.vectors))
        return _TextSimilarity(_Checkpoint(self.vectors, self.reads, self.pool))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """That of the small checkpoint, where it is installed."""
        return (cls(MINILM.name),) if MINILM.find() else ()


class _TextSimilarity:
    def __init__(self, vectors: _File | _Checkpoint) -> None:
        self.vectors = vectors
        self.table: NDArray[np.float32] = np.zeros((1, 1), np.float32)
        self.histories: Ragged | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The attributes that a new item must have."""
        return tuple(self.vectors.reads or ())

    @property
    def blind(self) -> bool:
        """Whether it knows nothing of new items."""
        return isinstance(self.vectors, _File)

    def use(self, device: str, progress: Callable[..., None]) -> None:
        """Where to compute, and whom to tell how far it is."""
        self.vectors.device, self.vectors.progress = device, progress

    def fit(self, data: Store) -> None:
        """The vector of each item, of length 1 or 0; row 0 is no item. Nothing is learned."""
        self.table = self.vectors.of_store(data)
        self.histories = data.users.history

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """The cosine of each candidate to its impression's history."""
        assert self.histories is not None
        scores = np.zeros(len(impressions.candidates.values), np.float32)
        for at in range(0, len(impressions), _PAGE_ROWS):
            end = min(at + _PAGE_ROWS, len(impressions))
            start, stop = impressions.start[at:end], impressions.stop[at:end]
            lengths = np.maximum(stop - start, 0)
            values = self.histories.values[flat_positions(start, lengths)]
            users = _users(Ragged.from_lengths(values, lengths), self.table)
            begin = impressions.candidates.offsets[at]
            owner = np.repeat(np.arange(end - at), impressions.candidates.lengths[at:end])
            for first in range(0, len(owner), _PAGE_ROWS * 4):
                part = slice(first, first + _PAGE_ROWS * 4)
                rows = impressions.candidates.values[begin : begin + len(owner)][part]
                found = (users[owner[part]] * torch.from_numpy(self.table[rows])).sum(1)
                scores[begin + first : begin + first + len(rows)] = found.numpy()
        return scores

    def against(self, histories: Ragged, new: pa.Table) -> Scores:
        """The cosine of each candidate to each history; new items are encoded when they are asked for."""
        count = len(self.table) - 1

        def vectors(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            found = np.zeros((len(rows), self.table.shape[1]), np.float32)
            old = rows <= count
            found[old] = self.table[rows[old]]
            if not old.all():
                found[~old] = self.vectors.of_new(new.take(rows[~old] - count - 1), self.table.shape[1])
            return found

        used, place = np.unique(histories.values, return_inverse=True)
        users = _users(Ragged(place, histories.offsets), vectors(used))
        return lambda rows: users @ torch.from_numpy(vectors(rows)).T


def _users(histories: Ragged, table: NDArray[np.float32]) -> Tensor:
    """histories, rows of a table (n, H) -> (B, H): the mean of each, made as long as 1; zeros where it is empty."""
    used, place = np.unique(histories.values, return_inverse=True)
    weight = (
        torch.from_numpy(np.ascontiguousarray(table[used])) if len(used) else torch.zeros(1, table.shape[1])
    )
    offsets = torch.from_numpy(histories.offsets[:-1] - histories.offsets[0])
    means = functional.embedding_bag(torch.from_numpy(place.astype(np.int64)), weight, offsets, mode="mean")
    return functional.normalize(means, dim=1)


# --- vectors ------------------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class _File:
    """Vectors that somebody made."""

    path: str
    device: str = "cpu"
    progress: Callable[..., None] | None = None
    reads: Mapping[str, int] | None = None

    def of_store(self, data: Store) -> NDArray[np.float32]:
        """(items + 1, H)"""
        from lego.content.embedding import item_vectors

        return _long_as_one(item_vectors(Path(self.path), data)).numpy()

    def of_new(self, items: pa.Table, width: int) -> NDArray[np.float32]:
        """(N, H): nothing is known of them."""
        return np.zeros((items.num_rows, width), np.float32)


@attrs.define(eq=False)
class _Checkpoint:
    """Vectors that a language model makes of what items say."""

    name: str
    reads: Mapping[str, int] | None
    pool: str
    device: str = "cpu"
    progress: Callable[..., None] | None = None
    encoder: PretrainedEncoder | None = None
    model: Any = None

    def of_store(self, data: Store) -> NDArray[np.float32]:
        """(items + 1, H), memory-mapped from a folder named by the content of all that a vector depends on."""
        checkpoint = resolve(self.name)
        self.reads = dict(self.reads or data.manifest["reads"])
        self.encoder = PretrainedEncoder.of(checkpoint)
        self._refuse_length(shape_of(checkpoint).positions)
        tokens = item_tokens(data, self.reads, self.encoder, home() / "tokens")
        told = {
            "rule": _RULE,
            "weights": base_hash(checkpoint),
            "config": hashlib.sha256((checkpoint.folder / "config.json").read_bytes()).hexdigest(),
            "tokens": tokens.identity,
            "pool": self.pool,
        }
        name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
        path = home() / "vectors" / f"{name}.npy"
        kept = _opened(path, data.item_count + 1)
        if kept is None:
            _write(path, self._encode(tokens.tokens))
            kept = _opened(path, data.item_count + 1)
        assert kept is not None
        return kept

    def of_new(self, items: pa.Table, width: int) -> NDArray[np.float32]:
        """(N, H)"""
        assert self.encoder is not None
        return self._encode(encode_items(items, self.reads or {}, self.encoder), tell=False)

    def _refuse_length(self, positions: int) -> None:
        assert self.encoder is not None
        length = longest(self.reads or {}, self.encoder)
        if length > positions:
            what = f"items have up to {length} tokens, and it reads at most {positions}"
            raise DataError(
                [Problem(self.name, what, "lower the token budgets: TextSimilarity(…, reads={…})")]
            )

    def _encode(self, tokens: Ragged, *, tell: bool = True) -> NDArray[np.float32]:
        """tokens (n rows) -> (n, H) of length 1, zeros for a row without tokens."""
        if self.model is None:
            self.model = reader(resolve(self.name)).to(self.device)
        done, total = 0, int((tokens.lengths > 0).sum())

        def told(count: int) -> None:
            nonlocal done
            done += count
            if tell and self.progress is not None:
                self.progress("item vectors", done, total)

        pool = "cls" if self.pool == "first" else self.pool
        return _long_as_one(torch.from_numpy(encode(self.model, tokens, pool, told=told))).numpy()


def _long_as_one(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors.float(), dim=1)


def _opened(path: Path, count: int) -> NDArray[np.float32] | None:
    """The vectors, memory-mapped; None where they are missing or cannot be those of so many rows."""
    try:
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 2 and len(found) == count and found.dtype == np.float32 else None


def _write(path: Path, vectors: NDArray[np.float32]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=".partial-", suffix=".npy", delete=False
    ) as file:
        aside = Path(file.name)
        try:
            np.save(file, vectors)
            file.flush()
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
