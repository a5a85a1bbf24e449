"""Additive attention as a pool (Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473; as in NAML and NRMS, 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lego.nn.masked import masked_softmax, zero_padding


class AdditivePooling(nn.Module):
    """Σ_s a_s x_s with a = softmax_s(q · tanh(W x_s + b))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        # No bias: a softmax does not see a constant.
        self.query = nn.Linear(hidden, 1, bias=False)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, W), mask (B, S) -> (B, W)."""
        sequence = zero_padding(sequence, mask)
        logits = self.query(torch.tanh(self.project(sequence))).squeeze(-1)  # (B, S)
        weights = masked_softmax(logits, mask)
        return (weights.unsqueeze(-1) * sequence).sum(-2)
