"""A long-term and a short-term user, weighed against each other: the user of FedNewsRec and CenNewsRec.

Qi et al. 2020, https://aclanthology.org/2020.findings-emnlp.128, section 3.2. Long term: self-attention over all clicks, pooled
by additive attention. Short term: the last state of a GRU over the most recent clicks. An additive attention over the two is the
user.
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
from lego.nn.masked import gather_last, zero_padding
from lego.spec import Behavior, Context, between, ge, operator


@operator
class CenNewsRec(Behavior):
    """`recent` clicks make the short-term user; `hidden` is the width of both additive attentions (published: 20 and 200).

    `heads` must divide the width (published: 20 heads of 20). A user without history is a learned vector.
    """

    recent: int = attrs.field(default=20, validator=ge(1))
    heads: int = attrs.field(default=4, validator=ge(1))
    hidden: int = attrs.field(default=200, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The heads must share the width evenly."""
        yield from undivided(context_width, self.heads, where)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _CenNewsRec(context.width, self.recent, self.heads, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(recent=2, heads=2, hidden=5), cls(heads=1, hidden=5, dropout=0))


class _CenNewsRec(nn.Module):
    def __init__(self, width: int, recent: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.recent = recent
        self.attention = SelfAttention(width, width, heads)
        self.dropout = nn.Dropout(dropout)
        self.pool = AdditivePooling(width, hidden)
        self.recurrence = nn.GRU(width, width, batch_first=True)
        self.join = AdditivePooling(width, hidden)
        self.default = LearnedDefault(width)

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> (B, D)."""
        history = zero_padding(history, mask)
        long = self.pool(self.dropout(self.attention(history, mask)), mask)
        lately, lately_mask = self._lately(history, mask)
        states, _ = self.recurrence(lately)
        short = gather_last(states, lately_mask)
        both = mask.any(-1, keepdim=True).expand(-1, 2)
        users = self.join(torch.stack([short, long.to(short.dtype)], 1), both)
        return Out(self.default(users, mask.any(-1)))

    def _lately(self, history: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """history (B, S, D), mask (B, S) -> each row's most recent places, from its first one on, and their mask."""
        count = mask.sum(-1, keepdim=True)
        window = torch.arange(min(self.recent, mask.size(1)), device=mask.device)
        places = (count - self.recent).clamp(min=0) + window  # (B, recent)
        real = places < count
        places = places.clamp(max=mask.size(1) - 1).unsqueeze(-1).expand(-1, -1, history.size(-1))
        return zero_padding(history.gather(1, places), real), real
