"""Several interests per user, each from its own learned code: MINER (Li et al. 2022, https://aclanthology.org/2022.findings-acl.29).

Interest m is p_m = Σ_s a_ms h_s with a_m = softmax_s(c_m · tanh(W h_s)). The disagreement loss is the mean cosine between two
different interests. A mean over all M² pairs, an interest with itself included, differs by a constant and a factor (M − 1) / M,
so it has the same minimum.

With a category bias λ cos(e(click), e(candidate)) is added to the logits of a click, e being an embedding of the category
(section 3.3). The paper's code averages that bias over the candidates shown together; here each candidate has the interests
that its own category makes, so that a score never depends on the other candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Need, Needs, Out
from lego.errors import CompositionError, Problem, did_you_mean
from lego.nn.masked import masked_mean, masked_softmax, zero_padding
from lego.spec import Behavior, Context, ge, operator


@operator
class PolyAttention(Behavior):
    """`interests` codes of width `hidden`; `disagreement` weighs the loss that keeps interests apart. All three as published.

    `category_bias` is λ; beyond 0 the interests are per candidate, and `category` names the attribute of items that is compared.
    """

    interests: int = attrs.field(default=32, validator=ge(1))
    hidden: int = attrs.field(default=200, validator=ge(1))
    disagreement: float = attrs.field(default=0.8, validator=ge(0))
    category_bias: float = attrs.field(default=0.0, validator=ge(0))
    category: str = "category"

    @property
    def needs(self) -> frozenset[Need]:
        """CANDIDATES and ATTRIBUTES with a category bias."""
        return frozenset({Need.CANDIDATES, Need.ATTRIBUTES} if self.category_bias else ())

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """The category, with a category bias."""
        return (self.category,) if self.category_bias else ()

    @property
    def gives(self) -> Form:
        """INTERESTS, per candidate with a category bias."""
        return Form.INTERESTS | Form.PER_CANDIDATE if self.category_bias else Form.INTERESTS

    @property
    def losses(self) -> tuple[str, ...]:
        """The disagreement, where it weighs anything."""
        return ("disagreement",) if self.disagreement else ()

    def build(self, context: Context) -> nn.Module:
        """The torch of it; CompositionError where the items have no such category."""
        plain = _PolyAttention(context.width, self.interests, self.hidden, self.disagreement)
        if not self.category_bias:
            return plain
        there = context.item_vocabularies
        if self.category not in there:
            what = "the items have no such categorical attribute"
            fix = f"{did_you_mean(self.category, there)}They have: {', '.join(there) or 'none'}"
            raise CompositionError([Problem(f"category={self.category!r}", what, fix)])
        return _PerCategory(plain, there[self.category], context.width, self.category_bias, self.category)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(interests=3, hidden=5),
            cls(interests=1, hidden=5, disagreement=0),
            cls(interests=3, hidden=5, category_bias=0.5),
        )


class _PolyAttention(nn.Module):
    def __init__(self, width: int, interests: int, hidden: int, disagreement: float) -> None:
        super().__init__()
        self.weight = disagreement
        self.project = nn.Linear(width, hidden, bias=False)
        self.codes = nn.Linear(hidden, interests, bias=False)
        gain = nn.init.calculate_gain("tanh")
        nn.init.xavier_uniform_(self.project.weight, gain)
        nn.init.xavier_uniform_(self.codes.weight, gain)

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> (B, M, D); a user without history has zeros for interests."""
        history = zero_padding(history, mask)
        interests = masked_softmax(self.logits(history), mask.unsqueeze(1)) @ history
        return self.out(interests, mask.any(-1))

    def logits(self, history: Tensor) -> Tensor:
        """history (B, S, D) -> (B, M, S)."""
        logits: Tensor = self.codes(torch.tanh(self.project(history)))
        return logits.transpose(1, 2)

    def out(self, interests: Tensor, real: Tensor) -> Out:
        """interests (..., M, D), real (...) -> the same, in training with the loss that keeps them apart."""
        if not self.training or not self.weight:
            return Out(interests)
        return Out(interests, losses={"disagreement": self.weight * _likeness(interests, real)})


class _PerCategory(nn.Module):
    def __init__(self, plain: _PolyAttention, categories: int, width: int, bias: float, name: str) -> None:
        super().__init__()
        self.plain = plain
        self.table = nn.Embedding(categories, width, padding_idx=0)
        self.bias = bias
        self.name = name

    def forward(
        self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> Out:
        """history (B, S, D), mask (B, S), candidates (B, C, D), candidate_mask (B, C) -> (B, C, M, D)."""
        history = zero_padding(history, mask)
        shown, clicked = (
            self._directions(needs.candidates[self.name]),
            self._directions(needs.history[self.name]),
        )
        cosine = shown @ clicked.transpose(1, 2)  # (B, C, S)
        logits = self.plain.logits(history).unsqueeze(1) + self.bias * cosine.unsqueeze(2)
        weights = masked_softmax(logits, mask[:, None, None])
        interests = torch.einsum("bcms,bsd->bcmd", weights, history)
        return self.plain.out(interests, mask.any(-1, keepdim=True) & candidate_mask)

    def _directions(self, categories: Tensor) -> Tensor:
        """categories (B, S, V) -> the direction of their mean embedding (B, S, D); zeros where there is none."""
        return functional.normalize(masked_mean(self.table(categories), categories > 0), dim=-1)


def _likeness(interests: Tensor, real: Tensor) -> Tensor:
    """interests (..., M, D), real (...) -> the mean cosine of two different interests, over what is real."""
    count = interests.size(-2)
    directions = functional.normalize(interests.float(), dim=-1)
    # Σ_{m ≠ n} d_m · d_n = |Σ_m d_m|² − Σ_m |d_m|², without the (B, M, M) table.
    pairs = directions.sum(-2).square().sum(-1) - directions.square().sum((-2, -1))
    mean = pairs / max(count * (count - 1), 1)
    return mean.masked_fill(~real, 0).sum() / real.sum().clamp(min=1)
