"""FinalMLP (Mao et al. 2023, https://arxiv.org/abs/2304.00902): two MLPs over the same fields, each with a view of its own,
fused by a bilinear form.

Each stream reads 2σ(g) ⊙ x_0 with a gate g = MLP(x) of its own: x are the fields of the user for the one and those of the item
for the other, or a learned vector each (equations 4 to 6). With a and b what they give, the score is
w₁ · a + w₂ · b + Σ_k a_kᵀ W_k b_k + bias, a and b cut into heads a_k and b_k (equations 7 to 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.errors import Problem
from lego.nn.fields import Fields, perceptron
from lego.nn.mlp import MLP
from lego.nn.score import Score, full_precision
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class FinalMLP(FieldPredictor):
    """`first` and `second` are the hidden widths of the two streams, `gate` those of their gates.

    `gated_by="fields"`: the first stream by the fields of the user, the second by those of the item; `"bias"`: learned vectors.
    """

    first: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    second: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    gate: tuple[int, ...] = attrs.field(default=(64,), validator=widths)
    gated_by: Literal["fields", "bias"] = "fields"
    heads: int = attrs.field(default=1, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The heads must divide what both streams give, so each stream has a hidden layer."""
        for name in ("first", "second"):
            hidden = getattr(self, name)
            if not hidden:
                yield Problem(where, f"{name}=() is no stream", f"give {name} a hidden width or more")
            elif hidden[-1] % self.heads:
                what = f"heads={self.heads} does not divide the last width of {name}={hidden}"
                yield Problem(where, what, "choose heads that divide it")
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        widths_of_context = (fields.user_count * context.width, fields.item_count * context.width)
        first, second = (
            _Stream(
                fields,
                context.width,
                size if self.gated_by == "fields" else None,
                self.gate,
                hidden,
                self.dropout,
            )
            for size, hidden in zip(widths_of_context, (self.first, self.second), strict=True)
        )
        return _FinalMLP(fields, first, second, self.heads)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(first=(6, 4), second=(5, 4), gate=(3,), heads=2),
            cls(first=(6,), second=(4,), gate=(3,), fields="attributes"),
            cls(first=(6,), second=(4,), gate=(), gated_by="bias"),
        )


class _FinalMLP(nn.Module):
    def __init__(self, fields: Fields, first: _Stream, second: _Stream, heads: int) -> None:
        super().__init__()
        self.fields = fields
        self.first = first
        self.second = second
        self.fuse = _Fusion(first.deep.width, second.deep.width, heads)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        parts = self.fields.flat(user, candidates, candidate_mask, needs)
        return self.fuse(self.first(parts[0], parts), self.second(parts[1], parts))


class _Stream(nn.Module):
    """An MLP over gated fields."""

    def __init__(
        self,
        fields: Fields,
        width: int,
        context: int | None,
        gate: tuple[int, ...],
        hidden: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        size = fields.count * width
        self.bias = nn.Parameter(width**-0.5 * torch.randn(width)) if context is None else None
        self.gate = MLP(width if context is None else context, gate, output=size)
        self.deep = MLP(size, hidden, dropout=dropout)

    def forward(self, context: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
        """context (B, 1 or C, …) that makes the gate, parts (B, 1 or C, …) of the fields -> (B, C, H)."""
        gate = 2 * torch.sigmoid(self.gate(context if self.bias is None else self.bias.view(1, 1, -1)))
        gates = torch.split(gate, [part.size(-1) for part in parts], -1)
        return perceptron(
            self.deep.layers, tuple(part * each for part, each in zip(parts, gates, strict=True))
        )


class _Fusion(nn.Module):
    """Computed in float32 also under autocast, as every last layer."""

    def __init__(self, first: int, second: int, heads: int) -> None:
        super().__init__()
        self.first = Score(first)
        self.second = nn.Linear(second, 1, bias=False)
        self.weight = nn.Parameter(torch.empty(heads, first // heads, second // heads))
        nn.init.normal_(self.weight, std=(2 / (first + second)) ** 0.5)  # Xavier's, of all heads together

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """first (B, C, H), second (B, C, K) -> (B, C)."""
        first, second = first.float(), second.float()
        heads = len(self.weight)
        with full_precision(first):
            turned = torch.einsum("bchi,hij->bchj", first.view(*first.shape[:-1], heads, -1), self.weight)
        fused = (turned.flatten(-2) * second).sum(-1)
        return self.first(first) + (second * self.second.weight.squeeze(0)).sum(-1) + fused
