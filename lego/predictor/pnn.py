"""Product-based neural network (Qu et al. 2016, https://arxiv.org/abs/1611.00144): a perceptron that also reads products.

`inner` joins f_i · f_j for every two fields to what the first layer reads (IPNN). `outer` joins one number of each outer product
f_i f_jᵀ, read through a matrix of its own, f_iᵀ K_ij f_j: the kernel product of the authors' later paper (Qu et al. 2018,
https://arxiv.org/abs/1807.00311). The earlier paper adds all outer products up instead and feeds D² numbers, which at the width
of a text vector would be sixty-five thousand.

With `fields="vectors"` there is one pair, user and item, so that `inner` is a perceptron that is also told the score of `Dot`,
and `outer` one that is told the score of `Bilinear`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.nn.fields import Deep, Fields, inner_products
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, operator


@operator
class PNN(FieldPredictor):
    """w · MLP([x_0; products of every two fields]) + b."""

    product: Literal["inner", "outer"] = attrs.field(default="inner", kw_only=False)
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        return _PNN(fields, context.width, self.product, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(hidden=(6, 4)),
            cls("outer", hidden=(6,)),
            cls(hidden=(6,), fields="attributes"),
            cls("outer", hidden=(6,), fields="attributes"),
        )


class _PNN(nn.Module):
    def __init__(
        self, fields: Fields, width: int, product: str, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.fields = fields
        pairs = fields.count * (fields.count - 1) // 2
        self.kernels = _Kernels(fields, width) if product == "outer" else None
        self.deep = Deep(fields.count * width + pairs, hidden, dropout)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        of_user, of_item = self.fields.apart(user, candidates, candidate_mask, needs)
        products = (inner_products if self.kernels is None else self.kernels)(of_user, of_item)
        return self.deep((of_user.flatten(-2), of_item.flatten(-2), *products))


class _Kernels(nn.Module):
    """f_iᵀ K_ij f_j of every two fields, in the order of `inner_products`."""

    def __init__(self, fields: Fields, width: int) -> None:
        super().__init__()
        users, items = range(fields.user_count), range(fields.item_count)
        self.within_user = list(combinations(users, 2))
        self.between = [(user, item) for item in items for user in users]
        self.within_item = list(combinations(items, 2))
        pairs = len(self.within_user) + len(self.between) + len(self.within_item)
        self.weight = nn.Parameter(torch.empty(pairs, width, width))
        for kernel in self.weight:
            nn.init.xavier_uniform_(kernel)

    def forward(self, of_user: Tensor, of_item: Tensor) -> tuple[Tensor, Tensor]:
        """of_user (B, 1 or C, Fu, D), of_item (B, C, Fi, D) -> of the user alone, and the rest."""
        own, cross, rest = torch.split(
            self.weight, [len(self.within_user), len(self.between), len(self.within_item)]
        )
        return (
            _read(of_user, of_user, self.within_user, own),
            torch.cat(
                [
                    _read(of_user, of_item, self.between, cross),
                    _read(of_item, of_item, self.within_item, rest),
                ],
                -1,
            ),
        )


def _read(first: Tensor, second: Tensor, pairs: list[tuple[int, int]], kernels: Tensor) -> Tensor:
    """first (B, 1 or C, F, D), second (B, C, G, D), kernels (P, D, D) -> (B, C, P).

    Pair by pair: the left half is then one matrix product, for a field of the user once for all candidates.
    """
    found = [
        ((first[..., one, :] @ kernel) * second[..., other, :]).sum(-1)
        for (one, other), kernel in zip(pairs, kernels, strict=True)
    ]
    return torch.stack(found, -1) if found else second[..., 0, :0]
