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
from lego.ragged import Ragged, flat_positions, offsets_of
from lego.runtime.items import asked
from lego.runtime.progress import Screen
from lego.runtime.recommend import Askers, best_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store
    from lego.runtime.load import Loaded

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

    `exclude_seen` ranks no item of the history; clicks on such items are then left out, and counted. Equal scores are in the
    order of the items. DataError for a part without clicks, SpecError for a cut below 1.
    """
    if not cuts or min(cuts) < 1:
        raise SpecError(f"retrieval: every k must be at least 1, was {tuple(cuts)}.")
    store = loaded.store
    impressions = store.part(part)
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
    _, rows = best_of(
        loaded,
        _askers(store, impressions.take(wanted)),
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
        "metrics": measure(rows, clicks.take(wanted), cuts),
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
