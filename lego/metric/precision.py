"""How many of the first k are positives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.cut import CutMetric
from lego.metric.group import where_positive
from lego.metric.ranking import Ranking
from lego.spec import operator


@operator
class Precision(CutMetric):
    """The share of positives among the first k rows of a group, averaged over groups.

        Precision@k = mean over g of  positives of g at ranks ≤ k / k

    A group with fewer than k positives, or fewer than k rows, cannot reach 1.

    Ties: the expectation; of p positives in a run of n tied rows, m of which are inside k, p · m / n count. Groups: those with a
    positive, each counted once.

    Clicks at the ranks 1 and 3, cut at 2: one of two.

    >>> from lego.metric.ranking import Ranking
    >>> Precision(2).measure(Ranking([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], [0, 0, 0, 0]))
    0.5
    """

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the precision of each group; NaN without a positive."""
        return where_positive(ranking, self.found(ranking) / self.k)
