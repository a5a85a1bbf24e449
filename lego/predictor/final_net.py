"""FINAL (Zhu et al. 2023, https://doi.org/10.1145/3539618.3591988): layers that multiply, so that a few of them reach high
orders.

A layer is h_1 = W_1 x + b_1, h_k = h_{k−1} ⊙ σ(W_k x + b_k), and gives Σ_k h_k: products of up to `order` features, whose degree
grows exponentially with the layers. Two blocks of such layers read the fields, the first of them also the fields multiplied by
gates of their own; the score is the mean of what linear layers make of the two. Self-distillation: each block also learns the
probability that both give together, with cross-entropy.

The authors' code norms each layer over the batch; here nothing is measured over the batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Needs, Out
from lego.nn.fields import Fields, joined
from lego.nn.masked import zero_padding
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class FinalNet(FieldPredictor):
    """`first` and `second` are the widths of the two blocks' layers; `activation` is σ, which the authors' code leaves out.

    `distillation` weighs the loss that two blocks teach each other with (1 as published, for probabilities); `second=()` leaves
    one block, and then there is none. `gated` lets the first block read gated fields too.
    """

    first: tuple[int, ...] = attrs.field(default=(64, 64, 64), validator=widths)
    second: tuple[int, ...] = attrs.field(default=(64, 64, 64), validator=widths)
    order: int = attrs.field(default=2, validator=ge(2))
    activation: Literal["linear", "relu", "sigmoid"] = "linear"
    gated: bool = True
    distillation: float = attrs.field(default=1.0, validator=ge(0))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    @property
    def losses(self) -> tuple[str, ...]:
        """The distillation, where two blocks teach each other."""
        return ("distillation",) if self.second and self.distillation else ()

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        size = fields.count * context.width
        first = _Block(
            2 * size if self.gated else size, self.first, self.order, self.activation, self.dropout
        )
        second = _Block(size, self.second, self.order, self.activation, self.dropout) if self.second else None
        gate = nn.Linear(fields.count, fields.count) if self.gated else None
        return _FinalNet(fields, gate, first, second, self.distillation)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(first=(6, 4), second=(5,)),
            cls(first=(6, 4), second=(), order=3, gated=False, activation="sigmoid", fields="attributes"),
        )


class _FinalNet(nn.Module):
    def __init__(
        self,
        fields: Fields,
        gate: nn.Linear | None,
        first: _Block,
        second: _Block | None,
        distillation: float,
    ) -> None:
        super().__init__()
        self.fields = fields
        self.gate = gate
        self.first = first
        self.second = second
        self.distillation = distillation
        if gate is not None:
            # Open at first, as in the authors' code.
            nn.init.zeros_(gate.weight)
            nn.init.ones_(gate.bias)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Out:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        # Powers of whatever stands at padded places would overflow.
        candidates = zero_padding(candidates, candidate_mask)
        table = joined(self.fields.apart(user, candidates, candidate_mask, needs), -2)  # (B, C, F, D)
        fields = table.flatten(-2)
        read = fields
        if self.gate is not None:
            gates = self.gate(table.transpose(-1, -2)).transpose(-1, -2)
            read = torch.cat([fields, (table * gates).flatten(-2)], -1)
        first = self.first(read)
        if self.second is None:
            return Out(first)
        second = self.second(fields)
        scores = (first + second) / 2
        if not self.training or not self.distillation:
            return Out(scores)
        taught = torch.sigmoid(scores.detach())
        lost = functional.binary_cross_entropy_with_logits(
            torch.stack([first, second]), torch.stack([taught, taught]), reduction="none"
        )
        mean = lost.sum(0).masked_fill(~candidate_mask, 0).sum() / candidate_mask.sum().clamp(min=1)
        return Out(scores, losses={"distillation": self.distillation * mean})


class _Block(nn.Module):
    """Factorized interaction layers and a score."""

    def __init__(
        self, input_width: int, hidden: tuple[int, ...], order: int, activation: str, dropout: float
    ) -> None:
        super().__init__()
        self.order = order
        self.activation = {"linear": nn.Identity(), "relu": nn.ReLU(), "sigmoid": nn.Sigmoid()}[activation]
        self.layers = nn.ModuleList(
            nn.Linear(width, order * units) for width, units in pairwise((input_width, *hidden))
        )
        self.dropout = nn.Dropout(dropout)
        self.score = Score(hidden[-1] if hidden else input_width)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors (B, C, W) -> (B, C), float32."""
        for layer in self.layers:
            factor, *others = layer(vectors).chunk(self.order, -1)
            total = factor
            for other in others:
                factor = factor * self.activation(other)
                total = total + factor
            vectors = self.dropout(total)
        return self.score(vectors)
