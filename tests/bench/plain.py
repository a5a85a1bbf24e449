"""The plain way: what is computed where every slot is encoded where it stands, padding too, and texts are as long as the longest.

It is how the code of Legommenders works (a sample holds the tokens of all its items, padded), and most code of the field. The
operators are the same, so that what differs is the way and not the mathematics. Where a candidate is judged by itself, a row of
that code is one pair of user and candidate, so that a history is encoded again for each of its candidates: `by_pairs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from lego.compiler.feed import Feed, Feeds, ItemFeed, Page
from lego.contract import Needs
from lego.data.batch import Batch
from lego.data.sampling import Rows


@attrs.frozen(eq=False, kw_only=True)
class Padded(ItemFeed):
    """All items in one page, as long as the longest of the catalogue."""

    trimmed: bool = False
    """As long as the longest of the page instead."""

    def pages(self, rows: Tensor) -> Iterator[Page]:
        """rows (N,) -> one page."""
        if self.tokens is None:
            yield from ItemFeed.pages(self, rows)
            return
        chosen = rows.numpy()
        length = max(1, int((self.lengths(chosen) if self.trimmed else self.tokens.lengths).max()))
        table, mask = self.tokens.take(chosen).padded(length)
        states = None if self.states is None else self.states.gather(chosen, length)
        places = torch.arange(len(rows))
        yield Page(places, torch.from_numpy(table).long(), torch.from_numpy(mask), Needs(states=states))


def padded(feed: Feed, *, trimmed: bool = False) -> Feed:
    """The same items in one page for each operator, padded to the longest of all, or of those that are asked for."""
    if isinstance(feed, Feeds):
        return attrs.evolve(feed, parts=tuple(padded(part, trimmed=trimmed) for part in feed.parts))
    return Padded(**_fields(feed), trimmed=trimmed)


def _fields(feed: ItemFeed) -> dict[str, Any]:
    return {field.name: getattr(feed, field.name) for field in attrs.fields(ItemFeed)}


def every_slot(batch: Batch, history: int) -> Batch:
    """A batch of real slots with its padding encoded too: histories as long as `history`, each empty slot an item of its own.

    The rows that stand for padding are some of the batch; masks keep them out of the result.
    """
    short = history - batch.history.shape[1]
    places = torch.nn.functional.pad(batch.history, (0, short))
    mask = torch.nn.functional.pad(batch.history_mask, (0, short))
    empty = places.numel() + batch.candidates.numel() - batch.real
    spare = batch.items[torch.arange(empty) % len(batch.items)]
    return attrs.evolve(
        batch,
        items=torch.cat([batch.items, spare]),
        history=places,
        history_mask=mask,
        slots=places.numel() + batch.candidates.numel(),
    )


def by_pairs(rows: Rows, chosen: np.ndarray) -> Rows:
    """The rows at `chosen`, a row for each of their candidates."""
    items, labels = rows.items[chosen], rows.labels[chosen]
    real = items > 0
    owner = np.repeat(rows.impression[chosen], real.sum(1))
    return Rows(impression=owner, items=items[real][:, None], labels=labels[real][:, None])
