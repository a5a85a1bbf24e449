"""Parts of losses over padded rows of scores. What stands at a padded place reaches neither a loss nor a gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def parted(labels: Tensor, candidate_mask: Tensor) -> tuple[Tensor, Tensor]:
    """labels (B, C), candidate_mask (B, C) -> which real places are positive and which negative, both (B, C) bool."""
    positive = (labels > 0) & candidate_mask
    return positive, candidate_mask & ~positive


def mean_where(values: Tensor, real: Tensor, dim: int = -1) -> Tensor:
    """values and real of one shape -> their mean over real places of a dimension; 0 where there is none."""
    return values.masked_fill(~real, 0).sum(dim) / real.sum(dim).clamp(min=1)


def cross_entropy(scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
    """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over rows that have a positive, a scalar.

    The softmax of a row runs over its real places; a row with several positives shares its target evenly among them.
    """
    positive, _ = parted(labels, candidate_mask)
    # A finite fill: minus infinity everywhere would make a row without real places NaN.
    filled = scores.float().masked_fill(~candidate_mask, torch.finfo(torch.float32).min)
    losses = mean_where(-torch.log_softmax(filled, -1), positive)
    return mean_where(losses, positive.any(-1))
