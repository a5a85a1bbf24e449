"""Behavior Sequence Transformer (Chen et al. 2019, https://arxiv.org/abs/1905.06874): self-attention over history and candidate.

A layer is S' = LN(E + drop(MH(E))) and F = LN(S' + drop(W₂ leaky(W₁ S' + b₁) + b₂)) (equations 2 to 5, normalized behind each
half), where E holds the candidate and the history. The candidate's place is 0 and the most recent click's 1; with `times` the
feature of a place is t(candidate) − t(click) instead (section 2.1), here in buckets that double. Features of places are added to
the items, where the paper puts them beside.

What candidates share is made once: in the first layer, all that clicks are to each other. Where o is the mix of clicks that a
click finds and l the logarithm of their summed exponentials, one more place v with logit x makes it o + σ(x − l) (v − o).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Need, Needs, Out
from lego.errors import Problem
from lego.nn.blocks import in_blocks
from lego.nn.gaps import BUCKETS, buckets
from lego.nn.heads import undivided
from lego.nn.masked import masked_softmax, zero_padding
from lego.spec import Behavior, Context, between, ge, operator


@operator
class BST(Behavior):
    """The user as each candidate sees it: `output` is the candidate's place, or all places joined by a linear layer (the paper).

    `heads` must divide the width; the feed-forward part is `feed_forward` times as wide as the model. A score depends on no other
    candidate.
    """

    layers: int = attrs.field(default=1, validator=ge(1))
    heads: int = attrs.field(default=8, validator=ge(1))
    feed_forward: int = attrs.field(default=4, validator=ge(1))
    times: bool = False
    output: Literal["candidate", "all"] = "candidate"
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    @property
    def needs(self) -> frozenset[Need]:
        """CANDIDATES, and TIMES where it reads them."""
        return frozenset({Need.CANDIDATES, Need.TIMES} if self.times else {Need.CANDIDATES})

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
        width = context.width
        layers = [
            _Layer(width, self.heads, self.feed_forward * width, self.dropout) for _ in range(self.layers)
        ]
        return _BST(layers, width, context.length, times=self.times, joined=self.output == "all")

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(heads=2, feed_forward=1),
            cls(layers=2, heads=4, feed_forward=1, times=True),
            cls(heads=2, feed_forward=1, output="all"),
        )


class _BST(nn.Module):
    def __init__(self, layers: list[_Layer], width: int, length: int, *, times: bool, joined: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.times = times
        self.places = nn.Embedding(BUCKETS if times else length + 1, width)
        nn.init.normal_(self.places.weight, std=0.02)
        self.join = nn.Linear((length + 1) * width, width) if joined else None
        self.length = length

    def forward(
        self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> Out:
        """history (B, S, D), mask (B, S), candidates (B, C, D), candidate_mask (B, C) -> (B, C, D)."""
        slots = torch.arange(mask.size(1), device=mask.device)
        # Most recent first, so that a place means the same in a short history as in a long one.
        order = (mask.sum(-1, keepdim=True) - 1 - slots).clamp(min=0)  # (B, S)
        history = history.gather(1, order.unsqueeze(-1).expand_as(history))
        if self.times:
            assert needs.times is not None
            places = buckets(needs.times.gather(1, order))
        else:
            places = (slots + 1).expand_as(order)
        history = zero_padding(history + self.places(places).to(history.dtype), mask)
        candidates = zero_padding(candidates + self.places.weight[0].to(candidates.dtype), candidate_mask)
        return Out(
            in_blocks(
                lambda block: self._users(history, mask, candidates[:, block]),
                candidates.size(1),
                # The feed-forward part over all places is the widest table.
                history.numel() * max(layer.inner.out_features for layer in self._typed) // history.size(-1),
                whole=self.training,
            )
        )

    @property
    def _typed(self) -> list[_Layer]:
        return [layer for layer in self.layers if isinstance(layer, _Layer)]

    def _users(self, history: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
        """history (B, S, D), mask (B, S), candidates (B, C, D) -> (B, C, D)."""
        *early, last = self._typed
        for layer in early:
            history, candidates = layer(history, mask, candidates)
        if self.join is None:
            return last.candidates(history, mask, candidates)
        history, candidates = last(history, mask, candidates)
        beyond = self.length - history.size(2)
        places = torch.cat([candidates.unsqueeze(2), functional.pad(history, (0, 0, 0, beyond))], 2)
        joined: Tensor = self.join(places.flatten(2))
        return joined


class _Layer(nn.Module):
    """One layer. The history is shared by the candidates, (B, S, D), or as each sees it, (B, C, S, D)."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
        self.dropout = nn.Dropout(dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)

    def forward(self, history: Tensor, mask: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """history (B[, C], S, D), mask (B, S), candidates (B, C, D) -> history (B, C, S, D), candidates (B, C, D)."""
        c = "c" if history.ndim == 4 else ""
        query, key, value = (self._split(layer, history) for layer in (self.query, self.key, self.value))
        others = torch.einsum(f"b{c}shd,b{c}thd->b{c}hst", query, key)  # shared as long as the history is
        real = mask[:, None, None, None] if c else mask[:, None, None]
        mixed = torch.einsum(f"b{c}hst,b{c}thd->b{c}shd", masked_softmax(others, real), value)
        total = others.float().masked_fill(~real, torch.finfo(torch.float32).min).logsumexp(-1)
        if not c:
            mixed, total = mixed.unsqueeze(1), total.unsqueeze(1)
        logits = torch.einsum(f"b{c}shd,bchd->bchs", query, self._split(self.key, candidates))
        share = torch.sigmoid(logits.float() - total).transpose(2, 3).unsqueeze(-1)  # (B, C, S, heads, 1)
        found = mixed + share.to(mixed.dtype) * (self._split(self.value, candidates).unsqueeze(2) - mixed)
        before = history if c else history.unsqueeze(1)
        after = zero_padding(self._behind(before, found.flatten(-2)), mask.unsqueeze(1))
        return after, self.candidates(history, mask, candidates)

    def candidates(self, history: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
        """history (B[, C], S, D), mask (B, S), candidates (B, C, D) -> the candidates' places (B, C, D)."""
        c = "c" if history.ndim == 4 else ""
        query, key, value = (self._split(layer, candidates) for layer in (self.query, self.key, self.value))
        clicks = torch.einsum(f"bchd,b{c}shd->bchs", query, self._split(self.key, history))
        logits = torch.cat([clicks, (query * key).sum(-1, keepdim=True)], -1)
        weights = masked_softmax(logits, functional.pad(mask, (0, 1), value=True)[:, None, None])
        found = torch.einsum(f"bchs,b{c}shd->bchd", weights[..., :-1], self._split(self.value, history))
        return self._behind(candidates, (found + weights[..., -1:] * value).flatten(-2))

    def _split(self, layer: nn.Module, places: Tensor) -> Tensor:
        """places (..., D) -> (..., heads, D / heads); queries are scaled."""
        made: Tensor = layer(places).unflatten(-1, (self.heads, -1))
        return made * made.size(-1) ** -0.5 if layer is self.query else made

    def _behind(self, places: Tensor, found: Tensor) -> Tensor:
        """What the layer makes of places (..., D) that found (..., D)."""
        first, second = self.norms
        places = first(places + self.dropout(self.output(found)))
        made: Tensor = second(places + self.dropout(self.outer(functional.leaky_relu(self.inner(places)))))
        return made
