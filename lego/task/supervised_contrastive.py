"""Supervised contrastive loss (Khosla et al. 2020, https://arxiv.org/abs/2004.11362, equation 2), which trains news recommenders
too (Iana et al. 2023, https://arxiv.org/abs/2304.03112): the user is the anchor, clicked items are its positives.

A row loses −1/|P| Σ_{p ∈ P} log(exp(s_p / τ) / Σ_a exp(s_a / τ)), a over all its candidates. With one click in a row, as training
batches bring them, this is softmax cross-entropy at the temperature τ.

The late fusion of the second paper, the mean of the products of a candidate with every clicked item, is the product with their
mean: `behavior=Mean(), predictor=Dot()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn

from lego.contract import Candidates
from lego.nn.loss import cross_entropy
from lego.spec import Context, Task, ge, gt, operator
from lego.task.negatives import NegativeSource, check_correction, drawn


@operator
class SupervisedContrastive(Task):
    """`temperature` is τ; `negatives`, `source` and `correction` are those of `Matching`."""

    temperature: float = attrs.field(default=0.1, kw_only=False, validator=gt(0))
    negatives: int | None = attrs.field(default=None, validator=ge(1))
    source: NegativeSource = "impression"
    correction: bool = False

    def __attrs_post_init__(self) -> None:
        """SpecError where `source` leaves nothing to correct."""
        check_correction(self, self.source, self.correction)

    @property
    def candidates(self) -> Candidates:
        """One positive and its negatives."""
        return drawn(self.negatives, self.source, correction=self.correction)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _SupervisedContrastive(self.temperature)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Sharp, and against the batch."""
        return (cls(), cls(0.5, source="batch"))


class _SupervisedContrastive(nn.Module):
    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over rows that have a positive."""
        return cross_entropy(scores.float() / self.temperature, labels, candidate_mask)
