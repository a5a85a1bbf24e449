"""From vectors to scores, in float32 even where the layers before run at half precision.

bfloat16 holds eight bits: candidates of one impression would tie in it, and ties change rankings.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


class Score(nn.Module):
    """A linear layer to one number, computed in float32 also under autocast."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors (..., W) -> (...)."""
        return (vectors.float() * self.linear.weight.squeeze(0)).sum(-1) + self.linear.bias


def dot(first: Tensor, second: Tensor) -> Tensor:
    """first (..., W), second (..., W) -> (...), in float32."""
    return (first.float() * second.float()).sum(-1)


def beside_candidates(user: Tensor, candidates: Tensor) -> Tensor:
    """user (B, D) or (B, C, D), candidates (B, C, D) -> the user beside each candidate, (B, C, D)."""
    return user.unsqueeze(1).expand_as(candidates) if user.ndim == 2 else user


def dot_with_candidates(user: Tensor, candidates: Tensor) -> Tensor:
    """user (B, D) or (B, C, D), candidates (B, C, D) -> (B, C), in float32.

    Candidates that all users share, as when every item is ranked, are one product of matrices: many times faster.
    """
    shared = user.ndim == 2 and len(user) > 1 and candidates.stride(0) == 0
    if shared and not torch.is_grad_enabled():
        with full_precision(candidates):
            return user.float() @ candidates[0].float().T
    return dot(beside_candidates(user, candidates), candidates)


def products(several: Tensor, candidates: Tensor) -> Tensor:
    """several (B, M, D) or (B, C, M, D), candidates (B, C, D) -> every inner product (B, C, M), in float32 always."""
    with full_precision(candidates):
        first, second = several.float(), candidates.float()
        if first.ndim == 3:
            return second @ first.transpose(1, 2)
        return (first @ second.unsqueeze(-1)).squeeze(-1)


def full_precision(beside: Tensor) -> AbstractContextManager[object]:
    """Matrix products inside are of the precision of what they are given, on the device of `beside`, also under autocast."""
    kind = beside.device.type
    return nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False)
