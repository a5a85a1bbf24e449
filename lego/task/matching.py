"""Pick the clicked item among those shown: softmax cross-entropy over one positive and K negatives.

−log(exp(s⁺) / (exp(s⁺) + Σ_k exp(s⁻_k))), the training of NRMS and most neural news recommenders (Wu et al. 2019,
https://aclanthology.org/D19-1671, equation 12).
"""

from __future__ import annotations

from typing import Literal

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Candidates
from lego.spec import Context, Task, ge, operator


@operator
class Matching(Task):
    """A row for each click, with `negatives` items from `source`.

    `impression`: shown beside the click and not clicked; `user`: shown to the same user at any time and not clicked;
    `uniform` and `popularity`: from the whole catalogue, evenly or as often as items are clicked.
    """

    negatives: int = attrs.field(default=4, validator=ge(1))
    source: Literal["impression", "user", "uniform", "popularity"] = "impression"

    @property
    def candidates(self) -> Candidates:
        """One positive and K negatives."""
        return Candidates(self.negatives, self.source)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Matching()


class _Matching(nn.Module):
    def forward(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over rows that have a positive.

        The positive is where the label says. A row with several shares its target evenly among them.
        """
        positive = labels.masked_fill(~candidate_mask, 0).float()
        filled = scores.float().masked_fill(~candidate_mask, torch.finfo(torch.float32).min)
        count = positive.sum(-1)
        # At padding the log-probability is huge but finite and its label is zero.
        losses = -(torch.log_softmax(filled, -1) * positive).sum(-1) / count.clamp(min=1)
        return losses.sum() / (count > 0).sum().clamp(min=1)
