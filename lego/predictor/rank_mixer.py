"""RankMixer (Zhu et al. 2025, https://arxiv.org/abs/2507.15551): tokens that mix without attention, each with its own network.

The fields side by side are cut into T tokens, each mapped to width D. A block cuts every token into T heads and makes token h out
of all tokens' heads h, S = LN(mix(X) + X), and passes each token through a feed-forward network of its own,
X = LN(W₂ gelu(W₁ S + b₁) + b₂ + S). The score is a linear layer over the mean of the tokens. The paper's sparse mixture of
experts, a variant for a billion weights, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Needs, Out
from lego.errors import Problem
from lego.nn.fields import Fields, joined
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.spec import Context, between, ge, operator


@operator
class RankMixer(FieldPredictor):
    """`layers` blocks over `tokens`, which divide the model's width; a token's network is `expansion` times as wide inside."""

    layers: int = attrs.field(default=2, validator=ge(1))
    tokens: int = attrs.field(default=4, validator=ge(1))
    expansion: int = attrs.field(default=4, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """Every token is cut into as many heads as there are tokens."""
        if context_width % self.tokens:
            what = f"tokens={self.tokens} does not divide the model's width {context_width}"
            yield Problem(where, what, "choose tokens that divide it, or another width")
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        return _RankMixer(fields, context.width, self.layers, self.tokens, self.expansion, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(layers=2, tokens=2, expansion=2), cls(layers=1, expansion=1, fields="attributes"))


class _RankMixer(nn.Module):
    def __init__(
        self, fields: Fields, width: int, layers: int, tokens: int, expansion: int, dropout: float
    ) -> None:
        super().__init__()
        self.fields = fields
        # Tokens divide the width of a field, so they divide that of all.
        self.project = _PerToken(tokens, fields.count * width // tokens, width)
        self.blocks = nn.ModuleList(_Block(tokens, width, expansion, dropout) for _ in range(layers))
        self.score = Score(width)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        fields = joined(self.fields.flat(user, candidates, candidate_mask, needs))  # (B, C, F · D)
        tokens = self.project(fields.view(*fields.shape[:-1], self.project.tokens, -1))
        for block in self.blocks:
            tokens = block(tokens)
        return self.score(tokens.mean(-2))


class _Block(nn.Module):
    def __init__(self, tokens: int, width: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.mixed_norm = nn.LayerNorm(width)
        self.widen = _PerToken(tokens, width, expansion * width)
        self.narrow = _PerToken(tokens, expansion * width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, C, T, D) -> (B, C, T, D)."""
        count = tokens.size(-2)
        # (T, heads, D / heads) to (heads, T, D / heads): token h is made of every token's head h.
        mixed = tokens.view(*tokens.shape[:-1], count, -1).transpose(-2, -3).flatten(-2)
        tokens = self.mixed_norm(mixed + tokens)
        found = self.narrow(functional.gelu(self.widen(tokens)))
        return self.norm(self.dropout(found) + tokens)


class _PerToken(nn.Module):
    """A linear layer of its own for each token."""

    def __init__(self, tokens: int, input_width: int, width: int) -> None:
        super().__init__()
        self.tokens = tokens
        bound = input_width**-0.5  # as in torch's linear layer
        self.weight = nn.Parameter(torch.empty(tokens, input_width, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(tokens, width).uniform_(-bound, bound))

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, C, T, W) -> (B, C, T, output)."""
        return torch.einsum("bctw,twd->bctd", tokens, self.weight) + self.bias
