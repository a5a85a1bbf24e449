"""Wukong (Zhang et al. 2024, https://arxiv.org/abs/2403.02545): stacked factorization machines.

A layer reads n vectors X (n, D). A factorization machine block makes new ones out of their inner products with k mixtures of
them, MLP(LN(flatten(X Xᵀ Y))) with a learned Y (n, k); a linear compression block makes others as W X; and the layer gives
LN([of products; of mixtures] + X), X mapped by a matrix where the count changes. An MLP reads what the last layer gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Fields, joined
from lego.nn.mlp import MLP
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class WuKong(FieldPredictor):
    """`products` and `mixtures` are how many vectors the two blocks of a layer give, `rank` is k, `units` the MLP of a layer."""

    layers: int = attrs.field(default=3, validator=ge(1))
    products: int = attrs.field(default=8, validator=ge(1))
    mixtures: int = attrs.field(default=8, validator=ge(1))
    rank: int = attrs.field(default=8, validator=ge(1))
    units: tuple[int, ...] = attrs.field(default=(128,), validator=widths)
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        count, made = fields.count, self.products + self.mixtures
        layers = [
            _Layer(
                made if place else count, context.width, self.products, self.mixtures, self.rank, self.units
            )
            for place in range(self.layers)
        ]
        return _WuKong(fields, layers, made * context.width, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(layers=2, products=2, mixtures=1, rank=2, units=(5,), hidden=(6,)),
            cls(layers=1, products=3, mixtures=3, rank=2, units=(), hidden=(), fields="attributes"),
        )


class _WuKong(nn.Module):
    def __init__(
        self, fields: Fields, layers: list[_Layer], size: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.fields = fields
        self.layers = nn.ModuleList(layers)
        self.deep = MLP(size, hidden, dropout=dropout)
        self.score = Score(self.deep.width)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        vectors = joined(self.fields.apart(user, candidates, candidate_mask, needs), -2)  # (B, C, F, D)
        for layer in self.layers:
            vectors = layer(vectors)
        return self.score(self.deep(vectors.flatten(-2)))


class _Layer(nn.Module):
    def __init__(
        self, count: int, width: int, products: int, mixtures: int, rank: int, units: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.compress = nn.Linear(count, rank, bias=False)
        self.product_norm = nn.LayerNorm(count * rank)
        self.make = MLP(count * rank, units, output=products * width)
        self.mix = nn.Linear(count, mixtures, bias=False)
        made = products + mixtures
        self.keep = nn.Identity() if count == made else nn.Linear(count, made, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors (B, C, n, D) -> (B, C, products + mixtures, D)."""
        turned = vectors.transpose(-1, -2)  # (B, C, D, n)
        found = vectors @ self.compress(turned).to(vectors.dtype)  # X (Xᵀ Y), without the (n, n) table
        made = self.make(self.product_norm(found.flatten(-2)))
        both = torch.cat(
            [made.view(*made.shape[:-1], -1, vectors.size(-1)), self.mix(turned).transpose(-1, -2)], -2
        )
        return self.norm(both + self.keep(turned).transpose(-1, -2))
