"""A convolution over the places: c_s = relu(F · x_[s−k : s+k] + b), then a pool.

Kim 2014, https://arxiv.org/abs/1408.5882; the text encoder of NAML (Wu et al. 2019, https://arxiv.org/abs/1907.05576,
equation 1), there with 400 filters, kernel 3 and dropout 0.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Needs, Out
from lego.nn.masked import zero_padding
from lego.sequence.additive import Additive
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator


@operator
class CNN(Sequence):
    """As many filters as the model is wide; behind a row's last real place the convolution sees zeros."""

    kernel: int = attrs.field(default=3, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    pool: Pool | None = Additive()

    @property
    def gives(self) -> Form:
        """SEQUENCE without a pool."""
        return form(self.pool)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _CNN(
            context.input_width,
            context.width,
            self.kernel,
            self.dropout,
            end(self.pool, context.width, context),
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(pool=Additive(hidden=5)), cls(kernel=2, pool=None))


class _CNN(nn.Module):
    def __init__(self, input_width: int, width: int, kernel: int, dropout: float, pool: nn.Module) -> None:
        super().__init__()
        self.reach = ((kernel - 1) // 2, kernel // 2)
        self.convolution = nn.Conv1d(input_width, width, kernel)
        self.dropout = nn.Dropout(dropout)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        channels = functional.pad(
            zero_padding(sequence, mask).transpose(1, 2), self.reach
        )  # (B, W, S + kernel − 1)
        found = self.dropout(functional.relu(self.convolution(channels))).transpose(1, 2)
        return self.pool(zero_padding(found, mask), mask, needs)
