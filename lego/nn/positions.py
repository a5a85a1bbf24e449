"""A learned vector for each place, added to what stands there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lego.nn.masked import zero_padding


class LearnedPositions(nn.Module):
    """One vector a place, counted from the first place, or `backwards` from the last real one; normal, 0.02, at the start."""

    def __init__(self, length: int, width: int, *, backwards: bool = False) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(length, width))
        nn.init.normal_(self.table, std=0.02)
        self.backwards = backwards

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, W), mask (B, S), S at most `length` -> (B, S, W), zeros at padded places."""
        places = sequence.size(1)
        if self.backwards:
            # Real places come first, so how many real ones stand from here on is the distance to the last one, and one.
            distance = mask.sum(-1, keepdim=True) - 1 - torch.arange(places, device=mask.device)
            added = self.table[distance.clamp(min=0)]
        else:
            added = self.table[:places]
        return zero_padding(sequence + added, mask)
