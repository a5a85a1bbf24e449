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
from lego.spec import Context, Predictor, operator


@operator
class InterestAttention(Predictor):
    """One score out of the scores that a candidate has with each interest."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.INTERESTS})

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
        """user (B, M, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        interests = user.tensor
        scores = _products(candidates, interests)  # (B, C, M)
        if self.project is None:
            return scores.amax(-1) if self.score == "max" else scores.mean(-1)
        weights = torch.softmax(_products(candidates, functional.gelu(self.project(interests))), -1)
        return (weights * scores).sum(-1)


def _products(candidates: Tensor, interests: Tensor) -> Tensor:
    """candidates (B, C, D), interests (B, M, D) -> every inner product (B, C, M), in float32 even under autocast."""
    first, second = candidates.float(), interests.float()
    if first.device.type == "meta":
        return first @ second.transpose(1, 2)
    with torch.autocast(first.device.type, enabled=False):
        return first @ second.transpose(1, 2)
