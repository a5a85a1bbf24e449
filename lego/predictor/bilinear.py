"""A learned product of user and candidate."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.score import beside_candidates, dot
from lego.spec import Context, Predictor, operator


@operator
class Bilinear(Predictor):
    """uᵀ W v. W starts as the identity, so that the first scores are those of `Dot`."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR, Form.PER_CANDIDATE})

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Bilinear(context.width)


class _Bilinear(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(width))

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        # Wᵀ u does not depend on the candidate.
        return dot(beside_candidates(user.tensor @ self.weight, candidates), candidates)
