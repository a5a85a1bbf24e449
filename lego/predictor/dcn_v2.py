"""DCN V2 (Wang et al. 2020, https://arxiv.org/abs/2008.13535): x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l with a perceptron.

With `rank` (section 3.4, equation 4) a layer is a mixture of low-rank experts, Σ_i G_i(x_l) x_0 ⊙ (U_i g(C_i g(V_iᵀ x_l)) + b)
+ x_l, where g is tanh and the gates are a softmax over experts. As they sum to 1, the gates can weigh what the experts say before
U_i reads it, so that all experts are three matrix products and no expert's vector of the width of x_0 is made.

`structure="parallel"`: cross network and perceptron both read x_0, and a linear layer reads the two. `"stacked"`: the perceptron
reads what the cross network gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Fields, joined, linear, perceptron
from lego.nn.mlp import MLP
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class DCNv2(FieldPredictor):
    """`cross` layers of `experts` low-rank experts each (`rank=None`: one full matrix a layer) and an MLP of `hidden` widths.

    With `hidden=()` the cross network stands alone.
    """

    cross: int = attrs.field(default=3, validator=ge(1))
    rank: int | None = attrs.field(default=32, validator=ge(1))
    experts: int = attrs.field(default=4, validator=ge(1))
    structure: Literal["parallel", "stacked"] = "parallel"
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        width = fields.count * context.width
        layers = nn.ModuleList(
            _Matrix(width) if self.rank is None else _Experts(width, self.rank, self.experts)
            for _ in range(self.cross)
        )
        return _DCNv2(fields, width, layers, self.hidden, self.dropout, stacked=self.structure == "stacked")

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(cross=2, rank=3, experts=2, hidden=(6, 4)),
            cls(cross=2, rank=None, hidden=(6,), structure="stacked"),
            cls(cross=1, rank=None, hidden=(), fields="attributes"),
            cls(cross=2, rank=2, experts=3, hidden=(6,), structure="stacked", fields="attributes"),
        )


class _DCNv2(nn.Module):
    def __init__(
        self,
        fields: Fields,
        width: int,
        cross: nn.ModuleList,
        hidden: tuple[int, ...],
        dropout: float,
        *,
        stacked: bool,
    ) -> None:
        super().__init__()
        self.fields = fields
        self.cross = cross
        self.deep = MLP(width, hidden, dropout=dropout) if hidden else None
        self.stacked = stacked
        deep_width = self.deep.width if self.deep else 0
        self.score = Score(deep_width if self.deep and stacked else width + deep_width)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        parts = self.fields.flat(user, candidates, candidate_mask, needs)
        first = joined(parts)  # (B, C, W)
        crossed = first
        read: tuple[Tensor, ...] = parts
        for layer in self.cross:
            crossed = first * layer(read) + crossed
            read = (crossed,)
        if self.deep is None:
            return self.score(crossed)
        if self.stacked:
            return self.score(self.deep(crossed))
        return self.score(torch.cat([crossed, perceptron(self.deep.layers, parts)], -1))


class _Matrix(nn.Module):
    """W x + b."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, parts: tuple[Tensor, ...]) -> Tensor:
        """x_l in parts (B, 1 or C, each its width) -> (B, C, W)."""
        return linear(self.linear, parts)


class _Experts(nn.Module):
    """Σ_i G_i(x) U_i tanh(C_i tanh(V_iᵀ x)) + b."""

    def __init__(self, width: int, rank: int, experts: int) -> None:
        super().__init__()
        # With one expert the gate is 1, whatever its weights.
        self.gate = nn.Linear(width, experts, bias=False) if experts > 1 else None
        self.down = nn.Linear(width, experts * rank, bias=False)
        self.within = nn.Parameter(torch.empty(experts, rank, rank))
        self.up = nn.Linear(experts * rank, width)
        for expert in self.within:
            nn.init.xavier_normal_(expert)
        for layer, side in ((self.down, 0), (self.up, 1)):
            for expert in layer.weight.chunk(experts, side):
                nn.init.xavier_normal_(expert)
        nn.init.zeros_(self.up.bias)

    def forward(self, parts: tuple[Tensor, ...]) -> Tensor:
        """x_l in parts (B, 1 or C, each its width) -> (B, C, W)."""
        experts, rank, _ = self.within.shape
        narrow = torch.tanh(linear(self.down, parts))
        narrow = narrow.view(*narrow.shape[:-1], experts, rank)
        narrow = torch.tanh(torch.einsum("bcer,esr->bces", narrow, self.within))
        if self.gate is not None:
            narrow = narrow * torch.softmax(linear(self.gate, parts), -1).unsqueeze(-1)
        return self.up(narrow.flatten(-2))
