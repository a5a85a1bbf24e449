"""MaskNet (Wang et al. 2021, https://arxiv.org/abs/2102.07619): features multiplied by a mask that the fields themselves make.

The mask is W₂ relu(W₁ x_0 + b₁) + b₂ with x_0 the fields side by side (equation 5). A block is relu(LN(W (mask ⊙ h))): of the
fields, each normed by itself, h = LN(x_0), or of what another block gave (equations 8 and 9). `parallel` blocks read the fields
side by side and an MLP reads them all; `serial` blocks read one another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Needs, Out
from lego.nn.fields import Fields, joined, linear
from lego.nn.mlp import MLP
from lego.nn.score import Score
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Context, between, ge, gt, operator


@operator
class MaskNet(FieldPredictor):
    """`blocks` of `units` each and an MLP of `hidden` widths above them; the published serial one has `hidden=()`.

    `reduction` is the width between W₁ and W₂, counted in widths of the mask.
    """

    structure: Literal["parallel", "serial"] = "parallel"
    blocks: int = attrs.field(default=3, validator=ge(1))
    units: int = attrs.field(default=128, validator=ge(1))
    reduction: float = attrs.field(default=2.0, validator=gt(0))
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _MaskNet(
            make_fields(context, self.fields),
            context.width,
            blocks=self.blocks,
            units=self.units,
            reduction=self.reduction,
            hidden=self.hidden,
            dropout=self.dropout,
            serial=self.structure == "serial",
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(blocks=2, units=5, hidden=(6, 4)),
            cls(structure="serial", blocks=2, units=5, reduction=0.5, hidden=(), fields="attributes"),
        )


class _MaskNet(nn.Module):
    def __init__(
        self,
        fields: Fields,
        width: int,
        *,
        blocks: int,
        units: int,
        reduction: float,
        hidden: tuple[int, ...],
        dropout: float,
        serial: bool,
    ) -> None:
        super().__init__()
        self.fields = fields
        self.serial = serial
        self.norm = _FieldNorm(fields, width)
        size = fields.count * width
        self.blocks = nn.ModuleList(
            _MaskBlock(size, units if serial and place else size, units, reduction) for place in range(blocks)
        )
        self.dropout = nn.Dropout(dropout)
        self.deep = MLP(units if serial else blocks * units, hidden, dropout=dropout)
        self.score = Score(self.deep.width)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        of_user, of_item = self.fields.apart(user, candidates, candidate_mask, needs)
        fields = (of_user.flatten(-2), of_item.flatten(-2))
        normed = self.norm(of_user, of_item)
        if not self.serial:
            found = torch.cat([block(fields, normed) for block in self.blocks], -1)
            return self.score(self.deep(self.dropout(found)))
        for block in self.blocks:
            normed = self.dropout(block(fields, normed))
        return self.score(self.deep(normed))


class _FieldNorm(nn.Module):
    """A layer norm of its own for each field."""

    def __init__(self, fields: Fields, width: int) -> None:
        super().__init__()
        self.user_count = fields.user_count
        self.weight = nn.Parameter(torch.ones(fields.count, width))
        self.bias = nn.Parameter(torch.zeros(fields.count, width))

    def forward(self, of_user: Tensor, of_item: Tensor) -> Tensor:
        """of_user (B, 1 or C, Fu, D), of_item (B, C, Fi, D) -> (B, C, F · D)."""
        count, size = self.user_count, of_item.shape[-1:]
        return joined(
            (
                (functional.layer_norm(of_user, size) * self.weight[:count] + self.bias[:count]).flatten(-2),
                (functional.layer_norm(of_item, size) * self.weight[count:] + self.bias[count:]).flatten(-2),
            )
        )


class _MaskBlock(nn.Module):
    def __init__(self, input_width: int, width: int, units: int, reduction: float) -> None:
        super().__init__()
        self.aggregate = nn.Linear(input_width, max(1, round(reduction * width)))
        self.project = nn.Linear(self.aggregate.out_features, width)
        self.hidden = nn.Linear(width, units, bias=False)
        self.norm = nn.LayerNorm(units)

    def forward(self, fields: tuple[Tensor, ...], vectors: Tensor) -> Tensor:
        """fields (B, 1 or C, …) that make the mask, vectors (B, C, W) that it is laid on -> (B, C, units)."""
        mask = self.project(torch.relu(linear(self.aggregate, fields)))
        return torch.relu(self.norm(self.hidden(mask * vectors)))
