"""Gated Deep & Cross Network (Wang et al. 2023, https://arxiv.org/abs/2311.04635): a cross network in which a gate at each
layer lets the interactions through that matter.

c_{l+1} = c_0 ⊙ (W c_l + b) ⊙ σ(W_g c_l) + c_l, with c_0 the fields side by side; an MLP over c_0 stands beside it (`parallel`,
GDCN-P), or an MLP over the last c (`stacked`, GDCN-S).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Fields, joined, linear, perceptron, weighed
from lego.nn.mlp import MLP
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class GDCN(FieldPredictor):
    """`cross` gated layers and an MLP of `hidden` widths; with `hidden=()` the cross network stands alone."""

    cross: int = attrs.field(default=3, validator=ge(1))
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    structure: Literal["parallel", "stacked"] = "parallel"
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        return _GDCN(fields, context.width, self.cross, self.hidden, self.structure, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(cross=2, hidden=(6, 4)),
            cls(cross=2, hidden=(6,), structure="stacked", fields="attributes"),
            cls(cross=1, hidden=()),
        )


class _GDCN(nn.Module):
    def __init__(
        self,
        fields: Fields,
        width: int,
        cross: int,
        hidden: tuple[int, ...],
        structure: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.fields = fields
        size = fields.count * width
        self.cross = nn.ModuleList(_GatedCross(size) for _ in range(cross))
        self.deep = MLP(size, hidden, dropout=dropout) if hidden else None
        self.stacked = structure == "stacked"
        above = self.deep.width if self.deep else 0
        self.score = Score(above if self.stacked and hidden else size + above)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        parts = self.fields.flat(user, candidates, candidate_mask, needs)
        first = joined(parts)  # (B, C, F · D)
        # The first layer reads c_0, of which the user's part is there once.
        crossed = self.cross[0](first, first, parts)
        for layer in self.cross[1:]:
            crossed = layer(first, crossed, (crossed,))
        if self.deep is None:
            return self.score(crossed)
        if self.stacked:
            return self.score(self.deep(crossed))
        both = (crossed, perceptron(self.deep.layers, parts))
        return weighed(both, self.score.linear.weight).squeeze(-1) + self.score.linear.bias


class _GatedCross(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross = nn.Linear(width, width)
        self.gate = nn.Linear(width, width, bias=False)

    def forward(self, first: Tensor, crossed: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
        """first (B, C, W), crossed (B, C, W), which is `parts` side by side -> (B, C, W)."""
        return first * linear(self.cross, parts) * torch.sigmoid(linear(self.gate, parts)) + crossed
