"""Multi-head self-attention over the places, then a pool: head_h = softmax(Q_h K_hᵀ / sqrt(D / heads)) V_h.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; both encoders of NRMS (Wu et al. 2019, https://aclanthology.org/D19-1671,
section 2), there with 16 heads of 16. As in NRMS there are no positions, no residual and no output projection unless asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.errors import Problem
from lego.nn.attention import SelfAttention
from lego.nn.heads import undivided
from lego.nn.masked import zero_padding
from lego.nn.place import project
from lego.nn.positions import LearnedPositions
from lego.sequence.additive import Additive
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator


@operator
class Attention(Sequence):
    """Every real place looks at every other; dropout falls on what they find, as in NRMS.

    `positions` adds a learned vector per place to the input, `projection` a linear layer over the joined heads, `residual`
    the input to the output (through a linear layer where the widths differ). `heads` must divide the model's width.
    """

    heads: int = attrs.field(default=4, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    positions: bool = False
    residual: bool = False
    projection: bool = False
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
        return _Attention(
            context.input_width,
            context.width,
            self.heads,
            self.dropout,
            positions=context.length if self.positions else 0,
            residual=self.residual,
            projection=self.projection,
            pool=end(self.pool, context.width, context),
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(heads=2, pool=Additive(hidden=5)),
            cls(heads=4, positions=True, residual=True, projection=True, pool=None),
        )


class _Attention(nn.Module):
    def __init__(
        self,
        input_width: int,
        width: int,
        heads: int,
        dropout: float,
        *,
        positions: int,
        residual: bool,
        projection: bool,
        pool: nn.Module,
    ) -> None:
        super().__init__()
        self.positions = LearnedPositions(positions, input_width) if positions else None
        self.attention = SelfAttention(input_width, width, heads)
        self.projection = nn.Linear(width, width) if projection else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.residual = project(input_width, width) if residual else None
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        sequence = zero_padding(sequence, mask)
        if self.positions is not None:
            sequence = self.positions(sequence, mask)
        found = self.dropout(self.projection(self.attention(sequence, mask)))
        if self.residual is not None:
            found = found + self.residual(sequence)
        return self.pool(zero_padding(found, mask), mask, needs)
