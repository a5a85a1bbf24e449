"""How many of the positives are among the first k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.cut import CutMetric
from lego.metric.group import where_positive
from lego.metric.ranking import Ranking
from lego.spec import operator


@operator
class Recall(CutMetric):
    """The share of a group's positives that stand among its first k rows, averaged over groups.

        Recall@k = mean over g of  positives of g at ranks ≤ k / positives of g

    A group with more than k positives cannot reach 1.

    Ties: the expectation; of p positives in a run of n tied rows, m of which are inside k, p · m / n count. Groups: those with a
    positive, each counted once.

    Clicks at the ranks 1 and 3, cut at 2: one of two.

    >>> from lego.metric.ranking import Ranking
    >>> Recall(2).measure(Ranking([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], [0, 0, 0, 0]))
    0.5
    """

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the recall of each group; NaN without a positive."""
        return where_positive(ranking, self.found(ranking) / np.maximum(ranking.positives, 1))
