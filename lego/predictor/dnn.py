"""A multi-layer perceptron over user and candidate side by side: the deep part of Wide & Deep (Cheng et al. 2016,
https://arxiv.org/abs/1606.07792).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Deep, Fields
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, operator


@operator
class DNN(FieldPredictor):
    """w · MLP(x_0) + b with x_0 the fields side by side: [u; v] unless attributes are fields too."""

    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _DNN(make_fields(context, self.fields), context.width, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(hidden=(6, 4)), cls(hidden=(6,), fields="attributes"))


class _DNN(nn.Module):
    def __init__(self, fields: Fields, width: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.fields = fields
        self.deep = Deep(fields.count * width, hidden, dropout)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        return self.deep(self.fields.flat(user, candidates, candidate_mask, needs))
