"""The probability of a click for each pair of user and candidate, by itself.

With `negatives=K` the negatives of a click are thinned out, so that a click looks likelier than it is. If a share w of them is
kept (of the positives, all), the odds are multiplied by 1/w, and a probability p learned so stands for p / (p + (1 − p) / w)
(He et al. 2014, https://doi.org/10.1145/2648584.2648589, section 6.3). `correction=True` adds −log w to the scores in training
alone: what is learned then are the log-odds before thinning, and evaluation has nothing to correct (Wang et al. 2021,
https://arxiv.org/abs/2110.13048).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Candidates
from lego.errors import SpecError
from lego.nn.loss import mean_where
from lego.spec import Context, Task, ge, operator


@operator
class Ranking(Task):
    """Pointwise: the mean loss over all real pairs.

    `bce` is the binary cross-entropy between the label and the sigmoid of the score, what the field trains with; `mse` is the
    squared difference between the two. `negatives=None` takes every candidate of an impression, a number takes that many that
    were shown beside each click and not clicked; `correction=True` then keeps the probabilities, and `logloss`, honest.
    """

    logits: ClassVar[bool] = True
    mean_over: ClassVar[Literal["rows", "candidates"]] = "candidates"

    loss: Literal["bce", "mse"] = "bce"
    negatives: int | None = attrs.field(default=None, validator=ge(1))
    correction: bool = False

    def __attrs_post_init__(self) -> None:
        """SpecError where no negative is left out, so that there is nothing to correct."""
        if self.correction is True and self.negatives is None:
            wanted = "False where every candidate is taken, or a number of negatives beside it"
            raise SpecError.wrong_value("Ranking", "correction", True, wanted)

    @property
    def candidates(self) -> Candidates:
        """All of an impression, or some of its negatives."""
        return Candidates(self.negatives, correction="rate" if self.correction else None)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Ranking(self.loss)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (cls(), cls(loss="mse"), cls(negatives=2, correction=True))


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
        return mean_where(losses.flatten(), candidate_mask.flatten())
