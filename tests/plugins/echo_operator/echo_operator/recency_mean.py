"""The mean of the history in which what is older counts less: each step back multiplies the weight by `decay`.

user = Σ_s decay^(n-1-s) history_s / Σ_s decay^(n-1-s)     for a history of n items
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.spec import Behavior, Context, between, operator


@operator
class RecencyMean(Behavior):
    """Exponentially decaying mean; `decay` is the weight of an item beside the one taken after it."""

    decay: float = attrs.field(default=0.9, validator=between(0, 1))

    def build(self, context: Context) -> nn.Module:
        """Torch of it; it has no weights."""
        return _RecencyMean(self.decay)


class _RecencyMean(nn.Module):
    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> (B, D)."""
        length = mask.sum(1, keepdim=True)
        age = length - 1 - torch.arange(mask.size(1), device=mask.device)  # (B, S), negative behind the end
        weight = torch.where(mask, self.decay ** age.clamp(min=0), 0.0).unsqueeze(-1)
        total = torch.where(mask.unsqueeze(-1), history, 0.0).mul(weight).sum(1)
        return Out(total / weight.sum(1).clamp(min=1e-9))
