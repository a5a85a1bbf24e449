"""A trained pipeline that knows more items than its data: new ones stand behind the rows of the catalog, encoded as those are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
import torch

from lego.compiler.content import SHARED, Fed, shared_reads
from lego.compiler.feed import Feed, Feeds, ItemFeed, Page
from lego.compiler.pipeline import Pipeline
from lego.contract import Reads
from lego.data.text import encode_items
from lego.errors import RunError
from lego.ragged import Ragged
from lego.runtime.progress import Screen
from lego.seed import lent
from lego.spec import Content, Context, Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.compiler.assemble import Compiled
    from lego.data.attributes import Codes

TEXT_PAGE = 65_536
"""New items whose text becomes ids in one call."""


def attributes_of(compiled: Compiled) -> tuple[str, ...]:
    """The attributes of an item without which it cannot be encoded: what is read, and what operators ask for beside.

    What a loss alone reads is not among them: nothing is learned of new items.
    """
    content = _labels(compiled.model.content, compiled.pipeline.feed)
    return tuple(dict.fromkeys([*compiled.reads, *compiled.pipeline.gather.items, *content]))


def _labels(content: Content, feed: Feed) -> Iterator[str]:
    yield from (name for name in feed.labels if name not in content.loss_attributes)
    if isinstance(feed, Feeds):
        for part, inner in zip(content.content_parts.values(), feed.parts, strict=True):
            yield from _labels(part, inner)


def _with_codes(codes: Mapping[str, Codes], new: pa.Table) -> dict[str, Codes]:
    """The codes of the catalog and those of new items behind them; an attribute that these lack is missing in each."""
    return {
        name: each.extended(
            new[name] if name in new.column_names else pa.chunked_array([pa.nulls(new.num_rows, pa.string())])
        )
        for name, each in codes.items()
    }


def by_rows(compiled: Compiled) -> bool:
    """Whether the model knows items by their row alone, so that it knows no new ones."""
    return all(each.leaf.spec.reads is Reads.ROWS for each in compiled.fed.values())


def extended(compiled: Compiled, new: pa.Table, *, screen: Screen | None = None) -> Pipeline:
    """The pipeline of a model with the lines of `new` as item rows behind those of the data; itself where there are none.

    Weights are shared with it. `new` has the attributes that the model reads. New items are read with the vocabularies,
    tokenizers and budgets of the run; an operator that knows items by row takes each for row 0, which is no item.
    """
    pipeline = compiled.pipeline
    if not new.num_rows:
        return pipeline
    screen = screen or Screen()
    gather = pipeline.gather
    tokens = gather.tokens
    if tokens is not None:
        reads = shared_reads(compiled.model.content, compiled.reads)
        tokens = with_new(tokens, new, reads, compiled.encoders[SHARED], screen)
    made = Pipeline(
        content=pipeline.content,
        behavior=pipeline.behavior,
        predictor=pipeline.predictor,
        feed=_Extension(compiled, new, screen).feed(compiled.model.content, pipeline.feed, pipeline.content),
        gather=attrs.evolve(
            gather,
            items=_with_codes(gather.items, new),
            tokens=tokens,
        ),
        scoring=pipeline.scoring,
        nobody=pipeline.nobody,
        candidate_aware=pipeline.candidate_aware,
    )
    return made.eval()


def with_new(
    tokens: Ragged, new: pa.Table, reads: Mapping[str, int], encoder: Encoder, screen: Screen
) -> Ragged:
    """The tokens of the catalog's rows, and those of the lines of `new` behind them."""
    pages = [tokens]
    with screen.bar("reading new items", new.num_rows, "item") as bar:
        for at in range(0, new.num_rows, TEXT_PAGE):
            page = new.slice(at, TEXT_PAGE)
            pages.append(encode_items(page, reads, encoder))
            bar.advance(page.num_rows)
    values = np.concatenate([each.values[each.offsets[0] : each.offsets[-1]] for each in pages])
    return Ragged.from_lengths(values, np.concatenate([each.lengths for each in pages]))


