"""AUC per group, averaged: what papers on MIND report as AUC."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.group import GroupMetric
from lego.metric.ranking import Ranking
from lego.spec import operator


@operator
class GAUC(GroupMetric):
    """The share of (positive, negative) pairs of a group in the right order, averaged over groups.

        GAUC = mean over g of  (pairs of g in the right order + ½ tied pairs of g) / (positives of g · negatives of g)

    Ties: a tied pair counts ½ (0 under `pessimistic`, 1 under `optimistic`). Groups: those with a positive and a negative, each
    counted once; the others are left out, and `ranking.single_class` says how many.

    Four candidates, the click ties with one of the three others and beats one: (1 + ½) / 3.

    >>> from lego.metric.ranking import Ranking
    >>> GAUC().measure(Ranking([0.9, 0.5, 0.5, 0.1], [0, 1, 0, 0], [0, 0, 0, 0]))
    0.5
    """

    @property
    def name(self) -> str:
        """`gauc`."""
        return "gauc"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the AUC of each group; NaN without both classes."""
        pairs = ranking.positives * ranking.negatives
        return np.where(pairs > 0, ranking.wins / np.maximum(pairs, 1), np.nan)
