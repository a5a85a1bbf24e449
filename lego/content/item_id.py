"""A trainable vector per item: the id table of models that do not read what an item says."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from lego.contract import Needs, Out, Reads
from lego.spec import Content, Context, operator


@operator
class ItemID(Content):
    """Transductive: an item that training never saw keeps the vector it was drawn with, so its score says nothing."""

    transductive: ClassVar[bool] = True

    @property
    def reads(self) -> Reads:
        """Item rows."""
        return Reads.ROWS

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _ItemID(context.items, context.width)


class _ItemID(nn.Module):
    def __init__(self, items: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(items, width, padding_idx=0)
        # Vectors of length about 1, so that first scores are of the size of one, not of the width.
        nn.init.normal_(self.table.weight, std=width**-0.5)
        with torch.no_grad():
            self.table.weight[0].zero_()

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, 1) item rows, mask (N, 1) -> (N, D); row 0, which is no item, gives zeros."""
        return Out(self.table(tokens.masked_fill(~mask, 0)).squeeze(1))
