"""Long short-term memory over the places, then its last state or another pool.

Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with forget gates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.masked import zero_padding
from lego.sequence.last import Last
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator


@operator
class LSTM(Sequence):
    """Layers of states `hidden` wide, oldest place first; a linear layer leads to the model's width where it differs.

    Dropout falls on what each layer gives, the last one included.
    """

    hidden: int = attrs.field(default=64, validator=ge(1))
    layers: int = attrs.field(default=1, validator=ge(1))
    dropout: float = attrs.field(default=0.0, validator=between(0, 1))
    pool: Pool | None = Last()

    @property
    def gives(self) -> Form:
        """SEQUENCE without a pool."""
        return form(self.pool)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        pool = end(self.pool, self.hidden, context)
        return _LSTM(context.input_width, self.hidden, self.layers, self.dropout, pool)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(hidden=6), cls(hidden=8, layers=2, dropout=0.1, pool=None))


class _LSTM(nn.Module):
    def __init__(self, input_width: int, hidden: int, layers: int, dropout: float, pool: nn.Module) -> None:
        super().__init__()
        between_layers = dropout if layers > 1 else 0.0
        self.recurrence = nn.LSTM(input_width, hidden, layers, batch_first=True, dropout=between_layers)
        self.dropout = nn.Dropout(dropout)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        # Real places come first and a state depends on earlier places alone, so reading the real places of a padded run
        # equals packing, without lengths on the host.
        places = zero_padding(sequence, mask).to(next(self.recurrence.parameters()).dtype)
        with torch.autocast(
            "cpu", enabled=False
        ):  # few processors have an LSTM in bfloat16, and torch stops on the others
            states, _ = self.recurrence(places)
        return self.pool(zero_padding(self.dropout(states), mask), mask, needs)
