"""A multi-layer perceptron over user and candidate side by side: the deep part of Wide & Deep (Cheng et al. 2016,
https://arxiv.org/abs/1606.07792).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.mlp import MLP
from lego.nn.score import Score, beside_candidates
from lego.predictor.widths import widths
from lego.spec import Context, Predictor, between, operator


@operator
class DNN(Predictor):
    """w · MLP([u; v]) + b."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR, Form.PER_CANDIDATE})

    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _DNN(context.width, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(hidden=(6, 4)),)


class _DNN(nn.Module):
    def __init__(self, width: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.deep = MLP(2 * width, hidden, dropout=dropout)
        self.score = Score(self.deep.width)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        pairs = torch.cat([beside_candidates(user.tensor, candidates), candidates], -1)  # (B, C, 2D)
        return self.score(self.deep(pairs))
