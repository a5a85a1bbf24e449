"""AUC over all rows at once."""

from __future__ import annotations

from typing import Any

from lego.errors import DataError, Problem
from lego.metric.gauc import GAUC
from lego.spec import Metric, operator


@operator
class AUC(Metric):
    """The share of (positive, negative) pairs of all rows, whatever their groups, in the right order.

        AUC = (pairs in the right order + ½ tied pairs) / (positives · negatives)

    A model trained by a softmax inside each impression may score all candidates of a user higher than those of another; that
    offset means nothing, and it ruins this number. Read `gauc` for such models.

    Ties: a tied pair counts ½ (0 under `pessimistic`, 1 under `optimistic`). Groups: every row counts, also those of groups
    of one class. DataError where all rows are of one class.

    Both groups are in perfect order; once the second is higher by an offset, of 2 · 2 pairs 3 are right.

    >>> from lego.metric.ranking import Ranking
    >>> AUC().measure(Ranking([0.2, 0.1, 0.9, 0.15], [1, 0, 1, 0], [0, 0, 1, 1]))
    1.0
    >>> AUC().measure(Ranking([0.2, 0.1, 0.9, 0.8], [1, 0, 1, 0], [0, 0, 1, 1]))
    0.75
    """

    @property
    def name(self) -> str:
        """`auc`."""
        return "auc"

    def measure(self, ranking: Any) -> float:
        """The AUC of all rows as one group; DataError where they are of one class."""
        pooled = ranking.pooled
        if pooled.single_class:
            what = f"all {ranking.pairs} rows are {'negative' if pooled.without_positive else 'positive'}"
            raise DataError(
                [Problem(self.name, what, "measure a part that holds both positives and negatives")]
            )
        return float(GAUC().values(pooled)[0])
