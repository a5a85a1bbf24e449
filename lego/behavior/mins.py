"""Several interests that run side by side through time: MINS (Wang et al. 2022, https://arxiv.org/abs/2207.07331).

Self-attention over the clicks; what it gives is cut into channels, each read by a GRU of its own (the parallel interest network);
the states of all channels are joined at each click, and additive attention over the clicks makes the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.errors import Problem
from lego.nn.additive import AdditivePooling
from lego.nn.attention import SelfAttention
from lego.nn.default import LearnedDefault
from lego.nn.heads import undivided
from lego.nn.masked import zero_padding
from lego.spec import Behavior, Context, between, ge, operator


@operator
class MINS(Behavior):
    """`channels` GRUs share the width evenly, as do the `heads`; a user without history is a learned vector."""

    channels: int = attrs.field(default=4, validator=ge(1))
    heads: int = attrs.field(default=4, validator=ge(1))
    hidden: int = attrs.field(default=256, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """Heads and channels must share the width evenly."""
        yield from undivided(context_width, self.heads, where)
        for problem in undivided(context_width, self.channels, where):
            yield Problem(
                where,
                problem.what.replace("heads", "channels"),
                problem.fix.replace("heads", "channels"),
            )
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _MINS(context.width, self.channels, self.heads, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(channels=2, heads=2, hidden=5), cls(channels=1, heads=4, hidden=5, dropout=0))


class _MINS(nn.Module):
    def __init__(self, width: int, channels: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, width, heads)
        self.dropout = nn.Dropout(dropout)
        part = width // channels
        self.channels = nn.ModuleList(nn.GRU(part, part, batch_first=True) for _ in range(channels))
        self.pool = AdditivePooling(width, hidden)
        self.default = LearnedDefault(width)

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> (B, D)."""
        found = zero_padding(self.dropout(self.attention(history, mask)), mask)
        parts = found.chunk(len(self.channels), -1)
        states = [channel(part)[0] for channel, part in zip(self.channels, parts, strict=True)]
        return Out(self.default(self.pool(torch.cat(states, -1), mask), mask.any(-1)))
