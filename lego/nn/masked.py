"""What is done over the real places of padded rows.

A row has one place at least, be it padding. A row without any real place gives zeros, never NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor


def zero_padding(sequence: Tensor, mask: Tensor) -> Tensor:
    """sequence (..., S, W), mask (..., S) -> the same with zeros at padded places, whatever stood there."""
    return sequence.masked_fill(~mask.unsqueeze(-1), 0)


def masked_softmax(logits: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """logits and mask of one shape (or broadcast) -> weights that sum to 1 over real places, or to 0 where there is none."""
    # A finite fill: minus infinity everywhere would make a row without real places NaN, in its gradient too. torch subtracts
    # the maximum and, at half precision, is asked to sum in float32.
    wide = torch.promote_types(logits.dtype, torch.float32)
    filled = logits.to(wide).masked_fill(~mask, torch.finfo(wide).min)
    return torch.softmax(filled, dim).masked_fill(~mask, 0).to(logits.dtype)


def masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    """sequence (..., S, W), mask (..., S) -> (..., W)."""
    count = mask.sum(-1, keepdim=True).clamp(min=1)
    return zero_padding(sequence, mask).sum(-2) / count.to(sequence.dtype)


def masked_max(sequence: Tensor, mask: Tensor) -> Tensor:
    """sequence (..., S, W), mask (..., S) -> (..., W)."""
    filled = sequence.masked_fill(~mask.unsqueeze(-1), torch.finfo(sequence.dtype).min)
    return filled.amax(-2).masked_fill(~mask.any(-1, keepdim=True), 0)


def gather_last(sequence: Tensor, mask: Tensor) -> Tensor:
    """sequence (B, S, W), mask (B, S), real places first -> (B, W), each row's last real place."""
    last = (mask.sum(-1) - 1).clamp(min=0)
    found = sequence.gather(1, last[:, None, None].expand(-1, 1, sequence.size(-1))).squeeze(1)
    return found.masked_fill(~mask.any(-1, keepdim=True), 0)
