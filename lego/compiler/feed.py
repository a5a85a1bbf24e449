"""What content operators are fed with: tokens, codes, numbers, rows or cached states of items, in pages of similar length.

Feeds live on the host: a page is sent to the device as it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lego.contract import Needs
from lego.data.attributes import padded
from lego.data.table import flat
from lego.ragged import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.data.attributes import Codes


class States(Protocol):
    """Hidden states made before, one ragged row an item."""

    def gather(self, rows: np.ndarray, length: int) -> Tensor:
        """rows (n,) -> states (n, length, W), zeros behind each row; (n, 1, W) where an item has one."""
        ...


@attrs.frozen(eq=False)
class Numbers:
    """One number an item row, NaN where there is none; row 0, never an item, has none."""

    values: NDArray[np.float32]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Numbers:
        """A numeric column behind row 0."""
        found = flat(pc.fill_null(column.cast(pa.float64()), float("nan")))
        return cls(np.concatenate([[np.nan], found]).astype(np.float32))

    def extended(self, column: pa.ChunkedArray) -> Numbers:
        """The same with more rows behind."""
        return Numbers(np.concatenate([self.values, Numbers.of(column).values[1:]]))


@attrs.frozen(eq=False)
class Page:
    """Items of similar length: where they stand in the call, tokens (n, L), mask (n, L), and what was asked for beyond."""

    places: Tensor
    tokens: Tensor
    mask: Tensor
    needs: Needs

    def sent(self, device: torch.device) -> Page:
        """The same page on a device; the host does not wait for it."""
        return Page(
            sent(self.places, device),
            sent(self.tokens, device),
            sent(self.mask, device),
            (self.needs.pinned() if device.type == "cuda" else self.needs).to(device, non_blocking=True),
        )


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor of the host on a device; the host does not wait for it."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


@attrs.frozen(eq=False, kw_only=True)
class ItemFeed:
    """Pages of items by row, for one operator: of tokens, codes or numbers; of the rows themselves where it has none of these."""

    tokens: Ragged | None = None
    states: States | None = None
    """Cached hidden states."""
    codes: Codes | None = None
    numbers: Numbers | None = None
    labels: Mapping[str, Codes] = attrs.field(factory=dict)
    page_cost: int = 128
    """What a page costs beside its tokens, in tokens: the more, the fewer pages."""

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """rows (N,) -> how much there is to read of each, (N,)."""
        if self.tokens is None:
            return np.ones(len(rows), np.int64)
        return self.tokens.offsets[rows + 1] - self.tokens.offsets[rows]

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """rows (N,) -> whether there is anything to read of each, (N,)."""
        if self.codes is not None:
            # Code 0 is a value that the data does not have: nothing can be read of it.
            table, _ = self.codes.rows.take(rows).padded()
            return np.asarray((table > 0).any(1))
        if self.numbers is not None:
            return ~np.isnan(self.numbers.values[rows])
        return self.lengths(rows) > 0

    def pages(self, rows: Tensor) -> Iterator[Page]:
        """rows (N,) of items -> pages that cover them, each trimmed to its longest item."""
        if self.tokens is None:
            yield self._page(rows)
            return
        wanted = rows.cpu().numpy()
        lengths = self.lengths(wanted)
        for found in by_length(lengths, self.page_cost):
            chosen = wanted[found]
            length = max(1, int(lengths[found].max()))
            table, mask = self.tokens.take(chosen).padded(length)
            states = None if self.states is None else self.states.gather(chosen, length)
            yield Page(
                torch.from_numpy(found),
                torch.from_numpy(table.astype(np.int64, copy=False)),
                torch.from_numpy(mask),
                Needs(items=_labels(self.labels, chosen), states=states),
            )

    def _page(self, rows: Tensor) -> Page:
        """All of them at once, since they are equally long."""
        wanted = rows.cpu().numpy()
        if self.codes is not None:
            table, real = self.codes.rows.take(wanted).padded(
                max(1, int(self.codes.rows.lengths[wanted].max(initial=0)))
            )
            tokens, mask = torch.from_numpy(table), torch.from_numpy(real)
        elif self.numbers is not None:
            tokens = torch.from_numpy(self.numbers.values[wanted]).unsqueeze(1)
            mask = ~torch.isnan(tokens)
            tokens = tokens.masked_fill(~mask, 0)
        else:
            tokens = torch.from_numpy(wanted).unsqueeze(1)
            mask = torch.ones_like(tokens, dtype=torch.bool)
        return Page(torch.arange(len(rows)), tokens, mask, Needs(items=_labels(self.labels, wanted)))


LEVELS = 64
"""Lengths at which pages may end, at the most."""
PAGE_TOKENS = 16_384
"""Tokens of a page at the most: more gain nothing and take memory."""


def by_length(lengths: NDArray[np.int64], page_cost: int) -> list[NDArray[np.int64]]:
    """lengths (N,) -> the places of each page, the shortest first, so that places of tokens and costs of pages are least in sum.

    A page is as wide as its longest item, so its cost is items × longest + `page_cost`; the least sum over all ways to cut the
    sorted lengths is found by going through the lengths at which a page may end (dynamic programming).
    """
    if not len(lengths):
        return []
    order = np.argsort(lengths, kind="stable")
    widths, counts = np.unique(np.maximum(lengths, 1), return_counts=True)
    upto = np.cumsum(counts)
    if len(widths) > LEVELS:
        ends = np.unique(np.searchsorted(upto, np.linspace(upto[-1] / LEVELS, upto[-1], LEVELS)))
        widths, upto = widths[ends], upto[ends]
    before = np.concatenate([[0], upto])  # how many items are shorter than each width
    least, begins = np.zeros(len(before)), np.zeros(len(before), np.int64)
    for end, width in enumerate(widths, 1):
        costs = least[:end] + (before[end] - before[:end]) * width + page_cost
        begins[end] = int(np.argmin(costs))
        least[end] = costs[begins[end]]
    pages: list[NDArray[np.int64]] = []
    end = len(widths)
    while end:
        begin = int(begins[end])
        items = order[before[begin] : before[end]]
        pages[:0] = np.array_split(items, -(-len(items) * int(widths[end - 1]) // PAGE_TOKENS))
        end = begin
    return [page for page in pages if len(page)]


@attrs.frozen(eq=False, kw_only=True)
class Feeds:
    """What the parts of a combination are fed with, and what the combination itself asks for."""

    parts: tuple[Feed, ...]
    labels: Mapping[str, Codes] = attrs.field(factory=dict)

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """rows (N,) -> how much there is to read of each, over all parts, (N,)."""
        total: NDArray[np.int64] = np.sum([part.lengths(rows) for part in self.parts], axis=0)
        return total

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """rows (N,) -> whether any part has something to read, (N,)."""
        found: NDArray[np.bool_] = np.any([part.has(rows) for part in self.parts], axis=0)
        return found

    def present(self, rows: Tensor) -> Tensor:
        """rows (N,) -> which of K parts have something to read, (N, K) bool."""
        wanted = rows.cpu().numpy()
        return torch.from_numpy(np.stack([part.has(wanted) for part in self.parts], axis=1))

    def needs(self, rows: Tensor) -> Needs:
        """rows (N,) -> what the combination asks for."""
        return Needs(items=_labels(self.labels, rows.cpu().numpy()))


Feed = ItemFeed | Feeds


def _labels(labels: Mapping[str, Codes], rows: NDArray[np.int64]) -> dict[str, Tensor]:
    return {name: padded(codes.rows, rows) for name, codes in labels.items()}
