"""The inner product of user and candidate."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.score import dot_with_candidates
from lego.spec import Context, Predictor, operator


@operator
class Dot(Predictor):
    """u · v; nothing is learned here."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR, Form.PER_CANDIDATE})

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Dot()


class _Dot(nn.Module):
    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, D) or (B, C, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        return dot_with_candidates(user.tensor, candidates)
