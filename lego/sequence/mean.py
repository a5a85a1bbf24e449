"""The mean of the real places."""

from __future__ import annotations

from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.masked import masked_mean
from lego.nn.place import project
from lego.spec import Context, Pool, operator


@operator
class Mean(Pool):
    """The mean of the real places; zeros for an empty row. A linear layer follows only where the widths differ."""

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Mean(context.input_width, context.width)


class _Mean(nn.Module):
    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.project = project(input_width, width)

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D)."""
        return Out(self.project(masked_mean(sequence, mask)))
