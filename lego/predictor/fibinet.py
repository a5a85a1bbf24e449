"""FiBiNET (Huang et al. 2019, https://arxiv.org/abs/1905.09433): how much each field matters, and bilinear products of
the fields.

Squeeze and excitation (equations 4 to 6): z_i is the mean of field e_i, A = σ₂(W₂ relu(W₁ z)), and v_i = A_i e_i. The bilinear
product of two fields is (e_i W) ⊙ e_j, with one W for all pairs, one for each first field, or one for each pair (equations 7 to
9). An MLP reads the products of the fields as they are and as they are weighed, one set of W for both; a linear model of the
fields is added (equations 10 to 12).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Fields, FirstOrder, joined
from lego.nn.mlp import MLP
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields, make_first_order
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, operator


@operator
class FiBiNET(FieldPredictor):
    """`bilinear` says which pairs share their W, `reduction` how much narrower the layer between W₁ and W₂ is.

    The paper does not name σ₂. With relu a field can be shut off for good, the more easily the fewer there are, so the default is
    the sigmoid that squeeze and excitation came with. With `hidden=()` a linear layer reads the products.
    """

    bilinear: Literal["all", "each", "interaction"] = "interaction"
    reduction: int = attrs.field(default=3, validator=ge(1))
    excitation: Literal["sigmoid", "relu"] = "sigmoid"
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        weights = _Excitation(fields.count, self.reduction, self.excitation)
        products = _Bilinear(fields, context.width, self.bilinear)
        linear = make_first_order(context, self.fields)
        return _FiBiNET(fields, weights, products, linear, context.width, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (
            cls(hidden=(6, 4)),
            cls(bilinear="each", fields="attributes", hidden=(6,)),
            cls(bilinear="all", reduction=1, hidden=()),
        )


class _FiBiNET(nn.Module):
    def __init__(
        self,
        fields: Fields,
        weights: nn.Module,
        products: _Bilinear,
        linear: FirstOrder,
        width: int,
        hidden: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.fields = fields
        self.weights = weights
        self.products = products
        self.linear = linear
        self.deep = MLP(2 * products.count * width, hidden, dropout=dropout)
        self.score = Score(self.deep.width)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        of_user, of_item = self.fields.apart(user, candidates, candidate_mask, needs)
        weights = self.weights(joined((of_user.mean(-1), of_item.mean(-1))))  # (B, C, F)
        products = self.products(of_user, of_item)  # (B, C, P, D)
        # W is the same for weighed fields, so their products are those of the fields times two weights.
        pairs = weights[..., self.products.first] * weights[..., self.products.second]
        both = torch.cat([products, products * pairs.unsqueeze(-1)], -2).flatten(-2)  # (B, C, 2P · D)
        return self.score(self.deep(both)) + self.linear(user, candidates, needs)


class _Excitation(nn.Module):
    def __init__(self, count: int, reduction: int, activation: str) -> None:
        super().__init__()
        between = max(1, count // reduction)
        self.reduce = nn.Linear(count, between, bias=False)
        self.expand = nn.Linear(between, count, bias=False)
        self.activation = torch.sigmoid if activation == "sigmoid" else torch.relu

    def forward(self, squeezed: Tensor) -> Tensor:
        """squeezed (..., F) -> a weight for each field (..., F)."""
        return self.activation(self.expand(torch.relu(self.reduce(squeezed))))


class _Bilinear(nn.Module):
    """(e_i W) ⊙ e_j for every i < j; user fields stand first, so those of W e_i that are of the user are made once."""

    first: Tensor
    second: Tensor
    user_places: Tensor
    item_places: Tensor

    def __init__(self, fields: Fields, width: int, kind: str) -> None:
        super().__init__()
        pairs = [(i, j) for i in range(fields.count) for j in range(i + 1, fields.count)]
        self.count = len(pairs)
        """P, pairs of fields."""
        self.per_pair = kind == "interaction"
        # Which fields are multiplied by a W: the first of each pair, or each field that is the first of some pair.
        left = [i for i, _ in pairs] if self.per_pair else list(range(fields.count - 1))
        for name, places in {
            "first": [i for i, _ in pairs],
            "second": [j for _, j in pairs],
            "user_places": [i for i in left if i < fields.user_count],
            "item_places": [i - fields.user_count for i in left if i >= fields.user_count],
        }.items():
            self.register_buffer(name, torch.tensor(places, dtype=torch.long), persistent=False)
        self.weight = nn.Parameter(torch.empty(1 if kind == "all" else len(left), width, width))
        nn.init.uniform_(self.weight, -((3 / width) ** 0.5), (3 / width) ** 0.5)  # keeps the variance

    def forward(self, of_user: Tensor, of_item: Tensor) -> Tensor:
        """of_user (B, 1 or C, Fu, D), of_item (B, C, Fi, D) -> (B, C, P, D)."""
        weight = self.weight.expand(len(self.user_places) + len(self.item_places), -1, -1)
        of_users, of_items = torch.split(weight, [len(self.user_places), len(self.item_places)])
        turned = (
            torch.einsum("bcfd,fde->bcfe", of_user[..., self.user_places, :], of_users),
            torch.einsum("bcfd,fde->bcfe", of_item[..., self.item_places, :], of_items),
        )
        left = joined(turned, -2)
        if not self.per_pair:
            left = left[..., self.first, :]
        return left * joined((of_user, of_item), -2)[..., self.second, :]
