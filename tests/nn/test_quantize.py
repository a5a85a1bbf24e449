"""Codes of vectors by k-means."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans

from lego.nn.quantize import kmeans, product_codes, residual_codes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(count: int = 200) -> torch.Tensor:
    middles = torch.tensor([[0.0, 0, 0, 0], [9, 0, 0, 9], [0, 9, 9, 0], [9, 9, 9, 9], [-9, 0, 9, -9]])
    return middles.repeat(count // 5, 1) + 0.5 * torch.randn(count, 4, generator=generator(3))


def test_no_worse_than_sklearn():
    """The sum of squared distances is that of sklearn's best of ten starts, on clear clusters, and near it on noise."""
    for vectors, tolerance in ((blobs(), 1.0001), (torch.randn(300, 6, generator=generator(1)), 1.06)):
        nearest, centers = kmeans(vectors, 5, generator())
        found = float((vectors - centers[nearest]).square().sum())
        assert found <= tolerance * KMeans(5, n_init=10, random_state=0).fit(vectors.numpy()).inertia_


def test_each_vector_has_its_nearest_center():
    """The oracle compares all distances."""
    vectors = torch.randn(50, 3, generator=generator(2))
    nearest, centers = kmeans(vectors, 7, generator())
    assert torch.equal(nearest, torch.cdist(vectors, centers).argmin(1))
    assert len(nearest.unique()) == 7


def test_fewer_vectors_than_centers_are_told_apart():
    """Equal vectors share a code, different ones do not."""
    vectors = torch.tensor([[0.0, 1], [2, 3], [0, 1], [5, 5]])
    nearest, _ = kmeans(vectors, 16, generator())
    assert nearest[0] == nearest[2]
    assert len(nearest.unique()) == 3


def test_each_level_leaves_less_over():
    """Residual codes tell items apart that share their first code; the pieces of product codes are quantised by themselves."""
    vectors = torch.randn(120, 8, generator=generator(4))
    codes = residual_codes(vectors, 3, 4, generator())
    shared = [len(np.unique(codes[:, : level + 1].numpy(), axis=0)) for level in range(3)]
    assert shared[0] == 4
    assert shared[0] < shared[1] < shared[2]
    pieces = product_codes(vectors, 2, 4, generator())
    assert torch.equal(pieces[:, 0], kmeans(vectors[:, :4], 4, generator())[0])


def test_one_seed_gives_one_code():
    """And another seed another."""
    vectors = torch.randn(100, 5, generator=generator(5))
    first, again, other = (residual_codes(vectors, 2, 8, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
