"""The clicked item above each other one: Bayesian personalized ranking (Rendle et al. 2009, https://arxiv.org/abs/1205.2618).

−log σ(s⁺ − s⁻), the mean over the pairs of a row. The paper draws one negative of each click, evenly from the catalogue:
`Pairwise(negatives=1, source="uniform")`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import attrs
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Candidates
from lego.nn.loss import mean_where, parted
from lego.spec import Context, Task, ge, operator
from lego.task.negatives import USUAL, drawn


@operator
class Pairwise(Task):
    """A row for each click, with `negatives` items from `source`, as in `Matching`."""

    negatives: int = attrs.field(default=USUAL, validator=ge(1))
    source: Literal["impression", "user", "uniform", "popularity"] = "impression"

    @property
    def candidates(self) -> Candidates:
        """One positive and K negatives."""
        return drawn(self.negatives, self.source)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Pairwise()

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """As usual, and as published."""
        return (cls(), cls(negatives=1, source="uniform"))


class _Pairwise(nn.Module):
    def forward(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over rows that have a pair."""
        positive, negative = parted(labels, candidate_mask)
        scores = scores.float().masked_fill(~candidate_mask, 0)
        pairs = (positive.unsqueeze(2) & negative.unsqueeze(1)).flatten(1)  # (B, C · C)
        differences = (scores.unsqueeze(2) - scores.unsqueeze(1)).flatten(1)
        losses = mean_where(functional.softplus(-differences), pairs)
        return mean_where(losses, pairs.any(-1))
