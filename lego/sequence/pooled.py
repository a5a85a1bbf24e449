"""How every sequence encoder ends: in a pool, or in the sequence itself."""

from __future__ import annotations

import attrs
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.place import Places
from lego.spec import Context, Pool


def form(pool: Pool | None) -> Form:
    """What an encoder with this pool gives."""
    return Form.SEQUENCE if pool is None else Form.VECTOR


def end(pool: Pool | None, width: int, context: Context) -> nn.Module:
    """The last part of an encoder whose places are `width` wide: (B, S, width), mask -> `Out` of `context.width`."""
    if pool is None:
        return _Whole(width, context.width)
    return pool.build(attrs.evolve(context, input_width=width))


class _Whole(nn.Module):
    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.places = Places(input_width, width)

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, S, D)."""
        return Out(self.places(sequence, mask), mask)
