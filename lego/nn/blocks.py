"""Candidates taken a block at a time, so that tables with a candidate axis stay small however many candidates there are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 1 << 24
"""The largest number of floats of one intermediate table in evaluation."""


def in_blocks(score: Callable[[slice], Tensor], candidates: int, floats: int, *, whole: bool) -> Tensor:
    """What `score` gives for each block of candidates (B, block, ...), side by side: (B, C, ...).

    `floats` is what one candidate of all users takes in the largest table. `whole` is for training, where gradients keep all
    tables anyway.
    """
    size = candidates if whole else max(1, BLOCK // max(1, floats))
    if size >= candidates:
        return score(slice(None))
    return torch.cat([score(slice(start, start + size)) for start in range(0, candidates, size)], 1)
