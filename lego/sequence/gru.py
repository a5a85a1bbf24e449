"""A gated recurrent unit over the places, then its last state or another pool.

Cho et al. 2014, https://arxiv.org/abs/1406.1078; Chung et al. 2014, https://arxiv.org/abs/1412.3555; the user encoder of
LSTUR (An et al. 2019, https://aclanthology.org/P19-1033).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import nn

from lego.contract import Form
from lego.nn.recurrent import Recurrent
from lego.sequence.last import Last
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator


@operator
class GRU(Sequence):
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
        return Recurrent(nn.GRU, context.input_width, self.hidden, self.layers, self.dropout, pool)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(hidden=6), cls(hidden=8, layers=2, dropout=0.1, pool=None))
