"""The time of each click, told to any operator that reads the history.

`embedding` adds to each click a learned vector of its gap, the time from the click to the impression: what BST reads of time
(Chen et al. 2019, https://arxiv.org/abs/1905.06874, section 2.1), in the logarithmic buckets of HSTU (Zhai et al. 2024,
https://arxiv.org/abs/2402.17152). `decay` multiplies each click by 2^(−gap / half-life): the exponential kernel of CTA
(Wu et al. 2020, https://arxiv.org/abs/2002.00741), with a half-life that is learned, one for each dimension.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.behavior.around import Around
from lego.behavior.history import History
from lego.behavior.poly_attention import PolyAttention
from lego.contract import Need, Out
from lego.nn.gaps import BUCKETS, buckets
from lego.nn.masked import zero_padding
from lego.spec import Behavior, Context, gt, operator

DAY = 86_400.0


@operator
class TimeDecay(Around):
    """`op` reads a history that knows its times. `half_life` is in days, and where learning starts from."""

    op: Behavior = attrs.field(kw_only=False)
    kind: Literal["embedding", "decay", "both"] = "embedding"
    half_life: float = attrs.field(default=7.0, validator=gt(0))

    @property
    def needs(self) -> frozenset[Need]:
        """TIMES, and what `op` asks for."""
        return super().needs | {Need.TIMES}

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _TimeDecay(self.op.build(context), context.input_width, self.kind, self.half_life * DAY)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(History()),
            cls(PolyAttention(interests=2, hidden=5), kind="decay", half_life=0.1),
            cls(History(), kind="both", half_life=0.1),
        )


class _TimeDecay(nn.Module):
    def __init__(self, op: nn.Module, width: int, kind: str, half_life: float) -> None:
        super().__init__()
        self.op = op
        self.table = nn.Embedding(BUCKETS, width) if kind != "decay" else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=0.02)
        # Its logarithm is learned, so that it stays above zero.
        self.log_half_life = (
            nn.Parameter(torch.full((width,), math.log(half_life))) if kind != "embedding" else None
        )

    def forward(self, history: Tensor, mask: Tensor, *rest: Any) -> Out:
        """history (B, S, W), mask (B, S), times (B, S) and what else `op` reads -> what `op` gives."""
        gaps = rest[-1].times
        if self.log_half_life is not None:
            share = torch.exp2(-gaps.float().unsqueeze(-1) * torch.exp(-self.log_half_life.float()))
            history = history * share.to(history.dtype)
        if self.table is not None:
            history = history + self.table(buckets(gaps)).to(history.dtype)
        out: Out = self.op(zero_padding(history, mask), mask, *rest)
        return out
