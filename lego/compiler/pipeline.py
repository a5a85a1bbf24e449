"""The three operators as one module, whose stages can be run apart. Caching is running them apart; there are no modes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from lego.compiler.feed import ItemFeed
from lego.contract import Need, Needs, Out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lego.data.batch import Batch


class Pipeline(nn.Module):
    """content, behavior, predictor.

    `needs` is what behavior and predictor ask for beyond their tensors. A behavior operator that is `candidate_aware` runs inside
    `score`, because it needs the candidates.
    """

    def __init__(
        self,
        content: nn.Module,
        behavior: nn.Module,
        predictor: nn.Module,
        *,
        feed: ItemFeed,
        needs: frozenset[Need] = frozenset(),
        candidate_aware: bool = False,
    ) -> None:
        super().__init__()
        self.content = content
        self.behavior = behavior
        self.predictor = predictor
        self.feed = feed
        self.needs = needs
        self.candidate_aware = candidate_aware

    def encode_items(self, rows: Tensor) -> Out:
        """rows (N,) of distinct items -> their vectors (N, D), in the order of `rows`."""
        vectors, places = [], []
        losses: dict[str, Tensor] = {}
        for page in self.feed.pages(rows):
            out = self.content(page.tokens, page.mask, page.needs)
            vectors.append(out.tensor)
            places.append(page.places)
            share = len(page.places) / len(rows)
            for name, loss in out.losses.items():
                losses[name] = losses.get(name, 0.0) + share * loss
        if len(vectors) == 1:
            return Out(vectors[0], losses=losses)
        inverse = torch.argsort(torch.cat(places))
        return Out(torch.cat(vectors)[inverse], losses=losses)

    def encode_users(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> the user, in the form the behavior operator gives."""
        if self.candidate_aware:
            return Out(history, mask)
        return self.behavior(history, mask, needs)

    def score(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Out:
        """user in its form, candidates (B, C, D), candidate_mask (B, C) -> scores (B, C), float32."""
        losses: dict[str, Tensor] = {}
        if self.candidate_aware:
            user = self.behavior(user.tensor, user.mask, candidates, candidate_mask, needs)
            losses = summed(losses, user.losses)
        scores = self.predictor(user, candidates, candidate_mask, needs)
        if isinstance(scores, Out):
            losses = summed(losses, scores.losses)
            scores = scores.tensor
        return Out(scores.float(), losses=losses)

    def forward(self, batch: Batch) -> Out:
        """The three in a row: a batch -> scores (B, C) and the auxiliary losses of all three."""
        items = self.encode_items(batch.items)
        table = with_padding(items.tensor)
        history = functional.embedding(batch.history, table)
        candidates = functional.embedding(batch.candidates, table)
        needs = self.needs_of(batch.users)
        user = self.encode_users(history, batch.history_mask, needs)
        scores = self.score(user, candidates, batch.candidate_mask, needs)
        return Out(scores.tensor, losses=summed(items.losses, user.losses, scores.losses))

    def needs_of(self, users: Tensor) -> Needs:
        """users (B,) -> just what was declared."""
        return Needs(user=users if Need.USER in self.needs else None)


def summed(*several: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Losses of all stages; those of one name are one loss, their sum, so that none is lost."""
    together: dict[str, Tensor] = {}
    for losses in several:
        for name, loss in losses.items():
            together[name] = together[name] + loss if name in together else loss
    return together


def with_padding(items: Tensor) -> Tensor:
    """items (N, D) -> (N + 1, D): row 0 is what padding gathers, zeros that no gradient reaches."""
    return torch.cat([items.new_zeros(1, items.shape[1]), items])
