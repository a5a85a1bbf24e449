"""Whether a positive is among the first k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.cut import CutMetric
from lego.metric.expectation import hit_chance
from lego.metric.ranking import Ranking
from lego.spec import operator


@operator
class Hit(CutMetric):
    """The share of groups with a positive among their first k rows.

        Hit@k = mean over g of  [the first positive of g stands at a rank ≤ k]

    Ties: the expectation; where rank k falls into a run of n tied rows with p positives, m rows of it inside, and no positive
    stands before, the group counts 1 - C(n - p, m) / C(n, m). Groups: those with a positive, each counted once; a group of at
    most k rows counts 1.

    Four candidates with equal scores, two clicks, k = 2: 1 - C(2, 2) / C(4, 2).

    >>> from lego.metric.ranking import Ranking
    >>> round(Hit(2).measure(Ranking([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0], [0, 0, 0, 0])), 4)
    0.8333
    """

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the chance of each group's hit; NaN without a positive."""
        hits = ranking.hits
        _, first = np.unique(hits.group, return_index=True)
        inside = np.clip(self.k - hits.before[first], 0, hits.size[first])
        result = np.full(ranking.groups, np.nan)
        result[hits.group[first]] = hit_chance(hits.size[first], hits.positives[first], inside)
        return result
