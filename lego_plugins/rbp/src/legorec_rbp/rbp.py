"""Rank-biased precision (Moffat and Zobel 2008, https://doi.org/10.1145/1416950.1416952)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.metric.group import GroupMetric
from lego.metric.ranking import Ranking
from lego.spec import between, gt, operator


@operator
class RBP(GroupMetric):
    """What a reader finds who looks at the first item, and at each further one with the probability p.

        RBP = mean over g of  (1 − p) · Σ over positives of p^(rank − 1)

    The reader of `RBP(0.8)`, which `rbp@0.8` asks for, sees 1 / (1 − 0.8) = 5 items on average. Unlike nDCG and recall it is not
    divided by what could be found: the most that a group of R positives can have is 1 − p^R.

    Ties: the expectation; n tied rows behind b better ones have the mean of p^b … p^(b + n − 1) each. Groups: those with a
    positive, each counted once.

    Two candidates, the click second: half of one half.

    >>> from lego.metric.ranking import Ranking
    >>> RBP(0.5).measure(Ranking([0.9, 0.1], [0, 1], [0, 0]))
    0.25
    """

    p: float = attrs.field(default=0.8, kw_only=False, validator=[gt(0), between(0, 1)])

    @property
    def name(self) -> str:
        """`rbp@0.8`."""
        return f"rbp@{self.p:g}"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): of each group; NaN without a positive."""
        hits = ranking.hits
        # (1 − p) Σ p^r over r = b … b + n − 1 is p^b (1 − p^n), of which each of n rows has its share.
        expected = hits.positives * self.p**hits.before * (1 - self.p**hits.size) / hits.size
        return np.where(ranking.positives > 0, ranking.sums(expected), np.nan)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """A reader of two items, and one of twenty."""
        return (cls(0.5), cls(0.95))
