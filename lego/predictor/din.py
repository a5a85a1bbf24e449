"""Deep Interest Network (Zhou et al. 2018, https://arxiv.org/abs/1706.06978): the history, weighed anew by each candidate.

user_c = Σ_s a(v_c, h_s) h_s with a = MLP([v; h; v − h; v ⊙ h]), its activation Dice and, as the paper insists, no softmax
(equation 3 and section 4.3); the score is an MLP with Dice over [user_c; v_c].
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.dice import Dice, DiceScore
from lego.nn.masked import zero_padding
from lego.predictor.widths import widths
from lego.spec import Context, Predictor, between, operator

BLOCK = 1 << 24
"""The largest number of floats of one intermediate table in evaluation; beyond it candidates are scored block by block."""


@operator
class DIN(Predictor):
    """`attention` and `hidden` are the hidden widths of the two perceptrons; `candidate=False` keeps v out of the second."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.SEQUENCE})

    attention: tuple[int, ...] = attrs.field(default=(64,), validator=widths)
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    candidate: bool = True

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _DIN(context.width, self.attention, self.hidden, self.dropout, candidate=self.candidate)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(attention=(5, 3), hidden=(6, 4)), cls(attention=(), hidden=(6,), candidate=False))


class _DIN(nn.Module):
    def __init__(
        self,
        width: int,
        attention: tuple[int, ...],
        hidden: tuple[int, ...],
        dropout: float,
        *,
        candidate: bool,
    ) -> None:
        super().__init__()
        self.candidate = candidate
        self.attention = _Activation(width, attention)
        self.deep = DiceScore(2 * width if candidate else width, hidden, dropout)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, S, D) with its mask, candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        history = user.tensor
        mask = torch.ones_like(history[..., 0], dtype=torch.bool) if user.mask is None else user.mask
        history = zero_padding(history, mask)
        candidates = zero_padding(candidates, candidate_mask)
        # In training Dice measures the whole batch, so it must see the whole batch; there candidates are few.
        size = candidates.size(1) if self.training else max(1, BLOCK // max(1, history.numel()))
        blocks = zip(
            torch.split(candidates, max(1, size), 1),
            torch.split(candidate_mask, max(1, size), 1),
            strict=True,
        )
        return torch.cat([self._score(history, mask, part, real) for part, real in blocks], 1)

    def _score(self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor) -> Tensor:
        """history (B, S, D), mask (B, S), candidates (B, C, D), candidate_mask (B, C) -> (B, C)."""
        real = mask.unsqueeze(1) & candidate_mask.unsqueeze(2)  # (B, C, S)
        weights = self.attention(history, candidates, real).masked_fill(~real, 0)
        users = weights @ history  # (B, C, D)
        pairs = torch.cat([users, candidates.to(users.dtype)], -1) if self.candidate else users
        return self.deep(pairs, candidate_mask)


class _Activation(nn.Module):
    """The weight of each history item for each candidate."""

    def __init__(self, width: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        sizes = [*hidden, 1]
        self.pair = nn.Linear(4 * width, sizes[0])
        self.dice = nn.ModuleList(Dice(each) for each in hidden)
        self.later = nn.ModuleList(nn.Linear(*each) for each in pairwise(sizes))

    def forward(self, history: Tensor, candidates: Tensor, real: Tensor) -> Tensor:
        """history (B, S, D), candidates (B, C, D), real (B, C, S) -> (B, C, S)."""
        # W [v; h; v − h; v ⊙ h] = (W₁ + W₃) v + (W₂ − W₃) h + W₄ (v ⊙ h): the same number without a table 4D wide.
        of_candidate, of_history, of_difference, of_product = self.pair.weight.chunk(4, 1)
        units = nn.functional.linear(
            candidates.unsqueeze(2) * history.unsqueeze(1), of_product, self.pair.bias
        )
        units = units + nn.functional.linear(candidates, of_candidate + of_difference).unsqueeze(2)
        units = units + nn.functional.linear(history, of_history - of_difference).unsqueeze(1)
        for dice, layer in zip(self.dice, self.later, strict=True):
            units = layer(dice(units, real))
        return units.squeeze(-1)
