"""Vectors → words of codes, by residual quantisation as in TIGER (Rajput et al. 2023, https://arxiv.org/abs/2305.05065, 3.1).

Level by level the vectors are clustered, and what the nearest center leaves over goes to the next level; `product` clusters
pieces of the vector instead (Hou et al. 2023, https://arxiv.org/abs/2210.12316). Items of one word are told apart by a code more.
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from lego.nn.quantize import product_codes, residual_codes

Kind = Literal["residual", "product"]


@attrs.frozen(eq=False, kw_only=True)
class Codes:
    """The words of N items."""

    codes: NDArray[np.int64]
    """(N, levels), from 0; with a level more where items were to be told apart."""
    left: tuple[float, ...]
    """Behind each level, the share of the variance that it and those before leave over."""
    used: tuple[int, ...]
    """Codes in use at each level."""
    distinct: int
    """Different words, before items that share one were told apart."""

    @property
    def words(self) -> list[list[str]]:
        """`['a12', 'b7', 'c200']` of each item: a letter for the level, so that no two levels share a code."""
        return [[f"{_letter(level)}{code}" for level, code in enumerate(row)] for row in self.codes.tolist()]


def semantic_ids_of(
    vectors: NDArray[np.float32],
    *,
    levels: int = 3,
    codes: int = 256,
    kind: Kind = "residual",
    apart: bool = False,
    seed: int = 0,
) -> Codes:
    """vectors (N, W) -> the words of N items. All chance is from `seed`.

    `apart` adds a level that counts the items of one word: 0 for the first of them.
    """
    wide = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    quantise = residual_codes if kind == "residual" else product_codes
    found = quantise(wide, levels, codes, torch.Generator().manual_seed(seed))
    _, place = torch.unique(found, dim=0, return_inverse=True)
    table = found.numpy()
    left = tuple(_left(wide.double(), found, kind))
    used = [len(np.unique(table[:, level])) for level in range(levels)]
    if apart:
        counted = _turn(place.numpy())
        table = np.column_stack([table, counted])
        used.append(int(counted.max(initial=0)) + 1)
    return Codes(codes=table, left=left, used=tuple(used), distinct=int(place.max()) + 1)


def _left(vectors: torch.Tensor, codes: torch.Tensor, kind: Kind) -> list[float]:
    """Centers are the means of what they stand for, where the clustering has come to rest."""
    rest = vectors.clone()
    whole = float((vectors - vectors.mean(0)).square().sum()) or 1.0
    pieces = [rest] * codes.size(1) if kind == "residual" else list(rest.tensor_split(codes.size(1), 1))
    found = []
    for level, piece in enumerate(pieces):
        of = codes[:, level]
        count = int(of.max()) + 1
        sums = torch.zeros(count, piece.size(1), dtype=piece.dtype).index_add_(0, of, piece)
        centers = sums / torch.bincount(of, minlength=count).clamp(min=1).unsqueeze(1)
        piece.sub_(centers[of])  # a view of `rest`
        found.append(float(rest.square().sum()) / whole)
    return found


def _turn(place: NDArray[np.int64]) -> NDArray[np.int64]:
    """place (N,) of groups -> how many of the same group stand before."""
    order = np.argsort(place, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(place[order])) + 1])
    lengths = np.diff(np.append(starts, len(place)))
    turn = np.empty(len(place), np.int64)
    turn[order] = np.arange(len(place)) - np.repeat(starts, lengths)
    return turn


def _letter(level: int) -> str:
    """a, b, …, z, aa, ab, …"""
    letters = ""
    level += 1
    while level:
        level, rest = divmod(level - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters
