"""The candidate looks at the history: softmax attention with the candidate as the query.

Multi-head as in Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, and as the exact search unit of SIM (Pi et al. 2020,
https://arxiv.org/abs/2006.05639, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Self

import attrs
from torch import Tensor, nn

from lego.contract import Form, Need, Needs, Out
from lego.errors import Problem
from lego.nn.blocks import in_blocks
from lego.nn.heads import undivided
from lego.nn.masked import zero_padding
from lego.nn.target import TargetAttentionLayer
from lego.spec import Behavior, Context, between, ge, operator


@operator
class TargetAttention(Behavior):
    """The user as each candidate sees it; a user without history is a learned vector. `heads` must divide the width."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.CANDIDATES})

    heads: int = attrs.field(default=4, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    @property
    def gives(self) -> Form:
        """PER_CANDIDATE."""
        return Form.PER_CANDIDATE

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The heads must share the width evenly."""
        yield from undivided(context_width, self.heads, where)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _TargetAttention(TargetAttentionLayer(context.width, self.heads, self.dropout))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(heads=2), cls(heads=1, dropout=0))


class _TargetAttention(nn.Module):
    def __init__(self, layer: TargetAttentionLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> Out:
        """history (B, S, D), mask (B, S), candidates (B, C, D), candidate_mask (B, C) -> (B, C, D)."""
        history = zero_padding(history, mask)
        candidates = zero_padding(candidates, candidate_mask)
        return Out(
            in_blocks(
                lambda block: self.layer(history, candidates[:, block], mask.unsqueeze(1)),
                candidates.size(1),
                mask.numel() * self.layer.heads,
                whole=self.training,
            )
        )
