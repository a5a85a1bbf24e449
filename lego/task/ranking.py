"""The probability of a click for each pair of user and candidate, by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Candidates
from lego.spec import Context, Task, ge, operator


@operator
class Ranking(Task):
    """Pointwise: the mean loss over all real pairs.

    `bce` is the binary cross-entropy between the label and the sigmoid of the score, what the field trains with; `mse` is the
    squared difference between the two. `negatives=None` takes every candidate of an impression, a number takes that many that
    were shown beside each click and not clicked.
    """

    logits: ClassVar[bool] = True
    mean_over: ClassVar[Literal["rows", "candidates"]] = "candidates"

    loss: Literal["bce", "mse"] = "bce"
    negatives: int | None = attrs.field(default=None, validator=ge(1))

    @property
    def candidates(self) -> Candidates:
        """All of an impression, or some of its negatives."""
        return Candidates(self.negatives)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Ranking(self.loss)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (cls(), cls(loss="mse"))


class _Ranking(nn.Module):
    def __init__(self, loss: str) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over real pairs."""
        scores = scores.float().masked_fill(~candidate_mask, 0)
        labels = labels.float().masked_fill(~candidate_mask, 0)
        if self.loss == "bce":
            losses = functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")
        else:
            losses = (torch.sigmoid(scores) - labels).square()
        return losses.masked_fill(~candidate_mask, 0).sum() / candidate_mask.sum().clamp(min=1)
