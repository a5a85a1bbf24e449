"""What content operators are fed with: the tokens, rows or cached states of distinct items, in pages of similar length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import attrs
import numpy as np
import torch

from lego.contract import Needs
from lego.ragged import Ragged

if TYPE_CHECKING:
    from torch import Tensor


class States(Protocol):
    """Hidden states made before, one ragged row an item."""

    def gather(self, rows: np.ndarray, length: int) -> Tensor:
        """rows (n,) -> states (n, length, W), zeros behind each row."""
        ...


@attrs.frozen(eq=False)
class Page:
    """Items of similar length: where they stand in the call, tokens (n, L), mask (n, L), and what was asked for beyond."""

    places: Tensor
    tokens: Tensor
    mask: Tensor
    needs: Needs


@attrs.frozen(eq=False)
class ItemFeed:
    """Pages of items by row. `tokens` is None where the operator reads rows; `states` holds cached hidden states."""

    tokens: Ragged | None
    states: States | None = None
    buckets: int = 6

    def pages(self, rows: Tensor) -> Iterator[Page]:
        """rows (N,) of distinct items -> pages that cover them, each trimmed to its longest item."""
        if self.tokens is None:
            places = torch.arange(len(rows), device=rows.device)
            yield Page(
                places, rows.unsqueeze(1), torch.ones_like(rows, dtype=torch.bool).unsqueeze(1), Needs()
            )
            return
        wanted = rows.cpu().numpy()
        lengths = self.tokens.offsets[wanted + 1] - self.tokens.offsets[wanted]
        order = np.argsort(lengths, kind="stable")
        for found in np.array_split(order, min(self.buckets, max(1, len(order) // 8))):
            if not len(found):
                continue
            chosen = wanted[found]
            length = max(1, int(lengths[found].max()))
            table, mask = self.tokens.take(chosen).padded(length)
            states = None if self.states is None else self.states.gather(chosen, length).to(rows.device)
            yield Page(
                torch.from_numpy(found).to(rows.device),
                torch.from_numpy(table.astype(np.int64, copy=False)).to(rows.device),
                torch.from_numpy(mask).to(rows.device),
                Needs(states=states),
            )
