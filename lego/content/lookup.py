"""A table of vectors for the values of one categorical attribute.

The category encoder of NAML (Wu et al. 2019, https://arxiv.org/abs/1907.05576, section 3.1, equation 3): a table, then a linear
layer with ReLU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out, Reads
from lego.nn.masked import masked_mean
from lego.spec import Content, Context, operator


@operator
class Lookup(Content):
    """The vector of the item's value of `attribute`; of several values their mean; zeros where it has none, or an unknown one.

    In `Views(category=Lookup())` the view names the attribute. `project` puts a linear layer with ReLU behind the table.
    """

    attribute: str | None = attrs.field(default=None, kw_only=False)
    project: bool = False

    @property
    def reads(self) -> Reads:
        """Codes of one categorical attribute."""
        return Reads.CODES

    def reads_of(self, reads: Mapping[str, int]) -> Mapping[str, int]:
        """The attribute alone."""
        return reads if self.attribute is None else {self.attribute: 1}

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        (count,) = context.item_vocabularies.values() or (1,)
        return _Lookup(count, context.width, project=self.project)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls("genres", project=True), cls())


class _Lookup(nn.Module):
    def __init__(self, count: int, width: int, *, project: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(count, width, padding_idx=0)
        # Vectors of length about 1, as those of items.
        nn.init.normal_(self.table.weight, std=width**-0.5)
        with torch.no_grad():
            self.table.weight[0].zero_()
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU()) if project else None

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, V) codes, mask (N, V) -> (N, D)."""
        # A value that the data does not have has code 0: it is left out of the mean, not counted as zeros.
        known = mask & (tokens > 0)
        found = masked_mean(self.table(tokens.masked_fill(~known, 0)), known)
        if self.project is None:
            return Out(found)
        return Out(self.project(found).masked_fill(~known.any(-1, keepdim=True), 0))
