"""Cosine contrastive loss: SimpleX (Mao et al. 2021, https://arxiv.org/abs/2109.12317).

(1 − cos(u, v⁺)) + w/K Σ_k max(0, cos(u, v⁻_k) − m): the clicked item's direction is drawn to the user's, and of the others only
those that come nearer than the margin m are pushed away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs
from torch import Tensor, nn

from lego.contract import Candidates
from lego.nn.loss import mean_where, parted
from lego.spec import Context, Task, ge, gt, operator, within
from lego.task.negatives import NegativeSource, drawn


@operator
class CosineContrastive(Task):
    """`margin` is m, `weight` is w; `negatives` and `source` are those of `Matching`.

    It reads scores as cosines, so it wants `predictor=Cosine(temperature=1)`.
    """

    cosines: ClassVar[bool] = True

    margin: float = attrs.field(default=0.4, kw_only=False, validator=within(-1, 1))
    weight: float = attrs.field(default=1.0, validator=gt(0))
    negatives: int | None = attrs.field(default=None, validator=ge(1))
    source: NegativeSource = "impression"

    @property
    def candidates(self) -> Candidates:
        """One positive and its negatives."""
        return drawn(self.negatives, self.source)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _CosineContrastive(self.margin, self.weight)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """With a margin, without one and against the batch."""
        return (cls(), cls(0.0, weight=2.0, source="batch"))


class _CosineContrastive(nn.Module):
    def __init__(self, margin: float, weight: float) -> None:
        super().__init__()
        self.margin, self.weight = margin, weight

    def forward(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over rows that have a positive."""
        positive, negative = parted(labels, candidate_mask)
        scores = scores.float().masked_fill(~candidate_mask, 0)
        drawn_near = mean_where(1 - scores, positive)
        pushed_away = mean_where((scores - self.margin).clamp(min=0), negative)
        return mean_where(drawn_near + self.weight * pushed_away, positive.any(-1))
