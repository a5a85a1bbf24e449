"""Fields: the vectors of width D, side by side, that stand for a pair of user and candidate.

Predictors that come from click prediction read a list of feature fields. Here the first of them is the user vector and one is the
item vector; where attributes are asked for, each categorical attribute of user and item is one more, with a table of its own.
Fields of the user do not depend on the candidate, so they come apart from those of the candidates, and the axis C is 1 in them:
what is done to them alone is done once for a user.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Needs, Out
from lego.nn.mlp import MLP
from lego.nn.score import Score, dot, full_precision


class Fields(nn.Module):
    """User vector, attributes of the user and of the impression, item vector, attributes of the item, in this order."""

    def __init__(
        self,
        width: int,
        item_vocabularies: Mapping[str, int] | None = None,
        user_vocabularies: Mapping[str, int] | None = None,
        impression_vocabularies: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.item = _Attributes(item_vocabularies or {}, width)
        self.user = _Attributes(user_vocabularies or {}, width)
        self.impression = _Attributes(impression_vocabularies or {}, width)
        self.user_count = 1 + len(self.user.names) + len(self.impression.names)
        """Fields of the user, with those of the impression, which are the same for all of its candidates."""
        self.item_count = 1 + len(self.item.names)
        """Fields of the candidate."""
        self.count = self.user_count + self.item_count
        """F, all fields."""

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> (B, C, F, D)."""
        return joined(self.apart(user, candidates, candidate_mask, needs), -2)

    def apart(
        self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> tuple[Tensor, Tensor]:
        """The same in two: of the user (B, 1, Fu, D), C for 1 where it is a user per candidate; of the item (B, C, Fi, D)."""
        vector = user.tensor if user.tensor.ndim == 3 else user.tensor.unsqueeze(1)  # (B, 1 or C, D)
        known = [*self.user(needs.profile), *self.impression(needs.impression)]
        of_user = [vector, *(each.unsqueeze(1).expand_as(vector) for each in known)]
        of_item = [candidates, *self.item(needs.candidates)]
        return torch.stack(of_user, -2), torch.stack(of_item, -2)

    def flat(
        self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> tuple[Tensor, Tensor]:
        """x0 in two parts, fields side by side: (B, 1 or C, Fu · D) and (B, C, Fi · D)."""
        of_user, of_item = self.apart(user, candidates, candidate_mask, needs)
        return of_user.flatten(-2), of_item.flatten(-2)


class FirstOrder(nn.Module):
    """A linear model of the fields, what click prediction calls the wide or the first-order part.

    A weight for each dimension of user and item vector, a weight for each value of an attribute.
    """

    def __init__(
        self,
        width: int,
        item_vocabularies: Mapping[str, int] | None = None,
        user_vocabularies: Mapping[str, int] | None = None,
        impression_vocabularies: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.of_user = nn.Linear(width, 1, bias=False)
        self.of_item = Score(width)
        self.item = _Attributes(item_vocabularies or {}, 1)
        self.user = _Attributes(user_vocabularies or {}, 1)
        self.impression = _Attributes(impression_vocabularies or {}, 1)

    def forward(self, user: Out, candidates: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D) -> (B, C), float32."""
        of_user = dot(user.tensor, self.of_user.weight.squeeze(0))
        for each in (*self.user(needs.profile), *self.impression(needs.impression)):
            of_user = of_user + (each.squeeze(-1) if of_user.ndim == 1 else each)
        total: Tensor = self.of_item(candidates) + (of_user.unsqueeze(1) if of_user.ndim == 1 else of_user)
        for each in self.item(needs.candidates):
            total = total + each.squeeze(-1)
        return total


class _Attributes(nn.Module):
    """A table for each attribute; the mean over the values that there are, row 0 where there is none."""

    def __init__(self, vocabularies: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.names = tuple(vocabularies)
        # A list, not a dict of modules: the name of an attribute may be anything, the name of a module may not.
        self.tables = nn.ModuleList(_table(size, width) for size in vocabularies.values())

    def forward(self, codes: Mapping[str, Tensor]) -> list[Tensor]:
        """Attribute → (..., V) -> for each attribute (..., D)."""
        return [_mean(codes[name], table) for name, table in zip(self.names, self.tables, strict=True)]


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width)
    # Vectors of length about 1, as those of item ids.
    nn.init.normal_(table.weight, std=width**-0.5)
    return table


def _mean(codes: Tensor, table: nn.Module) -> Tensor:
    """codes (..., V), real ones first, 0 for none -> (..., D)."""
    assert isinstance(table, nn.Embedding)
    real = codes > 0
    # Real values come first, so a zero at the first place means that there is none; it counts, and row 0 stands for that.
    real[..., 0] = True
    share = real / real.sum(-1, keepdim=True)
    found = functional.embedding_bag(
        codes.flatten(0, -2),
        table.weight,
        mode="sum",
        sparse=table.sparse,
        per_sample_weights=share.flatten(0, -2).to(table.weight.dtype),
    )
    return found.view(*codes.shape[:-1], -1)


def joined(parts: tuple[Tensor, ...], dim: int = -1) -> Tensor:
    """Parts (B, 1 or C, ...) side by side along `dim`, which counts from the end: (B, C, ...)."""
    count = max(each.size(1) for each in parts)
    kind = parts[0].dtype
    for each in parts[1:]:
        kind = torch.promote_types(kind, each.dtype)
    return torch.cat([each.to(kind).expand(-1, count, *each.shape[2:]) for each in parts], dim)


def linear(layer: nn.Linear, parts: tuple[Tensor, ...]) -> Tensor:
    """The layer over the parts (B, 1 or C, each its width) side by side, without laying them so -> (B, C, output)."""
    weights = torch.split(layer.weight, [each.size(-1) for each in parts], 1)
    total = functional.linear(parts[-1], weights[-1], layer.bias)
    for part, weight in zip(parts[:-1], weights[:-1], strict=True):
        total = total + functional.linear(part, weight)
    return total


def perceptron(layers: nn.Sequential, parts: tuple[Tensor, ...]) -> Tensor:
    """The layers of a `lego.nn.mlp.MLP` over the parts side by side; the first of them once for each part."""
    if not len(layers):
        return joined(parts)
    first, *rest = layers
    assert isinstance(first, nn.Linear)
    vectors = linear(first, parts)
    for layer in rest:
        vectors = layer(vectors)
    return vectors


def weighed(parts: tuple[Tensor, ...], weights: Tensor) -> Tensor:
    """Inner products of the parts side by side with each of `weights` (K, all widths together) -> (B, C, K).

    In float32 also under autocast: it is what scores are made of.
    """
    split = torch.split(weights, [each.size(-1) for each in parts], 1)
    with full_precision(parts[0]):
        total = functional.linear(parts[-1].float(), split[-1])
        for part, of_part in zip(parts[:-1], split[:-1], strict=True):
            total = total + functional.linear(part.float(), of_part)
    return total


def inner_products(of_user: Tensor, of_item: Tensor) -> tuple[Tensor, Tensor]:
    """Inner products of every two fields: (B, 1 or C, Fu, D) and (B, C, Fi, D) -> what is of the user alone, and the rest.

    The second holds user with item, field by field of the item, then item with item; together F (F − 1) / 2 numbers.
    """
    return (
        _upper(of_user @ of_user.transpose(-1, -2)),
        torch.cat(
            [
                (of_item @ of_user.transpose(-1, -2)).flatten(-2),
                _upper(of_item @ of_item.transpose(-1, -2)),
            ],
            -1,
        ),
    )


def _upper(table: Tensor) -> Tensor:
    """table (..., F, F) -> what stands above its diagonal, (..., F (F − 1) / 2)."""
    first, second = torch.triu_indices(table.size(-2), table.size(-1), 1, device=table.device)
    return table[..., first, second]


class Deep(nn.Module):
    """A perceptron over parts side by side, down to one number."""

    def __init__(self, input_width: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.deep = MLP(input_width, hidden, dropout=dropout)
        self.score = Score(self.deep.width)

    def forward(self, parts: tuple[Tensor, ...]) -> Tensor:
        """Parts (B, 1 or C, each its width) -> (B, C), float32."""
        if not len(self.deep.layers):
            return weighed(parts, self.score.linear.weight).squeeze(-1) + self.score.linear.bias
        return self.score(perceptron(self.deep.layers, parts))
