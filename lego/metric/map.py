"""Average precision."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.metric.expectation import mean_weight
from lego.metric.group import GroupMetric, where_positive
from lego.metric.ranking import Ranking
from lego.spec import ge, operator


@operator
class MAP(GroupMetric):
    """The mean of the precisions at the ranks of a group's positives, averaged over groups (Manning, Raghavan and Schütze 2008,
    https://nlp.stanford.edu/IR-book/html/htmledition/evaluation-of-ranked-retrieval-results-1.html).

        MAP = mean over g of  (Σ over positives of g at rank r ≤ k of  positives at ranks ≤ r / r) / positives of g

    `k=None` takes the whole list. With k the sum is still divided by all positives of the group.

    Ties: the expectation; at place j of a run of n tied rows with p positives, behind b rows with q positives, stands a positive
    with probability p / n, and the precision is then (q + 1 + (j - 1)(p - 1) / (n - 1)) / (b + j). Groups: those with a positive,
    each counted once.

    Clicks at the ranks 1 and 3: (1 + 2/3) / 2.

    >>> from lego.metric.ranking import Ranking
    >>> round(MAP().measure(Ranking([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], [0, 0, 0, 0])), 4)
    0.8333
    """

    k: int | None = attrs.field(default=None, kw_only=False, validator=ge(1))

    @property
    def name(self) -> str:
        """`map@5`; `map` for the whole list."""
        return "map" if self.k is None else f"map@{self.k}"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the average precision of each group; NaN without a positive."""
        hits, found = ranking.hits, ranking.found
        longest = int(ranking.sizes.max())
        cut = longest if self.k is None else min(self.k, longest)
        # Over the places j of a run that stand inside: Σ 1/(b + j), and Σ (j - 1)/(b + j) = places - (b + 1) Σ 1/(b + j).
        reciprocals = hits.size * mean_weight(1.0 / np.arange(1, cut + 1), hits.before, hits.size)
        inside = np.clip(cut - hits.before, 0, hits.size)
        others = (hits.positives - 1) / np.maximum(hits.size - 1, 1)
        expected = (found + 1) * reciprocals + others * (inside - (hits.before + 1) * reciprocals)
        total = ranking.sums(hits.positives / hits.size * expected)
        return where_positive(ranking, total / np.maximum(ranking.positives, 1))
