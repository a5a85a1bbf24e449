"""DeepFM (Guo et al. 2017, https://arxiv.org/abs/1703.04247): a factorization machine and a perceptron over the same fields.

The two are added (equation 1); FM is the first-order part and Σ_{i<j} e_i · e_j (equation 2). With `fields="vectors"` there is
one pair, user and item, so that FM is a linear part and `Dot`; with `fields="attributes"` every attribute meets every other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Deep, Fields, FirstOrder
from lego.nn.score import dot
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields, make_first_order
from lego.predictor.widths import widths
from lego.spec import Context, between, operator


@operator
class DeepFM(FieldPredictor):
    """FM(x) + w · MLP(x_0) + b; `hidden=()` leaves the factorization machine alone. The paper's perceptron is (400, 400, 400)."""

    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields, first_order = make_fields(context, self.fields), make_first_order(context, self.fields)
        return _DeepFM(fields, first_order, context.width, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(hidden=(6, 4)),
            cls(hidden=(), fields="attributes"),
            cls(hidden=(6,), fields="attributes"),
        )


class _DeepFM(nn.Module):
    def __init__(
        self, fields: Fields, first_order: FirstOrder, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.fields = fields
        self.first_order = first_order
        self.deep = Deep(fields.count * width, hidden, dropout) if hidden else None

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        of_user, of_item = self.fields.apart(user, candidates, candidate_mask, needs)
        pairs = _pairs(of_user) + _pairs(of_item) + dot(of_user.float().sum(-2), of_item.float().sum(-2))
        scores = self.first_order(user, candidates, needs) + pairs
        if self.deep is None:
            return scores
        return scores + self.deep((of_user.flatten(-2), of_item.flatten(-2)))


def _pairs(fields: Tensor) -> Tensor:
    """fields (..., F, D) -> Σ_{i<j} e_i · e_j, (...): half of |Σ e|² − Σ |e|², without a table of pairs."""
    fields = fields.float()
    return (fields.sum(-2).square().sum(-1) - fields.square().sum((-2, -1))) / 2
