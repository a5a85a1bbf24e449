"""Several interests per user, each from its own learned code: MINER (Li et al. 2022, https://aclanthology.org/2022.findings-acl.29).

Interest m is p_m = Σ_s a_ms h_s with a_m = softmax_s(c_m · tanh(W h_s)). The disagreement loss is the mean cosine between two
different interests. A mean over all M² pairs, an interest with itself included, differs by a constant and a factor (M − 1) / M,
so it has the same minimum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Needs, Out
from lego.nn.masked import masked_softmax, zero_padding
from lego.spec import Behavior, Context, ge, operator


@operator
class PolyAttention(Behavior):
    """`interests` codes of width `hidden`; `disagreement` weighs the loss that keeps interests apart. All three as published."""

    interests: int = attrs.field(default=32, validator=ge(1))
    hidden: int = attrs.field(default=200, validator=ge(1))
    disagreement: float = attrs.field(default=0.8, validator=ge(0))

    @property
    def gives(self) -> Form:
        """INTERESTS."""
        return Form.INTERESTS

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _PolyAttention(context.width, self.interests, self.hidden, self.disagreement)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(interests=3, hidden=5), cls(interests=1, hidden=5, disagreement=0))


class _PolyAttention(nn.Module):
    def __init__(self, width: int, interests: int, hidden: int, disagreement: float) -> None:
        super().__init__()
        self.weight = disagreement
        self.project = nn.Linear(width, hidden, bias=False)
        self.codes = nn.Linear(hidden, interests, bias=False)
        gain = nn.init.calculate_gain("tanh")
        nn.init.xavier_uniform_(self.project.weight, gain)
        nn.init.xavier_uniform_(self.codes.weight, gain)

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> (B, M, D); a user without history has zeros for interests."""
        history = zero_padding(history, mask)
        logits = self.codes(torch.tanh(self.project(history))).transpose(1, 2)  # (B, M, S)
        interests = masked_softmax(logits, mask.unsqueeze(1)) @ history
        if not self.training or not self.weight:
            return Out(interests)
        return Out(interests, losses={"disagreement": self.weight * _likeness(interests, mask.any(-1))})


def _likeness(interests: Tensor, real: Tensor) -> Tensor:
    """interests (B, M, D), real (B) -> the mean cosine of two different interests, over users with a history."""
    count = interests.size(1)
    directions = functional.normalize(interests.float(), dim=-1)
    # Σ_{m ≠ n} d_m · d_n = |Σ_m d_m|² − Σ_m |d_m|², without the (B, M, M) table.
    pairs = directions.sum(1).square().sum(-1) - directions.square().sum((-2, -1))  # (B)
    mean = pairs / max(count * (count - 1), 1)
    return mean.masked_fill(~real, 0).sum() / real.sum().clamp(min=1)
