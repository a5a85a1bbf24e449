"""Several vectors of the user meet the item vector, and only their scores are joined: late interaction.

s_m = u_m · v for each interest, or each history item. `sum` and `max` are the two that ColBERT compares and combines (Khattab and
Zaharia 2020, https://arxiv.org/abs/2004.12832, equation 3: the sum over one side's vectors of the maximum over the other's).
With one vector an item the sum over the user's vectors is `sum`, the sum over the item's is `max`, and `log_sum_exp` lies between
them: τ log Σ_m exp(s_m / τ) is nearly the maximum for a small τ. SPAR (Zhang et al. 2024, https://arxiv.org/abs/2402.10555) reads
several vectors a user in the same place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.masked import zero_padding
from lego.nn.score import products
from lego.spec import Context, Predictor, gt, operator


@operator
class LateInteraction(Predictor):
    """Nothing is learned here. `temperature` is τ of `log_sum_exp`; a user without history scores 0 everywhere."""

    takes: ClassVar[frozenset[Form]] = frozenset(
        {Form.INTERESTS, Form.INTERESTS | Form.PER_CANDIDATE, Form.SEQUENCE}
    )

    score: Literal["max", "sum", "log_sum_exp"] = "max"
    temperature: float = attrs.field(default=1.0, validator=gt(0))

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _LateInteraction(self.score, self.temperature)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (cls(), cls(score="sum"), cls(score="log_sum_exp", temperature=0.5))


class _LateInteraction(nn.Module):
    def __init__(self, score: str, temperature: float) -> None:
        super().__init__()
        self.score = score
        self.temperature = temperature

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """user (B, M, D), (B, C, M, D), or (B, S, D) with its mask, candidates (B, C, D) -> scores (B, C)."""
        if user.mask is None:
            return self._join(products(user.tensor, candidates))
        scores = products(zero_padding(user.tensor, user.mask), candidates)  # (B, C, S); 0 at padding
        if self.score == "sum":
            return scores.sum(-1)
        # Finite, so that a row of padding has finite gradients; it is zeroed below.
        lowest = torch.finfo(scores.dtype).min
        joined = self._join(scores.masked_fill(~user.mask.unsqueeze(1), lowest))
        return joined.masked_fill(~user.mask.any(-1, keepdim=True), 0)

    def _join(self, scores: Tensor) -> Tensor:
        """scores (B, C, M) -> (B, C)."""
        if self.score == "sum":
            return scores.sum(-1)
        if self.score == "max":
            return scores.amax(-1)
        return self.temperature * torch.logsumexp(scores / self.temperature, -1)
