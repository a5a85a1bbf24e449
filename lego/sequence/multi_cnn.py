"""Convolutions of several kernels side by side, the maximum over the places of each map, then a linear layer.

Kim 2014, https://arxiv.org/abs/1408.5882: kernels 3, 4 and 5 with 100 maps each, there with dropout 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Needs, Out
from lego.errors import SpecError
from lego.nn.masked import zero_padding
from lego.sequence.additive import Additive
from lego.sequence.maximum import Max
from lego.sequence.pooled import end, form
from lego.spec import Choice, Context, Pool, Sequence, between, ge, operator


@operator
class MultiCNN(Sequence):
    """`filters` maps of each kernel, zeros behind the last real place; the pool leads to the model's width."""

    kernels: tuple[int, ...] = (3, 4, 5)
    filters: int = attrs.field(default=100, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    pool: Pool | None = Max()

    def __attrs_post_init__(self) -> None:
        """At least one kernel, each at least 1."""
        several = self.kernels.values if isinstance(self.kernels, Choice) else (self.kernels,)
        for kernels in several:
            sizes = [each for each in kernels if not isinstance(each, Choice)]
            if not kernels or min(sizes, default=1) < 1:
                raise SpecError.wrong_value(
                    "MultiCNN", "kernels", kernels, "one or more whole numbers, at least 1"
                )

    @property
    def gives(self) -> Form:
        """SEQUENCE without a pool."""
        return form(self.pool)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        pool = end(self.pool, len(self.kernels) * self.filters, context)
        return _MultiCNN(context.input_width, self.kernels, self.filters, self.dropout, pool)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(kernels=(1, 3), filters=3),
            cls(kernels=(2,), filters=8, pool=None),
            cls(kernels=(2, 3), filters=2, pool=Additive(hidden=5)),
        )


class _MultiCNN(nn.Module):
    def __init__(
        self, input_width: int, kernels: tuple[int, ...], filters: int, dropout: float, pool: nn.Module
    ) -> None:
        super().__init__()
        self.reach = [((kernel - 1) // 2, kernel // 2) for kernel in kernels]
        self.convolutions = nn.ModuleList(nn.Conv1d(input_width, filters, kernel) for kernel in kernels)
        self.dropout = nn.Dropout(dropout)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        channels = zero_padding(sequence, mask).transpose(1, 2)  # (B, W, S)
        maps = [
            convolution(functional.pad(channels, reach))
            for convolution, reach in zip(self.convolutions, self.reach, strict=True)
        ]
        found = self.dropout(functional.relu(torch.cat(maps, 1))).transpose(1, 2)  # (B, S, kernels · filters)
        return self.pool(zero_padding(found, mask), mask, needs)
