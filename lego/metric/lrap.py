"""Average precision where a row stands behind all that tie with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.group import GroupMetric, where_positive
from lego.metric.ranking import Ranking
from lego.spec import operator


@operator
class LRAP(GroupMetric):
    """Label ranking average precision (Tsoumakas, Katakis and Vlahavas 2010, https://doi.org/10.1007/978-0-387-09823-4_34), the
    mean over groups.

        LRAP = mean over g of  mean over positives of g of  positives of g that score as high / rows of g that score as high

    "As high" means the same score or a higher one. Without ties it is `map`.

    Ties: none are broken under `average`, a run counts as its last row; the other rules order the rows first, and it is then the
    `map` of that order. Groups: those with a positive, each counted once.

    Four candidates, the click ties with one other behind none: 1 / 2.

    >>> from lego.metric.ranking import Ranking
    >>> LRAP().measure(Ranking([0.9, 0.9, 0.5, 0.1], [1, 0, 0, 0], [0, 0, 0, 0]))
    0.5
    """

    @property
    def name(self) -> str:
        """`lrap`."""
        return "lrap"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the value of each group; NaN without a positive."""
        hits = ranking.hits
        precision = (ranking.found + hits.positives) / (hits.before + hits.size)
        total = ranking.sums(hits.positives * precision)
        return where_positive(ranking, total / np.maximum(ranking.positives, 1))
