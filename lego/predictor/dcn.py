"""Deep & Cross Network (Wang et al. 2017, https://arxiv.org/abs/1708.05123): x_{l+1} = x_0 (w_l · x_l) + b_l + x_l beside an MLP.

x_0 is user and candidate side by side; a linear layer reads the last crossed vector joined to what the MLP gives (equation 3 and
section 2.4).
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
from lego.spec import Context, Predictor, between, ge, operator


@operator
class DCN(Predictor):
    """`cross` layers beside an MLP of `hidden` widths; with `hidden=()` the cross network stands alone."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR, Form.PER_CANDIDATE})

    cross: int = attrs.field(default=3, validator=ge(1))
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _DCN(context.width, self.cross, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(cross=2, hidden=(6, 4)), cls(cross=1, hidden=()))


class _DCN(nn.Module):
    def __init__(self, width: int, cross: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.cross = nn.ModuleList(_Cross(2 * width) for _ in range(cross))
        self.deep = MLP(2 * width, hidden, dropout=dropout) if hidden else None
        self.score = Score(2 * width + (self.deep.width if self.deep else 0))

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        first = torch.cat([beside_candidates(user.tensor, candidates), candidates], -1)  # (B, C, 2D)
        crossed = first
        for layer in self.cross:
            crossed = layer(first, crossed)
        if self.deep is None:
            return self.score(crossed)
        return self.score(torch.cat([crossed, self.deep(first)], -1))


class _Cross(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, first: Tensor, crossed: Tensor) -> Tensor:
        """first (..., W), crossed (..., W) -> (..., W)."""
        return first * self.weight(crossed) + self.bias + crossed
