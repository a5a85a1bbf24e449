"""Additive attention over the places: Σ_s a_s x_s, a = softmax_s(q · tanh(W x_s + b)).

Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473; as pool of NAML (Wu et al. 2019, https://arxiv.org/abs/1907.05576,
there with 200 hidden units).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.additive import AdditivePooling
from lego.nn.place import project
from lego.spec import Context, Pool, ge, operator


@operator
class Additive(Pool):
    """A learned query weighs the real places; zeros for an empty row. A linear layer follows only where the widths differ."""

    hidden: int = attrs.field(default=256, validator=ge(1))

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Additive(context.input_width, context.width, self.hidden)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(hidden=5),)


class _Additive(nn.Module):
    def __init__(self, input_width: int, width: int, hidden: int) -> None:
        super().__init__()
        self.pool = AdditivePooling(input_width, hidden)
        self.project = project(input_width, width)

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D)."""
        return Out(self.project(self.pool(sequence, mask)))
