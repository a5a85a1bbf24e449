"""Time between two moments, in buckets that double: seconds, minutes, hours and years all have a few."""

from __future__ import annotations

import torch
from torch import Tensor

BUCKETS = 32
"""Of which the last begins at 2^31 seconds, 68 years."""


def buckets(gaps: Tensor) -> Tensor:
    """gaps (...) in seconds, at least 0 -> the bucket of each, int64: ⌊log₂(gap + 1)⌋, at most BUCKETS − 1."""
    # Compared with powers of two: a logarithm in floating point may fall on either side of one.
    bounds = 2 ** torch.arange(1, BUCKETS, device=gaps.device)
    return torch.bucketize(gaps + 1, bounds, right=True)
