"""How many of the positives are among the first k."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.metric.group import GroupMetric, where_positive
from lego.metric.ranking import Ranking
from lego.spec import ge, operator


@operator
class Recall(GroupMetric):
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

    k: int = attrs.field(kw_only=False, validator=ge(1))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Both ends of a short list."""
        return (cls(1), cls(5))

    @property
    def name(self) -> str:
        """`recall@5`."""
        return f"recall@{self.k}"

    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the recall of each group; NaN without a positive."""
        hits = ranking.hits
        inside = np.clip(self.k - hits.before, 0, hits.size)
        found = ranking.sums(hits.positives * inside / hits.size)
        return where_positive(ranking, found / np.maximum(ranking.positives, 1))
