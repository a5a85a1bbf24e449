"""A recurrence over the real places of padded sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.masked import zero_padding


class Recurrent(nn.Module):
    """Layers of an `nn.GRU` or `nn.LSTM`, then dropout on what the last one gives, then a pool."""

    def __init__(
        self,
        kind: type[nn.GRU | nn.LSTM],
        input_width: int,
        hidden: int,
        layers: int,
        dropout: float,
        pool: nn.Module,
    ) -> None:
        super().__init__()
        between_layers = dropout if layers > 1 else 0.0
        self.recurrence = kind(input_width, hidden, layers, batch_first=True, dropout=between_layers)
        self.dropout = nn.Dropout(dropout)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        # Real places come first and a state depends on earlier places alone, so reading the real places of a padded run
        # equals packing, without lengths on the host.
        places = zero_padding(sequence, mask)
        if isinstance(self.recurrence, nn.LSTM):
            # Few processors have an LSTM in bfloat16, and torch stops on the others.
            with torch.autocast("cpu", enabled=False):
                states, _ = self.recurrence(places.to(next(self.recurrence.parameters()).dtype))
        else:
            states, _ = self.recurrence(places)
        return self.pool(zero_padding(self.dropout(states), mask), mask, needs)
