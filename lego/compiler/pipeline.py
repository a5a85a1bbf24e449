"""The three operators as one module, whose stages can be run apart. Caching is running them apart; there are no modes in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import nn
from torch.nn import functional

from lego.compiler.feed import Feed, Feeds, sent
from lego.compiler.gather import Gather, Seen
from lego.contract import Need, Needs, Out, summed

if TYPE_CHECKING:
    from torch import Tensor

    from lego.data.batch import Batch


class Pipeline(nn.Module):
    """content, behavior, predictor.

    `gather` finds what behavior and predictor ask for beyond their tensors; `encoding` is what `encode_users` asks for of it,
    `scoring` what `score` asks for, all of it unless said otherwise. A behavior operator that is `candidate_aware` runs inside
    `score`, because it needs the candidates. `nobody` (D) is added to every user without history: the default that training
    makes of such users, zeros at first.
    """

    def __init__(
        self,
        content: nn.Module,
        behavior: nn.Module,
        predictor: nn.Module,
        *,
        feed: Feed,
        gather: Gather | None = None,
        scoring: frozenset[Need] | None = None,
        encoding: frozenset[Need] | None = None,
        candidate_aware: bool = False,
        nobody: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self.content = content
        self.behavior = behavior
        self.predictor = predictor
        self.feed = feed
        self.gather = gather or Gather()
        self.scoring = self.gather.needs if scoring is None or candidate_aware else scoring
        self.encoding = self.gather.needs if encoding is None else encoding
        self.candidate_aware = candidate_aware
        self.nobody = nobody

    def encode_items(self, rows: Tensor) -> Out:
        """rows (N,) of distinct items, on the host -> their vectors (N, D), in the order of `rows`."""
        return _encode(self.content, self.feed, rows, self.device)

    def encode_users(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> the user, in the form the behavior operator gives."""
        if self.candidate_aware:
            return Out(history, mask)
        return self._or_nobody(self.behavior(history, mask, needs), mask)

    def score(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Out:
        """user in its form, candidates (B, C, D), candidate_mask (B, C) -> scores (B, C), float32."""
        losses: dict[str, Tensor] = {}
        if self.candidate_aware:
            given = user.mask
            user = self.behavior(user.tensor, given, candidates, candidate_mask, needs)
            if given is not None:
                user = self._or_nobody(user, given)
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
        needs = self.with_vectors(batch.needs)
        user = self.encode_users(history, batch.history_mask, needs)
        scores = self.score(user, candidates, batch.candidate_mask, needs)
        return Out(scores.tensor, losses=summed(items.losses, user.losses, scores.losses))

    def _or_nobody(self, user: Out, mask: Tensor) -> Out:
        """The users (B, …, D), those without any history in mask (B, S) with the default added."""
        if self.nobody is None:
            return user
        empty = ~mask.any(1).view(-1, *[1] * (user.tensor.dim() - 1))
        return attrs.evolve(user, tensor=user.tensor + empty * self.nobody.to(user.tensor.dtype))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((each.device for each in self.parameters()), torch.device("cpu"))

    def operators(self) -> Iterator[tuple[str, nn.Module]]:
        """The modules that are called, by slot: of a combination in the content slot its parts and what combines them."""
        yield from (("content", each) for each in _leaves(self.content, self.feed))
        yield "behavior", self.behavior
        yield "predictor", self.predictor

    @property
    def needs(self) -> frozenset[Need]:
        """What is asked for beyond the tensors."""
        return self.gather.needs

    def needs_of(self, seen: Seen) -> Needs:
        """What was asked for of these users, on the device of the weights."""
        return self.with_vectors(self.gather(seen).to(self.device))

    def with_vectors(self, needs: Needs) -> Needs:
        """The same with the vectors of the tokens in place of their ids."""
        if needs.tokens is None or needs.tokens.is_floating_point():
            return needs
        return attrs.evolve(needs, tokens=self.content.table(needs.tokens))  # type: ignore[operator]


def _leaves(content: nn.Module, feed: Feed) -> Iterator[nn.Module]:
    if not isinstance(feed, Feeds):
        yield content
        return
    parts: Any = content.parts
    for part, each in zip(parts, feed.parts, strict=True):
        yield from _leaves(part, each)
    combiner: Any = content.combiner
    yield combiner


def with_padding(items: Tensor) -> Tensor:
    """items (N, D) -> (N + 1, D): row 0 is what padding gathers, zeros that no gradient reaches."""
    return torch.cat([items.new_zeros(1, items.shape[1]), items])


def _encode(content: nn.Module, feed: Feed, rows: Tensor, device: torch.device) -> Out:
    """rows (N,) -> (N, D): a combination encodes its parts, each fed in its own way, and makes one of what they give."""
    if isinstance(feed, Feeds):
        parts: Any = content.parts
        outs = [_encode(part, each, rows, device) for part, each in zip(parts, feed.parts, strict=True)]
        views = torch.stack([out.tensor for out in outs], 1)
        needs = feed.needs(rows).to(device, non_blocking=True)
        combined: Out = content.combiner(views, sent(feed.present(rows), device), needs)  # type: ignore[operator]
        return Out(combined.tensor, losses=summed(*(out.losses for out in outs), combined.losses))
    vectors, places = [], []
    losses: dict[str, Tensor] = {}
    for page in (each.sent(device) for each in feed.pages(rows)):
        out: Out = content(page.tokens, page.mask, page.needs)
        vectors.append(out.tensor)
        places.append(page.places)
        share = len(page.places) / len(rows)
        for name, loss in out.losses.items():
            losses[name] = losses.get(name, 0.0) + share * loss
    # A page alone is sorted by length too, so it is put back as several are.
    inverse = torch.argsort(torch.cat(places))
    return Out(torch.cat(vectors)[inverse], losses=losses)
