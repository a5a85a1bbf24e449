"""Deep & Cross Network (Wang et al. 2017, https://arxiv.org/abs/1708.05123): x_{l+1} = x_0 (w_l · x_l) + b_l + x_l beside an MLP.

x_0 is the fields side by side, [u; v] unless attributes are fields too; a linear layer reads the last crossed vector joined to
what the MLP gives (equation 3 and section 2.4).

What is computed is the closed form: by induction x_l = a_l x_0 + c_l with c_{l+1} = c_l + b_l, which no input moves, and the
number a_{l+1} = a_l (1 + w_l · x_0) + w_l · c_l. No crossed vector is made, and the user's part of x_0 is read once for a user.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Fields, perceptron, weighed
from lego.nn.mlp import MLP
from lego.nn.score import Score, dot
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class DCN(FieldPredictor):
    """`cross` layers beside an MLP of `hidden` widths; with `hidden=()` the cross network stands alone."""

    cross: int = attrs.field(default=3, validator=ge(1))
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _DCN(make_fields(context, self.fields), context.width, self.cross, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(cross=2, hidden=(6, 4)),
            cls(cross=1, hidden=()),
            cls(cross=2, hidden=(6,), fields="attributes"),
            cls(cross=1, hidden=(6,), fields="context"),
        )


class _DCN(nn.Module):
    def __init__(
        self, fields: Fields, width: int, cross: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.fields = fields
        self.width = fields.count * width
        # As a linear layer would draw them.
        bound = self.width**-0.5
        self.weights = nn.ParameterList(
            torch.empty(1, self.width).uniform_(-bound, bound) for _ in range(cross)
        )
        self.biases = nn.ParameterList(torch.zeros(self.width) for _ in range(cross))
        self.deep = MLP(self.width, hidden, dropout=dropout) if hidden else None
        self.score = Score(self.width + (self.deep.width if self.deep else 0))

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        first = self.fields.flat(user, candidates, candidate_mask, needs)
        of_crossed, of_deep = torch.split(
            self.score.linear.weight, [self.width, self.score.linear.in_features - self.width], 1
        )
        # w_l · x_0 for every layer, and last the score that x_0 itself would have, (B, C, cross + 1)
        products = weighed(first, torch.cat([*self.weights, of_crossed]))
        factor = torch.ones_like(products[..., 0])  # a_l
        constant = torch.zeros_like(of_crossed[0])  # c_l, (W)
        for weight, bias, product in zip(self.weights, self.biases, products.unbind(-1), strict=False):
            factor = factor * (1 + product) + dot(constant, weight[0])
            constant = constant + bias
        scores = factor * products[..., -1] + dot(constant, of_crossed[0]) + self.score.linear.bias
        if self.deep is None:
            return scores
        return scores + weighed((perceptron(self.deep.layers, first),), of_deep).squeeze(-1)
