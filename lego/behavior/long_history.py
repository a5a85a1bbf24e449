"""Attention over the few clicks that matter to a candidate: what makes histories of thousands affordable.

For each candidate the k fittest clicks are chosen first, and the candidate attends over those alone. `similarity` chooses by the
inner product of the vectors, the soft search of SIM (Pi et al. 2020, https://arxiv.org/abs/2006.05639, section 3.1) without maps
of its own; `category` takes the most recent clicks that share a category with the candidate, SIM's hard search; `hash` counts
the agreeing signs of random projections (ETA, Chen et al. 2021, https://arxiv.org/abs/2108.04468, section 3.2), an estimate of
the angle that needs one bit a projection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Form, Need, Needs, Out
from lego.errors import Problem
from lego.nn.blocks import in_blocks
from lego.nn.heads import undivided
from lego.nn.masked import zero_padding
from lego.nn.target import TargetAttentionLayer
from lego.spec import Behavior, Context, between, ge, operator


@operator
class LongHistory(Behavior):
    """`k` clicks chosen by `select`, then `TargetAttention` over them; where no click fits, the user is a learned vector.

    Of clicks that fit alike by hash or category the most recent are taken. `bits` is the number of projections of `hash`,
    `category` the attribute that `select="category"` compares.
    """

    select: Literal["similarity", "hash", "category"] = "similarity"
    k: int = attrs.field(default=16, validator=ge(1))
    heads: int = attrs.field(default=4, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    bits: int = attrs.field(default=32, validator=ge(1))
    category: str = "category"

    @property
    def needs(self) -> frozenset[Need]:
        """CANDIDATES, and ATTRIBUTES where categories choose."""
        by_category = self.select == "category"
        return frozenset({Need.CANDIDATES, Need.ATTRIBUTES} if by_category else {Need.CANDIDATES})

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """The category, where it chooses."""
        return (self.category,) if self.select == "category" else ()

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
        return _LongHistory(
            TargetAttentionLayer(context.width, self.heads, self.dropout),
            self.k,
            category=self.category if self.select == "category" else None,
            projection=torch.randn(context.width, self.bits) if self.select == "hash" else None,
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (
            cls(k=3, heads=2),
            cls(select="hash", k=3, heads=2, bits=16),
            cls(select="category", k=3, heads=2),
        )


class _LongHistory(nn.Module):
    projection: Tensor | None

    def __init__(
        self, layer: TargetAttentionLayer, k: int, *, category: str | None, projection: Tensor | None
    ) -> None:
        super().__init__()
        self.layer = layer
        self.k = k
        self.category = category
        self.register_buffer("projection", projection)

    def forward(
        self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> Out:
        """history (B, S, D), mask (B, S), candidates (B, C, D), candidate_mask (B, C) -> (B, C, D)."""
        history = zero_padding(history, mask)
        candidates = zero_padding(candidates, candidate_mask)

        def users(block: slice) -> Tensor:
            part = candidates[:, block]
            with torch.no_grad():
                fit, real = self._fit(history, mask, part, needs, block)
                chosen = most(fit, real, self.k)
            found: Tensor = self.layer(history, part, chosen)
            return found

        floats = mask.numel() * self.layer.heads
        return Out(in_blocks(users, candidates.size(1), floats, whole=self.training))

    def _fit(
        self, history: Tensor, mask: Tensor, candidates: Tensor, needs: Needs, block: slice
    ) -> tuple[Tensor, Tensor]:
        """How well each click fits each candidate (B, C, S), and which clicks may be chosen."""
        real = mask.unsqueeze(1).expand(-1, candidates.size(1), -1)
        later = torch.arange(mask.size(1), device=mask.device)
        if self.category is not None:
            clicked, shown = needs.history[self.category], needs.candidates[self.category][:, block]
            pairs = shown[:, :, None, :, None] == clicked[:, None, :, None, :]  # (B, C, S, V, V)
            same = (pairs & (clicked > 0)[:, None, :, None, :]).any(-1).any(-1)
            return later.expand(same.shape), real & same
        if self.projection is None:
            return _products(candidates, history), real
        bits = [torch.sign(_products(each, self.projection.T.unsqueeze(0))) for each in (candidates, history)]
        # Counts of agreeing signs are whole numbers; the more recent of two that are alike comes first.
        return _products(bits[0], bits[1]) * (len(later) + 1) + later, real


def most(fit: Tensor, real: Tensor, k: int) -> Tensor:
    """fit (..., S), real (..., S) -> True at the k real places that fit best, or at all of them where they are fewer."""
    lowest = torch.finfo(torch.float32).min
    places = fit.float().masked_fill(~real, lowest).topk(min(k, fit.size(-1)), -1).indices
    return torch.zeros_like(real).scatter(-1, places, value=True) & real


def _products(first: Tensor, second: Tensor) -> Tensor:
    """first (B, C, D), second (B or 1, S, D) -> (B, C, S) in float32: half precision would choose other clicks."""
    first, second = first.float(), second.float().transpose(1, 2)
    if first.device.type == "meta":
        return first @ second
    with torch.autocast(first.device.type, enabled=False):
        return first @ second
