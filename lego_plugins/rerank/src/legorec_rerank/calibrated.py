"""Calibrated recommendations (Steck 2018, https://doi.org/10.1145/3240323.3240372).

With p the shares of the categories in a user's history, and q those in a list I, the list is built greedily to maximise

    (1 − λ) · Σ over i in I of relevance(i)  −  λ · Σ_c p(c) log(p(c) / q̃(c)),   q̃ = (1 − α) q + α p
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.contract import Lists
from lego.ragged import Ragged
from lego.spec import Rerank, between, ge, gt, operator, within
from legorec_rerank.greedy import Numbers, greedy, relevance


@operator
class Calibrated(Rerank):
    """Categories in the shares that the user's history has them: `balance` 0 is the order by score, 1 looks at the shares alone.

    The relevance is the score, led to 0 … 1 within each list. An item without a category changes no share; a user without a
    history, or with one of no category, keeps the order by score. `smoothing` is α, which keeps the logarithm finite; `among`
    says of how many of the best items a recommendation of k is chosen, as a multiple of k. The `miscalibration@k` of
    `lego evaluate --beyond` is the sum that is made small here.
    """

    reads_categories: ClassVar[bool] = True

    balance: float = attrs.field(default=0.5, kw_only=False, validator=within(0, 1))
    smoothing: float = attrs.field(default=0.01, validator=[gt(0), between(0, 1)])
    among: int = attrs.field(default=10, validator=ge(1))

    def pool(self, k: int) -> int:
        """So many times k."""
        return self.among * k

    def rerank(self, lists: Lists, k: int) -> Ragged:
        """Greedily, one place after the other, for all lists at once."""
        assert lists.categories is not None  # `reads_categories` asks for them
        scores, mask = relevance(lists)
        items, _ = lists.items.padded()
        count = max(1, int(lists.categories.max(initial=-1)) + 1)
        wanted = _shares(lists.histories, lists.categories, count)  # (B, C)
        code = np.where(mask, lists.categories[items], -1)  # (B, P)
        known, place_of = code >= 0, np.maximum(code, 0)
        told: NDArray[np.bool_] = wanted.sum(1) > 0
        held = np.zeros((len(mask), count))  # how many of each category were taken
        rows = np.arange(len(mask))

        def gain(step: int) -> NDArray[np.float64]:
            total = held.sum(1, keepdims=True)
            more = self._terms(wanted, held / (total + 1))  # of each category, had another one been taken
            one_more = self._terms(wanted, (held + 1) / (total + 1))
            with_it = more.sum(1, keepdims=True) + np.take_along_axis(one_more - more, place_of, 1)
            as_it_is = self._terms(wanted, held / np.maximum(total, 1)).sum(1, keepdims=True)
            apart = np.where(known, with_it, as_it_is)
            return np.where(told[:, None], (1 - self.balance) * scores - self.balance * apart, scores)

        def take(place: NDArray[np.int64], taken: NDArray[np.bool_]) -> None:
            counts = taken & known[rows, place]
            np.add.at(held, (rows[counts], place_of[rows, place][counts]), 1)

        return greedy(mask, k, gain, take)

    def _terms(self, wanted: Numbers, given: Numbers) -> Numbers:
        """(B, C) each -> p log(p / q̃), 0 where p is."""
        mixed = (1 - self.smoothing) * given + self.smoothing * wanted
        ratio = np.divide(wanted, mixed, out=np.ones_like(wanted), where=wanted > 0)
        found: Numbers = wanted * np.log(ratio)
        return found

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Both alike, and mostly by shares."""
        return (cls(), cls(0.9, smoothing=0.1))


def _shares(lists: Ragged, category: NDArray[np.int64], count: int) -> Numbers:
    """(lists, categories): the share of each among the items whose category is known."""
    code = category[lists.values]
    owner = np.repeat(np.arange(len(lists)), lists.lengths)
    flat = (owner * count + code)[code >= 0]
    table = np.bincount(flat, minlength=len(lists) * count).reshape(len(lists), count).astype(np.float64)
    shares: Numbers = table / np.maximum(table.sum(1, keepdims=True), 1)
    return shares
