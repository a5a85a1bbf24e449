"""Additive attention in place of pairs: every place meets one global query and one global key. Linear in the length.

Wu et al. 2021, https://arxiv.org/abs/2108.09084, section 3.2. In each head, E wide:

    q = Σ_s α_s q_s,  α = softmax_s(w · q_s / √E)          p_s = q ⊙ k_s
    k = Σ_s β_s p_s,  β = softmax_s(w' · p_s / √E)         u_s = k ⊙ v_s

and, the heads joined again, r_s = W u_s + q_s. As published, values are the queries (`shared`). Around it stands what the
authors' code has: learned positions, and an output layer, residuals, norms and a feed-forward part in the order of BERT
(Devlin et al. 2019, https://arxiv.org/abs/1810.04805).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.errors import Problem
from lego.nn.heads import undivided
from lego.nn.masked import masked_softmax, zero_padding
from lego.nn.place import project
from lego.nn.positions import LearnedPositions
from lego.nn.transformer import FeedForward
from lego.sequence.additive import Additive
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator


@operator
class Fastformer(Sequence):
    """A linear layer leads to the model's width where the input has another; then positions, a norm and `layers` layers.

    `shared=False` gives values a projection of their own. The feed-forward part is `feed_forward` times as wide as the model.
    `heads` must divide the width.
    """

    layers: int = attrs.field(default=2, validator=ge(1))
    heads: int = attrs.field(default=16, validator=ge(1))
    feed_forward: int = attrs.field(default=4, validator=ge(1))
    positions: bool = True
    shared: bool = True
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    pool: Pool | None = Additive()

    @property
    def gives(self) -> Form:
        """SEQUENCE without a pool."""
        return form(self.pool)

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The heads must share the width evenly."""
        yield from undivided(context_width, self.heads, where)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        width = context.width
        return _Fastformer(
            context.input_width,
            width,
            self.dropout,
            positions=LearnedPositions(context.length, width) if self.positions else None,
            layers=[
                _Layer(width, self.heads, self.feed_forward * width, self.dropout, shared=self.shared)
                for _ in range(self.layers)
            ],
            pool=end(self.pool, width, context),
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(layers=1, heads=2, feed_forward=2, pool=Additive(hidden=5)),
            cls(heads=4, feed_forward=1, positions=False, shared=False, pool=None),
        )


class _Fastformer(nn.Module):
    def __init__(
        self,
        input_width: int,
        width: int,
        dropout: float,
        *,
        positions: LearnedPositions | None,
        layers: list[nn.Module],
        pool: nn.Module,
    ) -> None:
        super().__init__()
        self.project = project(input_width, width)
        self.positions = positions
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        states = self.project(zero_padding(sequence, mask))
        if self.positions is not None:
            states = self.positions(states, mask)
        states = self.dropout(self.norm(states))
        for layer in self.layers:
            states = layer(states, mask)
        return self.pool(zero_padding(states, mask), mask, needs)


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, dropout: float, *, shared: bool) -> None:
        super().__init__()
        self.attention = _FastAttention(width, heads, shared=shared)
        self.projection = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, 0.0, nn.GELU)
        self.forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, D), mask (B, S) -> (B, S, D); padded places hold anything finite."""
        found = self.projection(self.attention(sequence, mask))
        sequence = self.attention_norm(sequence + self.dropout(found))
        return self.forward_norm(sequence + self.dropout(self.feed_forward(sequence)))


class _FastAttention(nn.Module):
    """The formula of the file's head."""

    def __init__(self, width: int, heads: int, *, shared: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = None if shared else nn.Linear(width, width)
        self.transform = nn.Linear(width, width)
        # One vector a head, w and w' of the formula; no bias, which a softmax does not see.
        self.query_weights = nn.Parameter(torch.empty(heads, width // heads))
        self.key_weights = nn.Parameter(torch.empty(heads, width // heads))
        for each in (self.query_weights, self.key_weights):
            nn.init.xavier_uniform_(each)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, D), mask (B, S) -> (B, S, D)."""
        query = self.query(sequence)
        key = self.key(sequence).unflatten(-1, (self.heads, -1))  # (B, S, heads, E)
        heads = query.unflatten(-1, (self.heads, -1))
        value = heads if self.value is None else self.value(sequence).unflatten(-1, (self.heads, -1))
        product = _pooled(heads, self.query_weights, mask) * key
        found = _pooled(product, self.key_weights, mask) * value
        return self.transform(found.flatten(-2)) + query


def _pooled(places: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """places (B, S, heads, E), weights (heads, E), mask (B, S) -> (B, 1, heads, E), zeros where nothing is real."""
    logits = (places * weights).sum(-1, keepdim=True) / places.size(-1) ** 0.5  # (B, S, heads, 1)
    share = masked_softmax(logits, mask[:, :, None, None], dim=1)
    return (share * places).sum(1, keepdim=True)
