"""A number of an item as a vector: its place among buckets that hold equally many items, each with a vector of its own.

Discretising numeric fields into learned tables is the standard of click models; that quantile bucketing is a strong form of it is
shown by Guo et al. 2021, https://arxiv.org/abs/2012.08986.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out, Reads
from lego.spec import Content, Context, ge, operator


@operator
class Numeric(Content):
    """`buckets` quantiles of the attribute over all items; a number between the middles of two buckets mixes their vectors.

    An item without the number has a zero vector. In `Views(year=Numeric())` the view names the attribute.
    """

    attribute: str | None = attrs.field(default=None, kw_only=False)
    buckets: int = attrs.field(default=16, validator=ge(2))

    @property
    def reads(self) -> Reads:
        """Numbers of one attribute."""
        return Reads.NUMBERS

    def reads_of(self, reads: Mapping[str, int]) -> Mapping[str, int]:
        """The attribute alone."""
        return reads if self.attribute is None else {self.attribute: 1}

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        middles = np.arange(self.buckets, dtype=np.float32)
        if context.numbers is not None:
            known = context.numbers[~np.isnan(context.numbers)]
            shares = (np.arange(self.buckets) + 0.5) / self.buckets
            middles = np.unique(np.quantile(known, shares) if len(known) else middles).astype(np.float32)
        return _Numeric(middles, context.width)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls("year", buckets=4), cls(buckets=2))


class _Numeric(nn.Module):
    middles: Tensor

    def __init__(self, middles: np.ndarray, width: int) -> None:
        super().__init__()
        self.register_buffer("middles", torch.tensor(middles))
        self.table = nn.Parameter(torch.empty(len(middles), width))
        nn.init.normal_(self.table, std=width**-0.5)

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, 1) numbers, mask (N, 1) -> (N, D)."""
        number = tokens.masked_fill(~mask, 0).clamp(self.middles[0], self.middles[-1])
        lower = (torch.searchsorted(self.middles, number, right=True) - 1).clamp(min=0)
        upper = (lower + 1).clamp(max=len(self.middles) - 1)
        gap = (self.middles[upper] - self.middles[lower]).clamp(min=torch.finfo(torch.float32).tiny)
        share = ((number - self.middles[lower]) / gap).clamp(0, 1).to(self.table.dtype)
        mixed = self.table[lower] * (1 - share).unsqueeze(-1) + self.table[upper] * share.unsqueeze(-1)
        return Out(mixed.squeeze(1).masked_fill(~mask, 0))
