"""Hierarchical sequential transduction units: attention without softmax, gated, in one layer with what a feed-forward part does.

Zhai et al. 2024, https://arxiv.org/abs/2402.17152, equations 1 to 3, over normalized input and with a residual:

    U, V, Q, K = split(SiLU(W_1 norm(x)))          A V = SiLU(Q Kᵀ + r) V / n          y = x + W_2 (norm(A V) ⊙ U)

r is a learned bias by how far two places are apart and, with `times`, by the logarithm of the time between them. The authors
divide by the longest length; here n is how many places a place looks at, so that neither padding nor later items change it
(the norm behind it takes the factor away but for its epsilon).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Need, Needs, Out
from lego.errors import Problem
from lego.nn.gaps import BUCKETS, buckets
from lego.nn.heads import undivided
from lego.nn.masked import zero_padding
from lego.nn.place import project
from lego.sequence.additive import Additive
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator


@operator
class HSTU(Sequence):
    """A linear layer leads to the model's width where the input has another; then `layers` layers and a norm.

    `causal`, as published, lets a place look back only. `times` needs times of clicks, so it is for the behavior slot. `heads`
    must divide the width.
    """

    layers: int = attrs.field(default=2, validator=ge(1))
    heads: int = attrs.field(default=4, validator=ge(1))
    causal: bool = True
    times: bool = False
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    pool: Pool | None = Additive()

    @property
    def gives(self) -> Form:
        """SEQUENCE without a pool."""
        return form(self.pool)

    @property
    def needs(self) -> frozenset[Need]:
        """TIMES with `times`."""
        return frozenset({Need.TIMES} if self.times else ())

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The heads must share the width evenly."""
        yield from undivided(context_width, self.heads, where)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        width = context.width
        layers: list[nn.Module] = [
            _Layer(width, self.heads, context.length, self.dropout, causal=self.causal, times=self.times)
            for _ in range(self.layers)
        ]
        return _HSTU(context.input_width, width, self.dropout, layers, end(self.pool, width, context))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(layers=1, heads=2, pool=Additive(hidden=5)), cls(heads=2, causal=False, pool=None))


class _HSTU(nn.Module):
    def __init__(
        self, input_width: int, width: int, dropout: float, layers: list[nn.Module], pool: nn.Module
    ) -> None:
        super().__init__()
        self.project = project(input_width, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        states = self.dropout(self.project(zero_padding(sequence, mask)))
        for layer in self.layers:
            states = layer(states, mask, needs.times)
        return self.pool(zero_padding(self.norm(states), mask), mask, needs)


class _Layer(nn.Module):
    def __init__(
        self, width: int, heads: int, length: int, dropout: float, *, causal: bool, times: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.reach = length - 1
        self.input_norm = nn.LayerNorm(width)
        self.inputs = nn.Linear(width, 4 * width)
        self.output_norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        # Where no place looks ahead, no bias for it is kept.
        self.distances = nn.Parameter(torch.empty(length if causal else 2 * length - 1))
        self.times = nn.Parameter(torch.empty(BUCKETS)) if times else None
        for table in (self.distances, self.times):
            if table is not None:
                nn.init.normal_(table, std=0.02)

    def forward(self, sequence: Tensor, mask: Tensor, times: Tensor | None) -> Tensor:
        """sequence (B, S, D), mask (B, S), times (B, S) -> (B, S, D); padded places hold anything finite."""
        gate, *rest = functional.silu(self.inputs(self.input_norm(sequence))).chunk(4, -1)
        value, query, key = (
            torch.unflatten(each, -1, (self.heads, -1)).transpose(1, 2) for each in rest
        )  # (B, heads, S, E)
        logits = query @ key.transpose(-1, -2) + self._bias(sequence.size(1), times)
        seen = mask[:, None, :].expand(
            -1, mask.size(1), -1
        )  # (B, S, S): whether place s is looked at by each
        if self.causal:
            seen = seen.tril()
        count = seen.sum(-1, keepdim=True).clamp(min=1).to(logits.dtype).unsqueeze(1)
        weights = functional.silu(logits).masked_fill(~seen.unsqueeze(1), 0) / count
        found = (weights @ value).transpose(1, 2).flatten(-2)  # (B, S, D)
        return sequence + self.output(self.dropout(self.output_norm(found) * gate))

    def _bias(self, places: int, times: Tensor | None) -> Tensor:
        """(S, S), or (B, 1, S, S) with times."""
        place = torch.arange(places, device=self.distances.device)
        apart = place[:, None] - place  # how far back the place looked at is
        reach = apart.clamp(0 if self.causal else -self.reach, self.reach)
        bias = self.distances[reach if self.causal else reach + self.reach]
        if self.times is None or times is None:
            return bias
        between_clicks = (times[:, :, None] - times[:, None, :]).abs()
        return bias + self.times[buckets(between_clicks)].unsqueeze(1)
