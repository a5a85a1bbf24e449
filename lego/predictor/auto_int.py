"""AutoInt (Song et al. 2019, https://arxiv.org/abs/1810.11921): fields attend to fields.

A layer is e'_m = relu(concat_h Σ_k α_mk W_V e_k + W_R e_m) with α = softmax_k(W_Q e_m · W_K e_k), which the paper does not scale
(equations 5 to 8); a linear layer reads the fields of the last layer side by side (equation 9). With `hidden`, a perceptron over
the first fields is added, which the paper calls AutoInt+.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Needs, Out
from lego.nn.fields import Deep, Fields, joined
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class AutoInt(FieldPredictor):
    """`layers` of `heads` heads, each `head_width` wide; as published, three layers of two heads of 32."""

    layers: int = attrs.field(default=3, validator=ge(1))
    heads: int = attrs.field(default=2, validator=ge(1))
    head_width: int = attrs.field(default=32, validator=ge(1))
    hidden: tuple[int, ...] = attrs.field(default=(), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields, width = make_fields(context, self.fields), self.heads * self.head_width
        layers = nn.ModuleList(
            _Interaction(context.width if place == 0 else width, self.heads, self.head_width)
            for place in range(self.layers)
        )
        deep = Deep(fields.count * context.width, self.hidden, self.dropout) if self.hidden else None
        return _AutoInt(fields, layers, fields.count * width, deep)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(layers=2, heads=2, head_width=3),
            cls(layers=1, heads=2, head_width=3, hidden=(6,), fields="attributes"),
            cls(layers=2, heads=1, head_width=4, fields="attributes"),
        )


class _AutoInt(nn.Module):
    def __init__(self, fields: Fields, layers: nn.ModuleList, width: int, deep: Deep | None) -> None:
        super().__init__()
        self.fields = fields
        self.layers = layers
        self.score = Score(width)
        self.deep = deep

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        of_user, of_item = self.fields.apart(user, candidates, candidate_mask, needs)
        parts: tuple[Tensor, ...] = (of_user, of_item)
        for layer in self.layers:
            parts = (layer(parts),)
        scores = self.score(parts[0].flatten(-2))
        return scores if self.deep is None else scores + self.deep((of_user.flatten(-2), of_item.flatten(-2)))


class _Interaction(nn.Module):
    """One interacting layer."""

    def __init__(self, input_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(input_width, 4 * heads * head_width, bias=False)
        for weight in self.project.weight.chunk(4):
            nn.init.xavier_uniform_(weight)

    def forward(self, parts: tuple[Tensor, ...]) -> Tensor:
        """Fields in parts (B, 1 or C, F of the part, W) -> all of them (B, C, F, heads · head width)."""
        # Query, key, value and residual of a field depend on the field alone: for one of the user, once for all candidates.
        projected = joined(tuple(self.project(each) for each in parts), -2)  # (B, C, F, 4HW)
        query, key, value, residual = projected.flatten(0, 1).chunk(4, -1)
        found = functional.scaled_dot_product_attention(
            self._by_head(query), self._by_head(key), self._by_head(value), scale=1.0
        )
        mixed = found.transpose(1, 2).flatten(-2)
        return functional.relu(mixed + residual).view(*projected.shape[:-1], -1)

    def _by_head(self, fields: Tensor) -> Tensor:
        """fields (N, F, HW) -> (N, H, F, W)."""
        return fields.reshape(*fields.shape[:2], self.heads, -1).transpose(1, 2)
