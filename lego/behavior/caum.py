"""Candidate-aware user modeling, CAUM (Qi et al. 2022, https://arxiv.org/abs/2204.04726, section 3.2).

Of clicks n_i and a candidate v: self-attention with logits (Q n_i + Q_c v) · K n_j, which adds how much click j matters to the
candidate to how much it matters to click i; a convolution s_i = C [n_{i−h}; …; n_{i+h}; v]; both joined, m_i = P [s_i; l_i]; and
a user Σ_i a_i m_i with a = softmax_i(MLP([m_i; v])).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Need, Needs, Out
from lego.errors import Problem
from lego.nn.blocks import in_blocks
from lego.nn.default import LearnedDefault
from lego.nn.heads import undivided
from lego.nn.masked import masked_softmax, zero_padding
from lego.nn.mlp import MLP
from lego.spec import Behavior, Context, between, ge, operator


@operator
class CAUM(Behavior):
    """The user as each candidate sees it; a user without history is a learned vector.

    `kernel` clicks stand in a window of the convolution, `attention` is the hidden width of the perceptron that pools. Logits are
    scaled as usual. `heads` must divide the width. The paper has 20 heads of 20 and windows of 3.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.CANDIDATES})

    heads: int = attrs.field(default=4, validator=ge(1))
    kernel: int = attrs.field(default=3, validator=ge(1))
    attention: int = attrs.field(default=64, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    @property
    def gives(self) -> Form:
        """PER_CANDIDATE."""
        return Form.PER_CANDIDATE

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The heads must share the width evenly."""
        yield from undivided(context_width, self.heads, where)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _CAUM(context.width, self.heads, self.kernel, self.attention, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(heads=2, attention=5), cls(heads=1, kernel=2, attention=4, dropout=0))


class _CAUM(nn.Module):
    def __init__(self, width: int, heads: int, kernel: int, attention: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.candidate_query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        for layer in (self.query, self.candidate_query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
        self.reach = ((kernel - 1) // 2, kernel // 2)
        self.window = nn.Conv1d(width, width, kernel)
        self.candidate_window = nn.Linear(width, width, bias=False)
        self.join = nn.Linear(2 * width, width)
        self.relevance = MLP(2 * width, (attention,), activation=nn.Tanh)
        # No bias: a softmax does not see a constant.
        self.weight = nn.Linear(attention, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.default = LearnedDefault(width)

    def forward(
        self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> Out:
        """history (B, S, D), mask (B, S), candidates (B, C, D), candidate_mask (B, C) -> (B, C, D)."""
        history = self.dropout(zero_padding(history, mask))
        candidates = self.dropout(zero_padding(candidates, candidate_mask))
        slots = mask.size(1)
        return Out(
            in_blocks(
                lambda block: self._users(history, mask, candidates[:, block]),
                candidates.size(1),
                mask.numel() * max(self.heads * slots, 2 * history.size(-1)),
                whole=self.training,
            )
        )

    def _users(self, history: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
        """history (B, S, D), mask (B, S), candidates (B, C, D) -> (B, C, D)."""
        joined = self.join(
            self.dropout(
                torch.cat([self._near(history, candidates), self._far(history, mask, candidates)], -1)
            )
        )  # (B, C, S, D)
        beside = candidates.unsqueeze(2).expand_as(joined)
        logits = self.weight(self.relevance(torch.cat([joined, beside.to(joined.dtype)], -1))).squeeze(-1)
        weights = masked_softmax(logits, mask.unsqueeze(1))
        users = torch.einsum("bcs,bcsd->bcd", weights, zero_padding(joined, mask.unsqueeze(1)))
        known = mask.any(-1, keepdim=True).expand(users.shape[:-1])
        made: Tensor = self.default(users, known)
        return made

    def _near(self, history: Tensor, candidates: Tensor) -> Tensor:
        """history (B, S, D), candidates (B, C, D) -> the convolution (B, C, S, D)."""
        windows = self.window(functional.pad(history.transpose(1, 2), self.reach)).transpose(1, 2)
        near: Tensor = windows.unsqueeze(1) + self.candidate_window(candidates).unsqueeze(2)
        return near

    def _far(self, history: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
        """history (B, S, D), mask (B, S), candidates (B, C, D) -> the self-attention (B, C, S, D)."""
        query, key, value = (
            layer(history).unflatten(-1, (self.heads, -1)) for layer in (self.query, self.key, self.value)
        )
        asked = self.candidate_query(candidates).unflatten(-1, (self.heads, -1))
        scale = query.size(-1) ** -0.5
        between_clicks = torch.einsum("bihd,bjhd->bhij", query * scale, key).unsqueeze(1)
        of_candidate = torch.einsum("bchd,bjhd->bchj", asked * scale, key).unsqueeze(3)
        weights = masked_softmax(between_clicks + of_candidate, mask[:, None, None, None])
        return torch.einsum("bchij,bjhd->bcihd", weights, value).flatten(-2)
