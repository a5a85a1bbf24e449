"""The cosine of user and candidate, scaled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Needs, Out
from lego.nn.score import beside_candidates, dot
from lego.spec import Context, Predictor, gt, operator

SMALLEST = 1e-4
"""Vectors shorter than this are not stretched to length 1, so that a user of zeros scores 0 and has a bounded gradient."""


@operator
class Cosine(Predictor):
    """cos(u, v) / temperature; nothing is learned here."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR, Form.PER_CANDIDATE})

    temperature: float = attrs.field(default=0.1, kw_only=False, validator=gt(0))

    @property
    def cosines(self) -> bool:
        """At temperature 1."""
        return self.temperature == 1

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Cosine(self.temperature)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Sharp and plain."""
        return (cls(0.2), cls(1.0))


class _Cosine(nn.Module):
    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        direction = functional.normalize(user.tensor.float(), dim=-1, eps=SMALLEST)
        directions = functional.normalize(candidates.float(), dim=-1, eps=SMALLEST)
        return dot(beside_candidates(direction, directions), directions) / self.temperature
