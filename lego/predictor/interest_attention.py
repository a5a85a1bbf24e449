"""How a candidate meets several interests: MINER (Li et al. 2022, https://aclanthology.org/2022.findings-acl.29).

s_m = u_m · v for each interest. `weighted` is Σ_m w_m s_m with w = softmax_m(v · gelu(W u_m)), the paper's target-aware
attention; `max` and `mean` are the other two ways the paper compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Needs, Out
from lego.nn.score import products
from lego.spec import Context, Predictor, operator


@operator
class InterestAttention(Predictor):
    """One score out of the scores that a candidate has with each interest."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.INTERESTS, Form.INTERESTS | Form.PER_CANDIDATE})

    score: Literal["weighted", "max", "mean"] = "weighted"

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _InterestAttention(context.width, self.score)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (cls(), cls(score="max"), cls(score="mean"))


class _InterestAttention(nn.Module):
    def __init__(self, width: int, score: str) -> None:
        super().__init__()
        self.score = score
        self.project = nn.Linear(width, width) if score == "weighted" else None

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, M, D) or (B, C, M, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        interests = user.tensor
        scores = products(interests, candidates)  # (B, C, M)
        if self.project is None:
            return scores.amax(-1) if self.score == "max" else scores.mean(-1)
        weights = torch.softmax(products(functional.gelu(self.project(interests)), candidates), -1)
        return (weights * scores).sum(-1)
