"""DCNv3 (Li et al. 2024, https://arxiv.org/abs/2407.13349, later named FCN): two cross networks, one whose degree grows linearly
and one whose degree doubles at each layer, with a mask that filters half of each product.

c = W x is half as wide as x, and its masked other half is c ⊙ relu(LN(c)). With H = [c; c ⊙ relu(LN(c))] a layer of the linear
network is x_0 ⊙ (H + b) + x, one of the exponential network x ⊙ (H + b) + x. Each field is cut in two, so that the mask falls on
half of every field, and into heads that pass the same layers; the score is the mean over heads and both networks.

The paper's loss (Tri-BCE) also compares each network's own score with the label. A predictor sees no label, so that is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.errors import Problem
from lego.nn.fields import Fields, joined
from lego.nn.masked import zero_padding
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.spec import Context, between, ge, operator


@operator
class DCNv3(FieldPredictor):
    """Layers of the `linear` and of the `exponential` network; twice the `heads` divide the model's width."""

    linear: int = attrs.field(default=3, validator=ge(1))
    exponential: int = attrs.field(default=3, validator=ge(1))
    heads: int = attrs.field(default=1, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """Each field is cut into heads, and each of them in two."""
        if context_width % (2 * self.heads):
            what = f"heads={self.heads}, each cut in two, do not divide the model's width {context_width}"
            yield Problem(where, what, "choose heads whose double divides it, or another width")
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        size = fields.count * context.width // self.heads
        return _DCNv3(fields, size, self.linear, self.exponential, self.heads, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(linear=2, exponential=2), cls(linear=1, exponential=2, heads=2, fields="attributes"))


class _DCNv3(nn.Module):
    def __init__(
        self, fields: Fields, size: int, linear: int, exponential: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.fields = fields
        self.heads = heads
        self.linear = _Network(size, linear, dropout, doubling=False)
        self.exponential = _Network(size, exponential, dropout, doubling=True)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        # Powers of whatever stands at padded places would overflow.
        candidates = zero_padding(candidates, candidate_mask)
        table = joined(self.fields.apart(user, candidates, candidate_mask, needs), -2)  # (B, C, F, D)
        cut = table.view(*table.shape[:-1], self.heads, 2, -1)  # (B, C, F, heads, 2, D / heads / 2)
        # All first halves of a head's fields, then all second halves.
        vectors = cut.permute(0, 1, 3, 4, 2, 5).flatten(-3)  # (B, C, heads, F · D / heads)
        return (self.linear(vectors) + self.exponential(vectors)).mean(-1) / 2


class _Network(nn.Module):
    def __init__(self, size: int, layers: int, dropout: float, *, doubling: bool) -> None:
        super().__init__()
        self.doubling = doubling
        self.cross = nn.ModuleList(nn.Linear(size, size // 2, bias=False) for _ in range(layers))
        self.norm = nn.ModuleList(nn.LayerNorm(size // 2) for _ in range(layers))
        self.bias = nn.ParameterList(torch.zeros(size) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.score = Score(size)

    def forward(self, first: Tensor) -> Tensor:
        """first (..., W) -> (...), float32."""
        crossed = first
        for layer, norm, bias in zip(self.cross, self.norm, self.bias, strict=True):
            half = layer(crossed)
            units = torch.cat([half, half * torch.relu(norm(half)).to(half.dtype)], -1)
            factor = crossed if self.doubling else first
            crossed = self.dropout(factor * (units + bias) + crossed)
        return self.score(crossed)
