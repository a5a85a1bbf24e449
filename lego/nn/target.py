"""The candidate as the query, the history as keys and values (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lego.nn.default import LearnedDefault
from lego.nn.masked import masked_softmax


class TargetAttentionLayer(nn.Module):
    """head_i = softmax((Q_i v)(K_i h) / sqrt(D / heads)) V_i h, joined by a linear layer; a learned vector where none is real."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
        self.dropout = nn.Dropout(dropout)
        self.default = LearnedDefault(width)

    def forward(self, history: Tensor, candidates: Tensor, real: Tensor) -> Tensor:
        """history (B, S, D) without padding that is not zero, candidates (B, C, D), real (B, C or 1, S) -> (B, C, D)."""
        query = self.query(candidates).unflatten(-1, (self.heads, -1))
        key, value = (layer(history).unflatten(-1, (self.heads, -1)) for layer in (self.key, self.value))
        logits = torch.einsum("bchd,bshd->bchs", query * query.size(-1) ** -0.5, key)
        weights = masked_softmax(logits, real.unsqueeze(2))
        found = self.output(torch.einsum("bchs,bshd->bchd", weights, value).flatten(-2))
        users: Tensor = self.default(self.dropout(found), real.any(-1).expand(found.shape[:-1]))
        return users
