"""Mean of the reciprocal ranks of all positives: what MIND's evaluation calls MRR."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.expectation import mean_weight
from lego.metric.group import GroupMetric, where_positive
from lego.metric.ranking import Ranking
from lego.spec import operator


@operator
class MRRAll(GroupMetric):
    """The reciprocal rank of every positive of a group, averaged over its positives, then over groups (Wu et al. 2020, MIND,
    https://aclanthology.org/2020.acl-main.331).

        MRRAll = mean over g of  (Σ over positives of g of 1 / rank) / positives of g

    With more than one positive the best value is below 1: 0.75 for two. `mrr` looks at the first positive alone.

    Ties: the expectation; a positive among n tied rows behind b better ones has (1/(b+1) + … + 1/(b+n)) / n. Groups: those with a
    positive, each counted once.

    Clicks at the ranks 1 and 3: (1 + 1/3) / 2.

    >>> from lego.metric.ranking import Ranking
    >>> round(MRRAll().measure(Ranking([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], [0, 0, 0, 0])), 4)
    0.6667
    """

    @property
    def name(self) -> str:
        """`mrr_all`."""
        return "mrr_all"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the mean reciprocal rank of each group's positives; NaN without a positive."""
        hits = ranking.hits
        weights = 1.0 / np.arange(1, int(ranking.sizes.max()) + 1)
        total = ranking.sums(hits.positives * mean_weight(weights, hits.before, hits.size))
        return where_positive(ranking, total / np.maximum(ranking.positives, 1))
