"""F1 of clicks that are predicted at a threshold."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np

from lego.errors import DataError, Problem
from lego.metric.probability import probabilities
from lego.spec import Metric, between, operator


@operator
class F1(Metric):
    """The harmonic mean of precision and recall of the rows whose probability of a click reaches a threshold (van Rijsbergen
    1979, Information Retrieval).

        F1@t = 2 TP / (2 TP + FP + FN),  a click being predicted where σ(score) ≥ t

    Scores are read as logits; it does not apply where they are none, as behind a softmax over candidates.

    Ties: none, order does not matter. Groups: every row counts, whatever its group. DataError where there is neither a positive
    nor a row that reaches the threshold.

    Two clicks are predicted, one rightly, and one is missed: 2 / (2 + 1 + 1).

    >>> from lego.metric.ranking import Ranking
    >>> F1(0.5).measure(Ranking([2.0, 1.0, -1.0, -2.0], [1, 0, 1, 0], [0, 0, 0, 0]))
    0.5
    """

    threshold: float = attrs.field(default=0.5, kw_only=False, validator=between(0, 1))
    logits: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """`f1@0.5`."""
        return f"f1@{self.threshold:g}"

    def measure(self, ranking: Any) -> float:
        """The value over all rows."""
        predicted = probabilities(ranking) >= self.threshold
        hit = int(np.count_nonzero(predicted & ranking.labels))
        wrong = int(np.count_nonzero(predicted != ranking.labels))
        if not hit and not wrong:
            what = f"no row is positive, and none reaches the probability {self.threshold:g}"
            raise DataError([Problem(self.name, what, "measure a part that holds positives")])
        return 2 * hit / (2 * hit + wrong)
