"""Wide & Deep (Cheng et al. 2016, https://arxiv.org/abs/1606.07792): a linear model and a perceptron, added (equation 3).

The wide part is the linear model over the raw fields; the paper's products of chosen features, which its authors pick by hand for
their own data, are left to predictors that learn them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Deep, Fields, FirstOrder
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields, make_first_order
from lego.predictor.widths import widths
from lego.spec import Context, between, operator


@operator
class WideDeep(FieldPredictor):
    """wide(x) + w · MLP(x_0) + b; `hidden=()` leaves the wide part alone. The paper's perceptron is (1024, 512, 256)."""

    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields, wide = make_fields(context, self.fields), make_first_order(context, self.fields)
        return _WideDeep(fields, wide, context.width, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(hidden=(6, 4)), cls(hidden=()), cls(hidden=(6,), fields="attributes"))


class _WideDeep(nn.Module):
    def __init__(
        self, fields: Fields, wide: FirstOrder, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.wide = wide
        self.fields = fields if hidden else None
        self.deep = Deep(fields.count * width, hidden, dropout) if hidden else None

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        scores = self.wide(user, candidates, needs)
        if self.fields is None or self.deep is None:
            return scores
        return scores + self.deep(self.fields.flat(user, candidates, candidate_mask, needs))