@attrs.frozen(eq=False)
class _Extension:
    """Makes the feeds of a content tree longer."""

    compiled: Compiled
    new: pa.Table
    screen: Screen

    def feed(self, content: Content, feed: Feed, module: Any, path: str = "") -> Feed:
        """The feed of this operator, or of this combination and its parts."""
        labels = _with_codes(feed.labels, self.new)
        if isinstance(feed, Feeds):
            parts = tuple(
                self.feed(part, feed.parts[place], module.parts[place], f"{path}.{name}" if path else name)
                for place, (name, part) in enumerate(content.content_parts.items())
            )
            return Feeds(parts=parts, labels=labels)
        mine = self.compiled.fed[path]
        reads = mine.leaf.reads
        if mine.leaf.spec.reads is Reads.ROWS:
            return _Rows(labels=labels, page_cost=feed.page_cost, count=self.compiled.store.item_count)
        tokens, states = feed.tokens, feed.states
        if tokens is not None and mine.leaf.encoder is not None:
            tokens = with_new(tokens, self.new, reads, self.compiled.encoders[mine.leaf.encoder], self.screen)
            if states is not None:
                lower = self._lower(content, mine, module)
                states = _States(states, self.compiled.store.item_count, tokens, lower)
        return attrs.evolve(
            feed,
            tokens=tokens,
            states=states,
            codes=None if feed.codes is None else feed.codes.extended(self.new[next(iter(reads))]),
            numbers=None if feed.numbers is None else feed.numbers.extended(self.new[next(iter(reads))]),
            labels=labels,
        )

    def _lower(self, content: Content, mine: Fed, module: Any) -> Any:
        """The frozen layers once more: they were left out of memory when the states of the catalog had been made."""
        model = self.compiled.model
        context = Context(
            width=model.width,
            input_width=model.width,
            length=1 if mine.tokens is None else mine.tokens.length,
            items=self.compiled.store.item_count + 1,
            store=self.compiled.store,
            encoder=None if mine.leaf.encoder is None else self.compiled.encoders[mine.leaf.encoder],
            generator=torch.Generator(),
        )
        with lent(0, "frozen layers"):
            again: Any = content.build(context)
        if again.states_key != module.states_key:
            raise RunError(
                f"{content!r}: the frozen weights are not those that the run was trained on. Put the checkpoint back."
            )
        return again.to(next(self.compiled.pipeline.parameters()).device).eval().lower


@attrs.frozen(eq=False, kw_only=True)
class _Rows(ItemFeed):
    """The feed of an operator that knows items by row: a new one is no item to it."""

    count: int

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """rows (N,) -> whether the operator knows each, (N,)."""
        return rows <= self.count

    def _page(self, rows: Tensor) -> Page:
        page = super()._page(rows)
        unknown = (rows > self.count).unsqueeze(1)
        return attrs.evolve(page, tokens=page.tokens.masked_fill(unknown, 0), mask=page.mask & ~unknown)


@attrs.frozen(eq=False)
class _States:
    """Hidden states: of the catalog from the cache, of new items run through the frozen layers when they are asked for."""

    cached: Any
    count: int
    tokens: Ragged
    lower: Any

    def gather(self, rows: NDArray[np.int64], length: int) -> Tensor:
        """rows (n,) -> states (n, length, H), zeros behind each row; (n, 1, H) where an item has one."""
        is_new = rows > self.count
        if not is_new.any():
            kept: Tensor = self.cached.gather(rows, length)
            return kept
        table, mask = self.tokens.take(rows[is_new]).padded(length)
        real = torch.from_numpy(mask)
        fresh: Tensor = self.lower(torch.from_numpy(table.astype(np.int64)), real).cpu()
        fresh = fresh * real[:, : fresh.size(1)].unsqueeze(
            -1
        )  # one state an item: its first place is real or it is empty
        if is_new.all():
            return fresh
        old = self.cached.gather(rows[~is_new], length)
        states: Tensor = old.new_empty(len(rows), *old.shape[1:])
        states[torch.from_numpy(~is_new)] = old
        states[torch.from_numpy(is_new)] = fresh.to(old.dtype)
        return states
