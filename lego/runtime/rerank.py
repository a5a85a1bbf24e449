"""Re-ranking: the lists of an evaluation, or of recommendations, in the order that a re-ranker gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.contract import Lists
from lego.data.table import flat
from lego.errors import LegoError, RunError, SpecError
from lego.metric.beyond import best_places
from lego.ragged import Ragged, flat_positions
from lego.runtime.beyond import category_named, category_of, first_values, histories_of
from lego.spec import Rerank

if TYPE_CHECKING:
    from lego.data.store import Store
    from lego.runtime.items import Asked
    from lego.runtime.reading import Scored

DEPTH = 100
"""To which place the lists of an evaluation are re-ranked; behind it they stay as they were."""

PLACES = 1 << 16
"""Places of lists (the longest times their number) that a re-ranker is handed at once."""


def reranked(
    scored: Scored,
    rerank: Rerank,
    *,
    k: int = DEPTH,
    category: str | None = None,
    vectors: NDArray[np.float32] | None = None,
) -> Scored:
    """The same part with scores that rank the candidates of each impression as the re-ranker does.

    The scores of an impression are handed out again in the new order, and equal ones set apart by the least step, so that what
    compares impressions (AUC) is not made of ranks. Nothing is the logit of a click any more. `vectors` (items + 1, D) and
    `category` as `beyond_accuracy` takes them. SpecError where the re-ranker reads what is not there.
    """
    impressions = scored.impressions
    candidates = Ragged(impressions.candidates.values.astype(np.int64), impressions.candidates.offsets)
    places = best_places(scored.scores, candidates, int(candidates.lengths.max(initial=1)))
    codes = _codes(scored.store, category) if rerank.reads_categories else None
    lists = Lists(
        items=Ragged(candidates.values[places.values], candidates.offsets),
        scores=scored.scores[places.values],
        histories=histories_of(scored.store, impressions),
        vectors=_vectors(rerank, vectors),
        categories=codes,
    )
    order = reordered(rerank, lists, k)
    scores = np.empty_like(scored.scores)
    scores[places.values[order]] = _apart(lists.scores, candidates)
    return attrs.evolve(scored, scores=scores, reranked=True)


def reordered(rerank: Rerank, lists: Lists, k: int) -> NDArray[np.int64]:
    """Where each value of the new lists stands in the old ones, flat: the re-ranker's first k, then the others as they were."""
    size = max(1, PLACES // max(1, int(lists.items.lengths.max(initial=1))))
    found = [
        _reordered(rerank, _part(lists, at, min(at + size, len(lists))), k) + lists.items.offsets[at]
        for at in range(0, len(lists), size)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _part(lists: Lists, begin: int, end: int) -> Lists:
    rows = np.arange(begin, end)
    offsets = lists.items.offsets
    return attrs.evolve(
        lists,
        items=lists.items.take(rows),
        scores=lists.scores[offsets[begin] : offsets[end]],
        histories=lists.histories.take(rows),
    )


def _reordered(rerank: Rerank, lists: Lists, k: int) -> NDArray[np.int64]:
    try:
        chosen = rerank.rerank(lists, k)
    except LegoError:
        raise
    except Exception as problem:
        raise RunError(f"The re-ranker {rerank!r} failed: {type(problem).__name__}: {problem}") from problem
    lengths = lists.items.lengths
    wanted = np.minimum(lengths, k)
    values = np.asarray(chosen.values, np.int64)
    if not np.array_equal(chosen.lengths, wanted):
        raise RunError(f"The re-ranker {rerank!r} does not choose the first {k} of each list.")
    owner = np.repeat(np.arange(len(lists)), wanted)
    flat_values = values + lists.items.offsets[:-1][owner]
    inside = (values >= 0) & (values < lengths[owner])
    if not inside.all() or len(np.unique(flat_values)) < len(flat_values):
        raise RunError(f"The re-ranker {rerank!r} names places that a list does not have, or one twice.")
    taken = np.zeros(len(lists.items.values), np.int64)
    taken[flat_values] = 1
    # The rank of each old place: what was chosen by its turn, the others behind, in the order that they had.
    rank = np.empty(len(taken), np.int64)
    rank[flat_values] = np.arange(len(values)) - np.repeat(chosen.offsets[:-1], wanted)
    starts = np.repeat(lists.items.offsets[:-1], lengths)
    before = np.cumsum(1 - taken) - (1 - taken)
    before -= before[np.minimum(starts, max(0, len(before) - 1))]
    rank = np.where(taken == 1, rank, np.repeat(wanted, lengths) + before)
    order = np.empty(len(taken), np.int64)
    order[starts + rank] = np.arange(len(taken))
    return order


def _apart(scores: NDArray[np.float32], lists: Ragged) -> NDArray[np.float32]:
    """Falling scores of each list, so that each is smaller than the one before by the least step at least."""
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.int32).astype(np.int64)
    keys = np.where(
        bits >= 0, bits, -(bits & 0x7FFFFFFF)
    )  # ascending as the scores are; neighbours differ by 1
    place = np.arange(len(keys)) - np.repeat(lists.offsets[:-1], lists.lengths)
    table, mask = Ragged(keys + place, lists.offsets).padded()
    kept = np.minimum.accumulate(np.where(mask, table, np.iinfo(np.int64).max), axis=1)[mask] - place
    found = np.where(kept >= 0, kept, -kept | 0x80000000).astype(np.uint32)
    return found.view(np.float32)


# --- recommendations ----------------------------------------------------------------------------------------------------------


def best_reranked(
    rerank: Rerank,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    histories: Ragged,
    candidates: Asked,
    k: int,
    *,
    category: str | None,
    encode: Any,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k best of a pool: scores (B, P) and item rows (B, P), 0 where fewer are left -> (B, k') each, in the new order.

    `encode` gives vectors of rows (n,) -> (n, D), None where the model has none.
    """
    real = rows > 0
    used, place = np.unique(np.concatenate([rows[real], histories.values]), return_inverse=True)
    numbers = place.astype(np.int64) + 1
    count = int(real.sum())
    vectors = None
    if rerank.reads_vectors and encode is not None:
        made = np.asarray(encode(used), np.float32)
        vectors = np.concatenate([np.zeros((1, made.shape[1]), np.float32), made])
    codes = None
    if rerank.reads_categories:
        name = _category(candidates.store, category)
        column = first_values(candidates.column(name, used)).dictionary_encode().indices
        codes = np.full(len(used) + 1, -1, np.int64)
        codes[1:] = flat(pc.fill_null(column, -1))
    lists = Lists(
        items=Ragged.from_lengths(numbers[:count], real.sum(1)),
        scores=scores[real],
        histories=Ragged(numbers[count:], histories.offsets),
        vectors=_vectors(rerank, vectors),
        categories=codes,
    )
    order = reordered(rerank, lists, k)
    lengths = np.minimum(lists.items.lengths, k)
    kept = order[flat_positions(lists.items.offsets[:-1], lengths)]
    width = int(lengths.max(initial=0))
    return (
        Ragged.from_lengths(lists.scores[kept], lengths).padded(width)[0],
        Ragged.from_lengths(rows[real][kept], lengths).padded(width)[0],
    )


# --- what it reads ------------------------------------------------------------------------------------------------------------


def _vectors(rerank: Rerank, vectors: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    if not rerank.reads_vectors:
        return None
    if vectors is None:
        raise SpecError(
            f"{rerank!r} compares items by vectors, and this run's model makes none. Give it such a model, or in an evaluation "
            "--vectors FILE."
        )
    return vectors


def _category(store: Store, name: str | None) -> str:
    found = category_named(store, name)
    if found is None:
        raise SpecError("The re-ranker reads categories, and the items of this data have none.")
    return found


def _codes(store: Store, name: str | None) -> NDArray[np.int64]:
    found = category_of(store, _category(store, name))
    assert found is not None  # a category is named
    return found[0]
