"""A trained pipeline that knows more items than its data: new ones stand behind the rows of the catalog, encoded as those are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

from lego.compiler.content import SHARED, shared_reads
from lego.compiler.feed import Feeds, ItemFeed, Page
from lego.compiler.pipeline import Pipeline
from lego.contract import Need, Reads
from lego.data.attributes import Codes, padded
from lego.data.text import encode_items
from lego.errors import RunError
from lego.ragged import Ragged
from lego.runtime.progress import Screen
from lego.seed import lent
from lego.spec import Content, Context

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.compiler.assemble import Compiled

TEXT_PAGE = 65_536
"""New items whose text becomes ids in one call."""


def extended(compiled: Compiled, new: pa.Table, *, screen: Screen | None = None) -> Pipeline:
    """The pipeline of a model with the lines of `new` as item rows behind those of the data; itself where there are none.

    Weights are shared with it. `new` has the attributes that the model reads. New items are read with the vocabulary,
    tokenizer and budgets of the run; an operator that reads no text takes each for row 0, which is no item.
    """
    pipeline = compiled.pipeline
    if not new.num_rows:
        return pipeline
    made = _Extension(compiled, new, screen or Screen())
    gather = attrs.evolve(
        pipeline.gather,
        items=_with_codes(pipeline.gather.items, new),
        tokens=None
        if pipeline.gather.tokens is None
        else _both(pipeline.gather.tokens, made.history_tokens()),
    )
    return Pipeline(
        content=pipeline.content,
        behavior=pipeline.behavior,
        predictor=pipeline.predictor,
        feed=made.feed(pipeline.feed, pipeline.content, compiled.model.content, ""),
        gather=gather,
        candidate_aware=pipeline.candidate_aware,
    ).eval()


@attrs.frozen(eq=False)
class _Extension:
    """Makes the feeds of a content tree anew, with the new items behind."""

    compiled: Compiled
    new: pa.Table
    screen: Screen

    def feed(self, feed: Any, content: Any, spec: Content, path: str) -> Any:
        """The feed of one place in the tree."""
        labels = _with_codes(feed.labels, self.new)
        if isinstance(feed, Feeds):
            inner = zip(feed.parts, content.parts, spec.content_parts.items(), strict=True)
            parts = tuple(
                self.feed(part, module, each, f"{path}.{name}" if path else name)
                for part, module, (name, each) in inner
            )
            return Feeds(parts=parts, labels=labels)
        leaf = self.compiled.fed[path].leaf
        count = self.compiled.store.item_count
        if spec.reads is Reads.ROWS:
            return _Unknown(feed, count)
        if leaf.encoder is None:
            (name,) = leaf.reads
            column = self.new[name]
            codes = None if feed.codes is None else feed.codes.extended(column)
            numbers = None if feed.numbers is None else feed.numbers.extended(column)
            return attrs.evolve(feed, codes=codes, numbers=numbers, labels=labels)
        tokens = self.tokens(leaf.reads, leaf.encoder)
        return _Behind(
            feed, count, ItemFeed(tokens=tokens, states=self._states(content, spec, path, tokens)), labels
        )

    def tokens(self, reads: Mapping[str, int], encoder: str) -> Ragged:
        """Ids of the new items: row r is line r, counted from 1; row 0, which is no item, is empty."""
        pages = [Ragged(np.empty(0, np.int32), np.zeros(2, np.int64))]
        with self.screen.bar("reading new items", self.new.num_rows, "item") as bar:
            for at in range(0, self.new.num_rows, TEXT_PAGE):
                page = self.new.slice(at, TEXT_PAGE)
                pages.append(encode_items(page, reads, self.compiled.encoders[encoder]))
                bar.advance(page.num_rows)
        return _stacked(pages)

    def history_tokens(self) -> Ragged:
        """What an operator reads that is given the tokens of whole histories."""
        return self.tokens(shared_reads(self.compiled.model.content, self.compiled.reads), SHARED)

    def _states(self, trained: Any, spec: Content, path: str, tokens: Ragged) -> _Fresh | None:
        """The frozen layers once more, for they were left out of memory when the states of the catalog had been made."""
        if Need.STATES not in spec.item_needs:
            return None
        compiled, fed = self.compiled, self.compiled.fed[path]
        context = Context(
            width=compiled.model.width,
            input_width=compiled.model.width,
            length=1 if fed.tokens is None else fed.tokens.length,
            items=compiled.store.item_count + 1,
            store=compiled.store,
            encoder=compiled.encoders[path],
            generator=torch.Generator(),
        )
        with lent(0, "frozen layers"), torch.device("cpu"):
            again: Any = spec.build(context)
        if again.states_key != trained.states_key:
            raise RunError(
                f"{spec!r}: the frozen weights are not those that the run was trained on. Put the checkpoint back."
            )
        device = next(compiled.pipeline.parameters()).device
        return _Fresh(tokens, again.to(device).eval().lower)


def _with_codes(codes: Mapping[str, Codes], new: pa.Table) -> dict[str, Codes]:
    """The codes of attributes with those of the new items behind."""
    return {name: each.extended(new[name]) for name, each in codes.items()}


def _stacked(pages: list[Ragged]) -> Ragged:
    """The rows of each, one behind the other."""
    values = np.concatenate([each.values[each.offsets[0] : each.offsets[-1]] for each in pages])
    return Ragged.from_lengths(values, np.concatenate([each.lengths for each in pages]))


def _both(tokens: Ragged, new: Ragged) -> Ragged:
    """Tokens of the catalog and of new items, whose row 0 is left out."""
    return _stacked([tokens, Ragged(new.values, new.offsets[1:])])


@attrs.frozen(eq=False)
class _Behind:
    """The feed of the catalog, and that of new items for the rows behind."""

    first: ItemFeed
    count: int
    new: ItemFeed
    labels: Mapping[str, Codes]

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """rows (N,) -> how much there is to read of each, (N,)."""
        is_new = rows > self.count
        found = self.first.lengths(np.where(is_new, 0, rows))
        found[is_new] = self.new.lengths(rows[is_new] - self.count)
        return found

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """rows (N,) -> whether there is anything to read of each, (N,)."""
        return self.lengths(rows) > 0

    def pages(self, rows: Tensor) -> Iterator[Page]:
        """rows (N,) -> pages, each of old or of new items."""
        is_new = rows > self.count
        for feed, chosen, shift in ((self.first, ~is_new, 0), (self.new, is_new, self.count)):
            places = torch.nonzero(chosen).flatten()
            if not len(places):
                continue
            for page in feed.pages(rows[places] - shift):
                there = places[page.places]
                items = {
                    name: padded(codes.rows, rows[there].cpu().numpy()).to(rows.device)
                    for name, codes in self.labels.items()
                }
                yield attrs.evolve(page, places=there, needs=attrs.evolve(page.needs, items=items))


@attrs.frozen(eq=False)
class _Unknown:
    """The feed of an operator that knows items by row: a new one is no item to it."""

    first: ItemFeed
    count: int

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """rows (N,) -> 1 for each that it knows, (N,)."""
        return (rows <= self.count).astype(np.int64)

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """rows (N,) -> whether it knows each, (N,)."""
        return rows <= self.count

    def pages(self, rows: Tensor) -> Iterator[Page]:
        """rows (N,) -> a page, new items masked."""
        is_new = rows > self.count
        for page in self.first.pages(rows.masked_fill(is_new, 0)):
            yield attrs.evolve(page, mask=page.mask & ~is_new[page.places].unsqueeze(1))


@attrs.frozen(eq=False)
class _Fresh:
    """Hidden states of new items: run through the frozen layers when they are asked for, and not kept."""

    tokens: Ragged
    lower: Any

    def gather(self, rows: np.ndarray, length: int) -> Tensor:
        """rows (n,) -> states (n, length, H), zeros behind each row, as the cache gives them."""
        table, mask = self.tokens.take(rows).padded(length)
        real = torch.from_numpy(mask)
        states: Tensor = self.lower(torch.from_numpy(table.astype(np.int64)), real).float()
        return states * real.unsqueeze(-1).to(states.device)
