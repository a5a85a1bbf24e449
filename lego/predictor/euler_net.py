"""EulerNet (Tian et al. 2023, https://arxiv.org/abs/2304.10711): products of fields in any order, learned as sums in polar form.

Field e_j becomes the complex vector μ_j (cos e_j + i sin e_j). A neuron k of a layer multiplies powers of the fields: with
modulus λ_j and phase θ_j, λ'_k = exp(Σ_j α_jk log λ_j + δ_k) and θ'_k = Σ_j α_jk θ_j + δ'_k, with learned orders α. Beside that,
real and imaginary parts pass relu(W r + b) and relu(W p + b), and both are added. The score is w · r + w · p of the last layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.nn.fields import Fields, linear
from lego.nn.score import Score, full_precision
from lego.predictor.fields import FieldKind, FieldPredictor, make_fields
from lego.predictor.widths import widths
from lego.spec import Choice, Context, between, operator


@operator
class EulerNet(FieldPredictor):
    """`neurons` of each layer, each a complex vector of width D; `norm` norms what a layer gives."""

    neurons: tuple[int, ...] = attrs.field(default=(8,), validator=widths)
    norm: bool = False
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    fields: FieldKind = "vectors"

    def __attrs_post_init__(self) -> None:
        """Refuses a network without layers."""
        for each in self.neurons.values if isinstance(self.neurons, Choice) else (self.neurons,):
            if each == ():
                raise SpecError.wrong_value("EulerNet", "neurons", each, "the neurons of one layer or more")

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        fields = make_fields(context, self.fields)
        return _EulerNet(fields, context.width, self.neurons, norm=self.norm, dropout=self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(neurons=(3, 3), norm=True), cls(neurons=(2,), fields="attributes"))


class _EulerNet(nn.Module):
    def __init__(
        self, fields: Fields, width: int, neurons: tuple[int, ...], *, norm: bool, dropout: float
    ) -> None:
        super().__init__()
        self.fields = fields
        self.modulus = nn.Parameter(torch.ones(fields.count, 1))
        self.layers = nn.ModuleList(
            _EulerLayer(before, after, width, norm=norm, dropout=dropout)
            for before, after in pairwise((fields.count, *neurons))
        )
        self.score = Score(neurons[-1] * width)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        parts = self.fields.apart(user, candidates, candidate_mask, needs)
        moduli = torch.split(self.modulus, [part.size(-2) for part in parts])
        # What is of the user alone is in a part of its own, once for all candidates.
        real = tuple(each * torch.cos(part.float()) for part, each in zip(parts, moduli, strict=True))
        imaginary = tuple(each * torch.sin(part.float()) for part, each in zip(parts, moduli, strict=True))
        for layer in self.layers:
            first, second = layer(real, imaginary)
            real, imaginary = (first,), (second,)
        return self.score((real[0] + imaginary[0]).flatten(-2))


class _EulerLayer(nn.Module):
    """The explicit part by powers, the implicit part by a linear layer for real and imaginary numbers alike."""

    def __init__(self, before: int, after: int, width: int, *, norm: bool, dropout: float) -> None:
        super().__init__()
        # As the authors' code begins: each neuron as one field where there are as many, else a field goes to one neuron.
        self.orders = nn.Parameter(
            torch.eye(before) if before == after else torch.softmax(torch.randn(before, after) / 0.01, 0)
        )
        self.modulus = nn.Parameter(0.01 * torch.randn(after, width))
        self.phase = nn.Parameter(0.01 * torch.randn(after, width))
        self.linear = nn.Linear(before * width, after * width)
        nn.init.xavier_uniform_(self.linear.weight)
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(2)) if norm else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, real: tuple[Tensor, ...], imaginary: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Parts (B, 1 or C, some of F, D) of both kinds -> (B, C, K, D) of both kinds."""
        pairs = list(zip(real, imaginary, strict=True))
        # Half the logarithm of the square is that of the modulus; the square is never zero here.
        modulus = self._powers([0.5 * torch.log(r.square() + p.square() + 1e-8) for r, p in pairs])
        phase = self._powers([torch.atan2(p, r) for r, p in pairs]) + self.phase
        modulus = torch.exp(modulus + self.modulus)
        found = (
            modulus * torch.cos(phase) + self._implicit(real),
            modulus * torch.sin(phase) + self._implicit(imaginary),
        )
        return found if self.norm is None else (self.norm[0](found[0]), self.norm[1](found[1]))

    def _powers(self, parts: list[Tensor]) -> Tensor:
        """Parts (B, 1 or C, some of F, D) -> Σ_j α_jk of them all (B, C, K, D)."""
        orders = torch.split(self.orders, [part.size(-2) for part in parts])
        with full_precision(parts[0]):
            sums = [
                torch.einsum("bcfd,fk->bckd", self.dropout(part), order)
                for part, order in zip(parts, orders, strict=True)
            ]
        return sums[0] if len(sums) == 1 else sums[0] + sums[1]

    def _implicit(self, parts: tuple[Tensor, ...]) -> Tensor:
        units = torch.relu(linear(self.linear, tuple(self.dropout(part.flatten(-2)) for part in parts)))
        return units.view(*units.shape[:-1], *self.phase.shape)
