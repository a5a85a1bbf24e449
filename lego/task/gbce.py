"""Binary cross-entropy that few negatives of many do not make overconfident: gBCE of gSASRec (Petrov and Macdonald 2023,
https://arxiv.org/abs/2308.07192).

A row loses −(β log σ(s⁺) + Σ_k log(1 − σ(s⁻_k))) / (K + 1), with K of the catalogue's other items drawn evenly, a
share α = K / (items − 1), and β = α (t (1 − 1/α) + 1/α): t = 0 is plain cross-entropy, with t = 1 the sigmoid of a
score is the probability that the item is the clicked one of the whole catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Candidates
from lego.nn.loss import mean_where, parted
from lego.spec import Context, Task, ge, operator, within
from lego.task.negatives import drawn


@operator
class GBCE(Task):
    """`negatives` items for each click, drawn evenly from the catalogue; `calibration` is t. Both as published.

    Its probabilities, if any, are about the whole catalogue and not about what was shown, so `logloss` does not apply.
    """

    calibration: float = attrs.field(default=0.75, kw_only=False, validator=within(0, 1))
    negatives: int = attrs.field(default=256, validator=ge(1))

    @property
    def candidates(self) -> Candidates:
        """One positive and K negatives of the whole catalogue."""
        return drawn(self.negatives, "uniform")

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        others = max(1, context.items - 2)  # neither row 0 nor the positive
        rate = min(1.0, self.negatives / others)
        return _GBCE(rate * (self.calibration * (1 - 1 / rate) + 1 / rate))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances: between the two, plain, and calibrated."""
        return (cls(negatives=3), cls(0.0, negatives=2), cls(1.0, negatives=3))


class _GBCE(nn.Module):
    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over rows that have a candidate."""
        positive, _ = parted(labels, candidate_mask)
        scores = scores.float().masked_fill(~candidate_mask, 0)
        of_positive = self.power * functional.softplus(-scores)
        losses = mean_where(of_positive.where(positive, functional.softplus(scores)), candidate_mask)
        return mean_where(losses, candidate_mask.any(-1))
