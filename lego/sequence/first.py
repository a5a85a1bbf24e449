"""The first real place: the `[CLS]` token of BERT and its kin (Devlin et al. 2019, https://arxiv.org/abs/1810.04805)."""

from __future__ import annotations

from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.place import project
from lego.spec import Context, Pool, operator


@operator
class First(Pool):
    """The first real place; zeros for an empty row. A linear layer follows only where the widths differ."""

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _First(context.input_width, context.width)


class _First(nn.Module):
    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.project = project(input_width, width)

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D)."""
        return Out(self.project(sequence[:, 0].masked_fill(~mask[:, :1], 0.0)))
