"""Retrieval: every item of the catalog is ranked for every impression, and its clicks are looked for among the best k.

Exact: no candidate is sampled (Krichene and Rendle 2020, https://doi.org/10.1145/3394486.3403226, show what sampling does), and
scores are made page by page, so that none but the best so far are held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lego.compiler.gather import seconds_before
from lego.errors import DataError, Problem, SpecError
from lego.metric.protocol import refuse_unlabeled
from lego.ragged import Ragged, flat_positions, offsets_of
from lego.runtime.beyond import clicks_of
from lego.runtime.items import asked
from lego.runtime.progress import Screen
from lego.runtime.recommend import Askers, best_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store
    from lego.runtime.load import Loaded

_BLOCK = 1024
"""Users whose lists of the most clicked are made at a time."""

CUTS = (10, 50, 100)
"""The k that are measured unless others are named."""


def retrieval(
    loaded: Loaded,
    part: str = "test",
    *,
    cuts: Sequence[int] = CUTS,
    exclude_seen: bool = True,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """`recall@k`, `ndcg@k`, `hit@k` for each cut and `mrr` at the largest, over all items: means over impressions with a click.

    Beside them stand the same of the items in the order of their clicks in the train part, and what chance gives on average.
    `exclude_seen` ranks no item of the history; clicks on such items are then left out, and counted. Equal scores are in the
    order of the items. DataError for a part without clicks, or without labels, SpecError for a cut below 1.
    """
    if not cuts or min(cuts) < 1:
        raise SpecError(f"retrieval: every k must be at least 1, was {tuple(cuts)}.")
    store = loaded.store
    impressions = store.part(part)
    if not impressions.labeled:
        refuse_unlabeled("retrieval")
    clicks = _clicks(impressions)
    repeated = _seen(store, impressions, clicks) if exclude_seen else np.zeros(len(clicks.values), np.bool_)
    owner = np.repeat(np.arange(len(clicks)), clicks.lengths)
    lengths = np.bincount(owner[~repeated], minlength=len(clicks))
    wanted = np.flatnonzero(lengths)
    if not len(wanted):
        what = "it has no impression with a click on an item that the history lacks"
        raise DataError(
            [Problem(f"{store.path.name}, {part}", what, "measure another part, or with seen items")]
        )
    clicks = Ragged.from_lengths(clicks.values[~repeated], lengths)
    k = min(max(cuts), store.real_items)
    clicks = clicks.take(wanted)
    askers = _askers(store, impressions.take(wanted))
    seen = (
        askers.history
        if exclude_seen
        else Ragged.from_lengths(np.empty(0, np.int64), np.zeros(len(wanted), np.int64))
    )
    _, rows = best_of(
        loaded,
        askers,
        asked(store, None, ()),
        k,
        screen or Screen(),
        exclude_seen=exclude_seen,
    )
    return {
        "part": part,
        "items": store.real_items,
        "impressions": len(wanted),
        "left_out": len(impressions) - len(wanted),
        "clicks": int(lengths.sum()),
        "clicks_on_seen": int(repeated.sum()),
        "exclude_seen": exclude_seen,
        "metrics": measure(rows, clicks, cuts),
        "baselines": {
            "random": by_chance(_unseen(seen, store.real_items), clicks.lengths, cuts, k),
            "popularity": measure(
                most_clicked(clicks_of(store)[: store.real_items + 1], seen, k), clicks, cuts
            ),
        },
    }


def measure(rows: NDArray[np.int64], clicks: Ragged, cuts: Sequence[int]) -> dict[str, float]:
    """rows (B, k), best first, 0 where there is none, and the item rows that each of B clicked, at least one."""
    found = np.zeros(rows.shape, np.bool_)
    base = int(max(rows.max(initial=0), clicks.values.max(initial=0))) + 1
    owner = np.repeat(np.arange(len(clicks)), clicks.lengths)
    found = np.isin(np.arange(len(rows))[:, None] * base + rows, owner * base + clicks.values) & (rows > 0)
    discounts = 1 / np.log2(np.arange(2, rows.shape[1] + 2))
    best = np.concatenate([[0.0], np.cumsum(discounts)])
    values: dict[str, float] = {}
    for cut in cuts:
        head = found[:, :cut]
        inside = head.shape[1]
        values[f"recall@{cut}"] = float((head.sum(1) / clicks.lengths).mean())
        values[f"ndcg@{cut}"] = float(
            ((head * discounts[:inside]).sum(1) / best[np.minimum(clicks.lengths, inside)]).mean()
        )
        values[f"hit@{cut}"] = float(head.any(1).mean())
    first = np.where(found.any(1), 1 / (found.argmax(1) + 1), 0.0)
    values[f"mrr@{max(cuts)}"] = float(first.mean())
    return values


def most_clicked(counts: NDArray[np.int64], seen: Ragged, k: int) -> NDArray[np.int64]:
    """counts (items + 1,), and the item rows that each of B users has seen -> the k most clicked others (B, k), 0 where none is.

    Equals are in the order of the items. All users share one order, of which nobody needs more than k and what was seen.
    """
    order = np.argsort(-counts[1:], kind="stable") + 1
    head = order[: k + int(seen.lengths.max(initial=0))]
    found = np.zeros((len(seen), k), np.int64)
    for at in range(0, len(seen), _BLOCK):
        block = seen.take(np.arange(at, min(at + _BLOCK, len(seen))))
        owner = np.repeat(np.arange(len(block)), block.lengths)
        hidden = np.isin(
            np.arange(len(block))[:, None] * len(counts) + head,
            owner[block.values < len(counts)] * len(counts) + block.values[block.values < len(counts)],
        )
        places = np.argsort(hidden, axis=1, kind="stable")[:, :k]
        found[at : at + len(block), : places.shape[1]] = np.where(
            np.take_along_axis(hidden, places, 1), 0, head[places]
        )
    return found


def by_chance(
    unseen: NDArray[np.int64], clicks: NDArray[np.int64], cuts: Sequence[int], width: int
) -> dict[str, float]:
    """What `measure` gives on average for random orders, by how many items each of B users has not seen, and clicks on; (B,)."""
    pairs, times = np.unique(np.stack([unseen, clicks], 1), axis=0, return_counts=True)
    free, wanted = pairs[:, :1], pairs[:, 1:]
    ranks = np.arange(1, width + 1)
    # The chance that no click is at a rank up to r: each rank takes one of the items left, if any is.
    none = np.cumprod(np.maximum(free - wanted - ranks + 1, 0) / np.maximum(free - ranks + 1, 1), axis=1)
    first = np.concatenate([np.ones_like(none[:, :1]), none[:, :-1]], axis=1) - none
    gains = np.concatenate([[0.0], np.cumsum(1 / np.log2(ranks + 1))])

    def mean(values: NDArray[np.float64]) -> float:
        return float(np.average(values, weights=times))

    values: dict[str, float] = {}
    for cut in cuts:
        inside = min(cut, width)
        shown = np.minimum(inside, free[:, 0])
        share = wanted[:, 0] / free[:, 0]
        values[f"recall@{cut}"] = mean(shown / free[:, 0])
        values[f"ndcg@{cut}"] = mean(share * gains[shown] / gains[np.minimum(wanted[:, 0], inside)])
        values[f"hit@{cut}"] = mean(1 - none[:, inside - 1])
    values[f"mrr@{max(cuts)}"] = mean((first / ranks).sum(1))
    return values


def _unseen(seen: Ragged, items: int) -> NDArray[np.int64]:
    """(B,): how many of the items each user has not seen."""
    owner = np.repeat(np.arange(len(seen)), seen.lengths)
    pairs = np.unique(owner[seen.values <= items] * (items + 1) + seen.values[seen.values <= items])
    return items - np.bincount(pairs // (items + 1), minlength=len(seen))


def _clicks(impressions: Impressions) -> Ragged:
    """The distinct item rows that each impression clicked."""
    owner = np.repeat(np.arange(len(impressions)), impressions.candidates.lengths)
    clicked = impressions.labels == 1
    pairs = np.unique(
        np.stack([owner[clicked], impressions.candidates.values[clicked].astype(np.int64)], 1), axis=0
    )
    return Ragged.from_lengths(pairs[:, 1], np.bincount(pairs[:, 0], minlength=len(impressions)))


def _seen(store: Store, impressions: Impressions, clicks: Ragged) -> NDArray[np.bool_]:
    """Which clicks are on items of the history."""
    history = _histories(store, impressions)
    base = store.item_count + 1
    owner = np.repeat(np.arange(len(impressions)), history.lengths)
    return np.isin(
        np.repeat(np.arange(len(clicks)), clicks.lengths) * base + clicks.values,
        owner * base + history.values.astype(np.int64),
    )


def _histories(store: Store, impressions: Impressions) -> Ragged:
    lengths = np.maximum(impressions.stop - impressions.start, 0)
    values = store.users.history.values[flat_positions(impressions.start, lengths)]
    return Ragged(values.astype(np.int64), offsets_of(lengths))


def _askers(store: Store, impressions: Impressions) -> Askers:
    """The users of impressions, with their histories and, where known, the times of these."""
    times = None
    if store.users.times is not None:
        times = seconds_before(store.users, impressions, np.arange(len(impressions)))
    return Askers(
        names=None,
        user=impressions.user.astype(np.int64),
        history=_histories(store, impressions),
        times=times,
    )
