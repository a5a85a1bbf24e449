"""What stands for a user of whom nothing is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LearnedDefault(nn.Module):
    """One learned vector, added where there is nothing to go by; it starts small, so that a model starts as it would without."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.empty(width))
        nn.init.normal_(self.vector, std=0.02)

    def forward(self, users: Tensor, known: Tensor) -> Tensor:
        """users (..., D), known (...) -> (..., D)."""
        return users + self.vector.to(users.dtype).expand_as(users).masked_fill(known.unsqueeze(-1), 0)
