"""Reciprocal rank of the first positive."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.expectation import first_reciprocal
from lego.metric.group import GroupMetric
from lego.metric.ranking import Ranking
from lego.spec import operator


@operator
class MRR(GroupMetric):
    """One over the rank of the best positive of a group, averaged over groups (Voorhees 1999, TREC-8 question answering).

        MRR = mean over g of  1 / rank of the first positive of g

    `mrr_all` is the other number that goes by this name.

    Ties: the expectation; among n tied rows with p positives, behind b better ones,
    Σ_f C(n - f, p - 1) / C(n, p) / (b + f). Groups: those with a positive, each counted once.

    Three candidates with equal scores and one click: (1 + 1/2 + 1/3) / 3.

    >>> from lego.metric.ranking import Ranking
    >>> round(MRR().measure(Ranking([0.5, 0.5, 0.5], [0, 1, 0], [0, 0, 0])), 4)
    0.6111
    """

    @property
    def name(self) -> str:
        """`mrr`."""
        return "mrr"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the reciprocal rank of each group's first positive; NaN without a positive."""
        hits = ranking.hits
        _, first = np.unique(hits.group, return_index=True)
        result = np.full(ranking.groups, np.nan)
        result[hits.group[first]] = first_reciprocal(
            hits.before[first], hits.size[first], hits.positives[first]
        )
        return result
