"""One linear layer at every place of a sequence: how a sequence changes its width."""

from __future__ import annotations

from torch import Tensor, nn

from lego.nn.masked import zero_padding


class Places(nn.Module):
    """A linear layer without bias at each place, only where the widths differ; padded places stay zero."""

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.project = project(input_width, width)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, W), mask (B, S) -> (B, S, D)."""
        return zero_padding(self.project(sequence), mask)


def project(input_width: int, width: int) -> nn.Module:
    """(..., W) -> (..., D): a linear layer, or nothing where the widths agree.

    It has no bias, so that zeros (an empty row) stay zeros.
    """
    return nn.Identity() if input_width == width else nn.Linear(input_width, width, bias=False)
