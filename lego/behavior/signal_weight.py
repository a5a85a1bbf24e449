"""A number of each click, such as how long it was read, told to any operator that reads the history.

A click counts w = 2 σ(a · ln(1 + x) + b) times, with a and b learned: a reading of a second is weaker evidence of
interest than one of minutes, and its logarithm is what tells (Yi et al. 2014, Beyond Clicks: Dwell Time for Personalization,
https://doi.org/10.1145/2645710.2645724). A missing number has a learned weight of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import attrs
import torch
from torch import Tensor, nn

from lego.behavior.around import Around
from lego.behavior.history import History
from lego.behavior.poly_attention import PolyAttention
from lego.contract import Need, Out
from lego.nn.masked import zero_padding
from lego.spec import Behavior, Context, operator


@operator
class SignalWeight(Around):
    """`op` reads a history whose clicks are weighed by the numbers `signal` that the data has beside them, 0 or more each."""

    op: Behavior = attrs.field(kw_only=False)
    signal: str = attrs.field(default="read_time", kw_only=False)

    @property
    def needs(self) -> frozenset[Need]:
        """SIGNALS, and what `op` asks for."""
        return super().needs | {Need.SIGNALS}

    @property
    def signals(self) -> tuple[str, ...]:
        """Its own, and those of `op`; all there are where `op` reads all."""
        inner = super().signals
        if Need.SIGNALS in super().needs and not inner:
            return ()
        return tuple(dict.fromkeys((self.signal, *inner)))

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _SignalWeight(self.op.build(context), self.signal)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(History()), cls(PolyAttention(interests=2, hidden=5), "scroll"))


class _SignalWeight(nn.Module):
    def __init__(self, op: nn.Module, signal: str) -> None:
        super().__init__()
        self.op = op
        self.signal = signal
        self.slope = nn.Parameter(torch.tensor(0.1))
        self.shift = nn.Parameter(torch.tensor(0.0))
        self.missing = nn.Parameter(torch.tensor(0.0))

    def forward(self, history: Tensor, mask: Tensor, *rest: Any) -> Out:
        """history (B, S, W), mask (B, S), signals (B, S) and what else `op` reads -> what `op` gives."""
        number = rest[-1].signals[self.signal]
        known = ~torch.isnan(number)
        size = torch.log1p(torch.where(known, number, 0.0).clamp(min=0))
        told = torch.where(known, self.slope * size + self.shift, self.missing)
        weight = 2 * torch.sigmoid(told)
        history = history * weight.unsqueeze(-1).to(history.dtype)
        out: Out = self.op(zero_padding(history, mask), mask, *rest)
        return out
