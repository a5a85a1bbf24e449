"""Vectors → codes: k-means (Lloyd 1982, https://doi.org/10.1109/TIT.1982.1056489), in levels one on the other or side by side."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 25
"""Most rounds of Lloyd's algorithm; it ends before where no vector moves."""
PAGE = 1 << 22
"""The largest number of distances held at once."""


def kmeans(vectors: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """vectors (N, W) -> the nearest center of each (N,) int64, and the centers (count, W).

    First centers are drawn by squared distance to those drawn before (Arthur and Vassilvitskii 2007). A center that loses all its
    vectors takes the one that is farthest from its own; with fewer distinct vectors than centers some centers stay unused.
    """
    vectors = vectors.float()
    centers = _first(vectors, count, generator)
    nearest = torch.full((len(vectors),), -1)
    for _ in range(ROUNDS):
        found, distance = _nearest(vectors, centers)
        if torch.equal(found, nearest):
            break
        nearest = found
        sizes = torch.bincount(nearest, minlength=count)
        sums = torch.zeros_like(centers).index_add_(0, nearest, vectors)
        centers = torch.where(sizes.unsqueeze(1) > 0, sums / sizes.clamp(min=1).unsqueeze(1), centers)
        empty = torch.nonzero(sizes == 0).flatten()
        far = torch.argsort(distance, descending=True, stable=True)[: len(empty)]
        far = far[distance[far] > 0]
        centers[empty[: len(far)]] = vectors[far]
    return _nearest(vectors, centers)[0], centers


def _first(vectors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    chosen = [int(torch.randint(len(vectors), (), generator=generator))]
    distance = (vectors - vectors[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        # Where all vectors are centers already any will do.
        weights = distance if distance.any() else torch.ones_like(distance)
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
        distance = torch.minimum(distance, (vectors - vectors[chosen[-1]]).square().sum(1))
    return vectors[chosen].clone()


def _nearest(vectors: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """vectors (N, W), centers (K, W) -> nearest (N,), squared distance (N,)."""
    squares = centers.square().sum(1)
    found, distances = [], []
    for page in torch.split(vectors, max(1, PAGE // len(centers))):
        table = squares - 2 * page @ centers.T
        value, place = table.min(1)
        found.append(place)
        distances.append((value + page.square().sum(1)).clamp(min=0))
    return torch.cat(found), torch.cat(distances)


def residual_codes(vectors: Tensor, levels: int, count: int, generator: torch.Generator) -> Tensor:
    """vectors (N, W) -> (N, levels) int64: each level quantises what the ones before left over."""
    rest, codes = vectors.float(), []
    for _ in range(levels):
        nearest, centers = kmeans(rest, count, generator)
        codes.append(nearest)
        rest = rest - centers[nearest]
    return torch.stack(codes, 1)


def product_codes(vectors: Tensor, levels: int, count: int, generator: torch.Generator) -> Tensor:
    """vectors (N, W) -> (N, levels) int64: each level quantises its piece of the vector."""
    pieces = vectors.float().tensor_split(levels, 1)
    return torch.stack([kmeans(piece, count, generator)[0] for piece in pieces], 1)
