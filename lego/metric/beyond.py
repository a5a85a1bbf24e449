"""What lists of items are like, beside being right: varied, new, surprising, fair to categories, true to the user's taste.

A list is the best k candidates of an impression (equal scores in the order of the candidates). Each function gives a number for
each list, NaN where it is not defined; item row 0 is no item.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lego.ragged import Ragged, flat_positions

Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]


def best_places(scores: NDArray[np.floating], groups: Ragged, k: int) -> Ragged:
    """The places of the best k rows of each group among all rows, best first; `groups` are rows one after the other."""
    lengths = groups.lengths
    order = np.lexsort((-scores, np.repeat(np.arange(len(groups)), lengths)))  # stable
    kept = np.minimum(lengths, k)
    return Ragged.from_lengths(order[flat_positions(groups.offsets[:-1], kept)], kept)


def owners(lists: Ragged) -> Rows:
    """The list that each value belongs to."""
    return np.repeat(np.arange(len(lists)), lists.lengths)


def diversity(lists: Ragged, vectors: NDArray[np.float32]) -> Numbers:
    """The mean cosine distance of two items of a list (Ziegler et al. 2005, https://doi.org/10.1145/1060745.1060754).

    `vectors` (items + 1, D). A zero vector is at distance 1 from all. NaN for fewer than two items.
    """
    units = _units(vectors)
    total = np.zeros((len(lists), units.shape[1]))
    np.add.at(total, owners(lists), units[lists.values])
    own = _sums(lists, (units[lists.values] ** 2).sum(1))
    count = lists.lengths
    pairs = count * (count - 1)
    # Σ over ordered pairs of cos = |Σ v|² - Σ |v|², for vectors of length 1 or 0.
    return np.where(count > 1, 1 - ((total**2).sum(1) - own) / np.maximum(pairs, 1), np.nan)


def entropy(lists: Ragged, category: Rows) -> Numbers:
    """The Shannon entropy, in bits, of the categories of a list's items. `category` (items + 1,), -1 where none is known."""
    shares = _shares(lists, category)
    return _where_any(lists, category, -(shares * _log2(shares)).sum(1))


def covered(lists: Ragged, category: Rows) -> Numbers:
    """The share of all categories that stand in a list."""
    shares = _shares(lists, category)
    return _where_any(lists, category, (shares > 0).sum(1) / max(1, shares.shape[1]))


def novelty(lists: Ragged, clicks: NDArray[np.int64]) -> Numbers:
    """The mean self-information of a list's items, in bits (Zhou et al. 2010, https://doi.org/10.1073/pnas.1000488107).

        -log2 p(i),  p(i) = (clicks of i + 1) / (all clicks + items)

    `clicks` (items + 1,) are those of the train part, so that an item nobody clicked is very new, and not infinitely so.
    """
    information = np.log2((clicks[1:].sum() + len(clicks) - 1) / (clicks + 1))
    return _means(lists, information[lists.values])


def popularity(lists: Ragged, clicks: NDArray[np.int64]) -> Numbers:
    """The mean share of items that are clicked less often than a list's items: 1 for lists of the most popular, ½ for chance."""
    real = np.sort(clicks[1:])
    below = np.searchsorted(real, clicks[lists.values], side="left")
    as_often = np.searchsorted(real, clicks[lists.values], side="right") - below
    return _means(lists, (below + 0.5 * as_often) / max(1, len(real)))


def serendipity(
    lists: Ragged, labels: NDArray[np.bool_], histories: Ragged, vectors: NDArray[np.float32]
) -> Numbers:
    """What is clicked although it is unlike the history: the sum over clicked items of (1 - cos(item, history)) over the length.

    (Zhang et al. 2012, https://doi.org/10.1145/2124295.2124300, weighed by the click.) `labels` of each value of `lists`;
    the history is the mean of its items' vectors. NaN without a history.
    """
    units = _units(vectors)
    taste = np.zeros((len(histories), units.shape[1]))
    np.add.at(taste, owners(histories), units[histories.values])
    taste = _units(taste)
    owner = owners(lists)
    strange = 1 - (units[lists.values] * taste[owner]).sum(1)
    found = _means(lists, labels * strange)
    return np.where(histories.lengths > 0, found, np.nan)


def miscalibration(lists: Ragged, histories: Ragged, category: Rows, smoothing: float = 0.01) -> Numbers:
    """How far the categories of a list are from those of the history, in nats; 0 is calibrated (Steck 2018,
    https://doi.org/10.1145/3240323.3240372).

        Σ_c p(c) log(p(c) / q(c)),  p of the history, q = (1 - α) · of the list + α · p,  α = `smoothing`

    NaN where history or list have no category.
    """
    wanted, given = _shares(histories, category), _shares(lists, category)
    mixed = (1 - smoothing) * given + smoothing * wanted
    ratio = np.divide(wanted, mixed, out=np.ones_like(wanted), where=(wanted > 0) & (mixed > 0))
    found = _where_any(lists, category, (wanted * np.log(ratio)).sum(1))
    return _where_any(histories, category, found)


def exposure_gap(lists: Ragged, candidates: Ragged, category: Rows) -> float:
    """Half the sum over categories of |share of exposure - share of candidates|: 0 where they are shown as they are offered.

    An item at rank r has the exposure 1 / log2(r + 1) (Singh and Joachims 2018, https://doi.org/10.1145/3219819.3220088).
    """
    ranks = np.arange(len(lists.values)) - np.repeat(lists.offsets[:-1], lists.lengths) + 1
    count = max(1, int(category.max(initial=-1)) + 1)
    known, offered = category[lists.values], category[candidates.values]
    weights = np.where(known >= 0, 1 / np.log2(ranks + 1), 0.0)
    shown = np.bincount(np.maximum(known, 0), weights, minlength=count)
    there = np.bincount(offered[offered >= 0], minlength=count).astype(np.float64)
    if not shown.sum() or not there.sum():
        return float("nan")
    return float(np.abs(shown / shown.sum() - there / there.sum()).sum() / 2)


def catalog_share(lists: Ragged, items: int) -> float:
    """The share of all items that stand in some list."""
    return len(np.unique(lists.values)) / max(1, items)


def gini(lists: Ragged, among: Rows) -> float:
    """How unevenly lists choose among the item rows `among`: 0 where each stands in as many lists, near 1 where few are all."""
    counts = np.sort(np.bincount(lists.values, minlength=int(among.max(initial=0)) + 1)[among])
    total, count = counts.sum(), len(counts)
    if not total:
        return float("nan")
    return float((2 * np.arange(1, count + 1) - count - 1) @ counts / (count * total))


def of_users(values: Numbers, place: Rows, users: int) -> Numbers:
    """(users,): the mean over each user's lists, NaN lists left out; NaN for a user without others. `place` (lists,)."""
    known = ~np.isnan(values)
    count = np.bincount(place[known], minlength=users)
    total = np.bincount(place[known], values[known], minlength=users)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def per_user(values: Numbers, user: Rows) -> float:
    """The mean over users of the mean over each user's lists; NaN lists and users without others are left out."""
    ids, place = np.unique(user, return_inverse=True)
    means = of_users(values, place, len(ids))
    known = means[~np.isnan(means)].tolist()
    return math.fsum(known) / len(known) if known else math.nan


def _units(vectors: NDArray[np.floating]) -> Numbers:
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    found: Numbers = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    return found


def _shares(lists: Ragged, category: Rows) -> Numbers:
    """(lists, categories): the share of each category among the items of a list whose category is known."""
    count = max(1, int(category.max(initial=-1)) + 1)
    of = category[lists.values]
    flat = (owners(lists) * count + of)[of >= 0]
    found = np.bincount(flat, minlength=len(lists) * count).reshape(len(lists), count).astype(np.float64)
    shares: Numbers = found / np.maximum(found.sum(1, keepdims=True), 1)
    return shares


def _where_any(lists: Ragged, category: Rows, values: Numbers) -> Numbers:
    known = _sums(lists, (category[lists.values] >= 0).astype(np.float64))
    return np.where(known > 0, values, np.nan)


def _log2(shares: Numbers) -> Numbers:
    found: Numbers = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return found


def _sums(lists: Ragged, values: NDArray[np.floating]) -> Numbers:
    return np.bincount(owners(lists), values, minlength=len(lists)).astype(np.float64)


def _means(lists: Ragged, values: NDArray[np.floating]) -> Numbers:
    return np.where(lists.lengths > 0, _sums(lists, values) / np.maximum(lists.lengths, 1), np.nan)
