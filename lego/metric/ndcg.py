"""Normalised discounted cumulative gain."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.metric.expectation import mean_weight
from lego.metric.group import GroupMetric, where_positive
from lego.metric.ranking import Ranking
from lego.spec import ge, operator


@operator
class NDCG(GroupMetric):
    """Discounted gain of the first k rows over the best that is possible, averaged over groups (Järvelin and Kekäläinen 2002,
    https://doi.org/10.1145/582415.582418).

        DCG@k = Σ over positives at rank r ≤ k of 1 / log2(r + 1)        nDCG@k = mean over g of  DCG@k / best DCG@k

    The best puts min(k, positives) positives first. Labels are 0 or 1, so a gain of 2^label - 1 is the same. `k=None` takes the
    whole list.

    Ties: the expectation; a positive of a run has the mean discount of the run's ranks, those behind k weighing 0. Groups: those
    with a positive, each counted once.

    One click at rank 2, cut at 5: 1 / log2(3).

    >>> from lego.metric.ranking import Ranking
    >>> round(NDCG(5).measure(Ranking([0.9, 0.8, 0.7], [0, 1, 0], [0, 0, 0])), 4)
    0.6309
    """

    k: int | None = attrs.field(default=None, kw_only=False, validator=ge(1))

    @property
    def name(self) -> str:
        """`ndcg@5`; `ndcg` for the whole list."""
        return "ndcg" if self.k is None else f"ndcg@{self.k}"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the nDCG of each group; NaN without a positive."""
        hits = ranking.hits
        longest = int(ranking.sizes.max())
        cut = longest if self.k is None else min(self.k, longest)
        discounts = 1.0 / np.log2(np.arange(2, cut + 2))
        gain = ranking.sums(hits.positives * mean_weight(discounts, hits.before, hits.size))
        best = np.concatenate([[1.0], np.cumsum(discounts)])[np.minimum(ranking.positives, cut)]
        return where_positive(ranking, gain / best)
