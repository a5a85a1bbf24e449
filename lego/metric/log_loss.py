"""Cross-entropy of clicks."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from lego.spec import Metric, operator


@operator
class LogLoss(Metric):
    """Mean negative log-likelihood of the labels, in nats. Smaller is better.

        LogLoss = mean over rows of  -log σ(score) for a positive, -log(1 - σ(score)) for a negative
                = mean over rows of  log(1 + exp(∓ score))

    Scores are read as logits, before any sigmoid; nothing is clipped, and large scores do not overflow. It does not apply where
    scores are no logits of a click, as behind a softmax over candidates: a run then shows none.

    Ties: none, order does not matter. Groups: every row counts once, also those of groups of one class.

    A score of 0 is a probability of ½: log 2.

    >>> from lego.metric.ranking import Ranking
    >>> round(LogLoss().measure(Ranking([0.0, 0.0], [1, 0], [0, 0])), 4)
    0.6931
    """

    larger_is_better: ClassVar[bool] = False
    logits: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """`logloss`."""
        return "logloss"

    def measure(self, ranking: Any) -> float:
        """The mean over all rows, in float64; rounded once, so that their order changes no digit."""
        scores = ranking.scores.astype(np.float64)
        losses = np.logaddexp(0.0, np.where(ranking.labels, -scores, scores))
        return math.fsum(losses.tolist()) / ranking.pairs
