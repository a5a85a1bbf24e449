"""A content module made of two parts: a table of token vectors, and a sequence module that reads them."""

from __future__ import annotations

from torch import Tensor, nn

from lego.contract import Needs, Out


class TokenEncoder(nn.Module):
    """What stands in the content slot where a `Sequence` operator fills it.

    `table` is the module of a `Tokens` spec (ids (N, L) to vectors (N, L, W)), `sequence` that of the operator. A table that
    several encoders share is registered, and so saved and moved, by another module: `owns=False`.
    """

    def __init__(self, table: nn.Module, sequence: nn.Module, *, owns: bool = True) -> None:
        super().__init__()
        if owns:
            self.table = table
        else:
            object.__setattr__(self, "table", table)
        self.sequence = sequence

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, L), mask (N, L) -> (N, D)."""
        return self.sequence(self.table(tokens), mask, needs)
