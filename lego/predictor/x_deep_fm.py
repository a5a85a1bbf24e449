"""xDeepFM (Lian et al. 2018, https://arxiv.org/abs/1803.05170): products of fields, vector-wise and of bounded degree.

The compressed interaction network: X^0 are the fields, X^k_h = Σ_ij W^k_hij (X^{k−1}_i ⊙ X^0_j) (equation 6, without an
activation, which the paper found best), p^k_h = Σ_d X^k_hd, and a linear layer reads all p^k. It is added to a linear part and a
perceptron (equation 9).

Without an activation every dimension d passes through the same polynomial of degree K + 1 in its F numbers, so the network is
worth no more than the coefficients of that polynomial: 7 for two fields and two layers, however many maps. They are computed from
the weights at each call, and a pair costs a few products of D numbers in place of every X^k. Where many fields have more products
than there are maps, the layers are computed one by one: Σ_i W^k_hij X^{k−1}_i is one matrix product for each field j, and of the
last layer, Σ_ij W_hij X^{k−1}_i · X^0_j, only inner products are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations_with_replacement, product
from math import comb
from typing import Any, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.nn.fields import Deep, Fields, FirstOrder, joined
from lego.nn.score import Score, full_precision
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields, make_first_order
from lego.predictor.widths import widths
from lego.spec import Context, between, operator

BLOCK = 1 << 24
"""The largest number of floats of one layer in evaluation; beyond it candidates are read block by block."""


def _some_widths(instance: object, attribute: Any, value: tuple[int, ...]) -> None:
    """A validator: as `widths`, and one at least."""
    widths(instance, attribute, value)
    if not value:
        raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, "one width at least")


@operator
class xDeepFM(FieldPredictor):  # noqa: N801 - as its paper writes it
    """linear(x) + w · CIN(x) + MLP(x_0); `maps` is the number of vectors in each layer of the CIN.

    As published: two layers of 128 (the paper tries up to 200); `hidden=()` leaves the perceptron out.
    """

    maps: tuple[int, ...] = attrs.field(default=(128, 128), validator=_some_widths)
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields, first_order = make_fields(context, self.fields), make_first_order(context, self.fields)
        return _xDeepFM(fields, first_order, context.width, self.maps, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(maps=(3, 4), hidden=(6, 4)),
            cls(maps=(3,), hidden=()),
            cls(maps=(3, 4, 2), hidden=(6,), fields="attributes"),
        )


class _xDeepFM(nn.Module):  # noqa: N801 - see above
    def __init__(
        self,
        fields: Fields,
        first_order: FirstOrder,
        width: int,
        maps: tuple[int, ...],
        hidden: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.fields = fields
        self.first_order = first_order
        self.cin = _CIN(fields.count, maps)
        self.deep = Deep(fields.count * width, hidden, dropout) if hidden else None

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        of_user, of_item = self.fields.apart(user, candidates, candidate_mask, needs)
        scores = self.first_order(user, candidates, needs) + self.cin(joined((of_user, of_item), -2))
        if self.deep is None:
            return scores
        return scores + self.deep((of_user.flatten(-2), of_item.flatten(-2)))


class _CIN(nn.Module):
    def __init__(self, count: int, maps: tuple[int, ...]) -> None:
        super().__init__()
        before = (count, *maps[:-1])
        self.weights = nn.ParameterList(
            torch.empty(here, count, each) for here, each in zip(maps, before, strict=True)
        )
        for weight in self.weights:
            nn.init.xavier_uniform_(weight.view(len(weight), -1))
        self.score = Score(sum(maps))
        self.maps = maps
        largest, products = max(before), comb(count + len(maps) - 1, len(maps))
        self.powers = _Powers(count, len(maps)) if products <= largest else None
        self.largest = min(largest, products)

    def forward(self, fields: Tensor) -> Tensor:
        """fields (B, C, F, D) -> (B, C), float32 also under autocast."""
        # Training keeps every layer for its gradient, so that blocks would save nothing there.
        each = self.largest * fields.size(0) * fields.size(-1)
        size = fields.size(1) if self.training else max(1, BLOCK // max(1, each))
        with full_precision(fields):
            read = self._layer_by_layer if self.powers is None else self._polynomial(self.powers)
            return torch.cat([read(block) for block in torch.split(fields.float(), max(1, size), 1)], 1)

    def _polynomial(self, powers: _Powers) -> Callable[[Tensor], Tensor]:
        coefficients = []
        for depth, of_layer in enumerate(torch.split(self.score.linear.weight.squeeze(0), list(self.maps))):
            found = of_layer
            for weight in reversed(list(self.weights)[: depth + 1]):
                found = torch.tensordot(found, weight, 1)
            coefficients.append(found)  # (F, ..., F), one more axis with each layer
        gathered = powers.gathered(coefficients)
        return lambda fields: powers(fields, *gathered) + self.score.linear.bias

    def _layer_by_layer(self, fields: Tensor) -> Tensor:
        vectors, sums = fields, []
        *inner, last = self.weights
        for weight in inner:  # (H, F, H of the layer before)
            vectors = _crossed(vectors, fields, weight)
            sums.append(vectors.sum(-1))
        products = fields @ vectors.transpose(-1, -2)  # X^0_j · X^{k−1}_i, (B, C, F, H of the layer before)
        sums.append(functional.linear(products.flatten(-2), last.flatten(1)))
        return self.score(torch.cat(sums, -1))


class _Powers(nn.Module):
    """A polynomial of degree `depth` + 1 without constant or linear term, added up over the dimensions of its variables."""

    def __init__(self, count: int, depth: int) -> None:
        super().__init__()
        self.steps: list[tuple[list[int], list[int]]] = []
        self.places: list[list[int]] = []
        before: list[tuple[int, ...]] = [(each,) for each in range(count)]
        for degree in range(2, depth + 1):
            products = list(combinations_with_replacement(range(count), degree))
            # x_a x_b x_c is the product x_a x_b, made before, and x_c.
            self.steps.append(
                ([before.index(each[:-1]) for each in products], [each[-1] for each in products])
            )
            order = {each: place for place, each in enumerate(products)}
            self.places.append([order[tuple(sorted(each))] for each in product(range(count), repeat=degree)])
            before = products

    def gathered(self, coefficients: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """(F, F), (F, F, F) … -> those of each product once, (P) a degree; of the highest (P of the degree before, F)."""
        found = []
        for table, places in zip(coefficients[:-1], self.places, strict=True):
            index = torch.tensor(places, device=table.device)
            found.append(table.new_zeros(max(places) + 1).index_add(0, index, table.flatten()))
        last = coefficients[-1].flatten(0, -2)
        if self.places:
            index = torch.tensor(self.places[-1], device=last.device)
            last = last.new_zeros(max(self.places[-1]) + 1, last.size(1)).index_add(0, index, last)
        return found, last

    def forward(self, fields: Tensor, coefficients: list[Tensor], last: Tensor) -> Tensor:
        """fields (B, C, F, D) and what `gathered` gave -> (B, C)."""
        products = fields
        total = torch.zeros_like(fields[..., 0, 0])
        for (before, variable), each in zip(self.steps, coefficients, strict=True):
            products = products[..., before, :] * fields[..., variable, :]
            total = total + products.sum(-1) @ each
        # Σ_d p_d x_d of every product of the degree before and every variable.
        return total + ((products @ fields.transpose(-1, -2)) * last).sum((-2, -1))


def _crossed(vectors: Tensor, fields: Tensor, weight: Tensor) -> Tensor:
    """vectors (..., G, D), fields (..., F, D), weight (H, F, G) -> Σ_ij W_hji (X_i ⊙ X^0_j), (..., H, D)."""
    parts = zip(weight.unbind(1), fields.unbind(-2), strict=True)
    of_field, field = next(parts)
    total = (of_field @ vectors) * field.unsqueeze(-2)
    for of_field, field in parts:
        total = total + (of_field @ vectors) * field.unsqueeze(-2)
    return total
