"""How far predicted probabilities are from what happens."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import attrs
import numpy as np

from lego.metric.probability import probabilities
from lego.spec import Metric, ge, operator


@operator
class ECE(Metric):
    """Expected calibration error: the gap between predicted and real shares of clicks, over bins of equal width (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599). Smaller is better.

        ECE = Σ over bins of  rows of the bin / rows · |mean σ(score) of the bin - share of positives of the bin|

    Bin i of `bins` holds the probabilities in [i / bins, (i + 1) / bins), the last one 1 too. Scores are read as logits; it does
    not apply where they are none, as behind a softmax over candidates.

    Ties: none, order does not matter. Groups: every row counts, whatever its group.

    Two rows of probability ½, one clicked: no error. Two such rows, both clicked: ½.

    >>> from lego.metric.ranking import Ranking
    >>> ECE().measure(Ranking([0.0, 0.0], [1, 0], [0, 0])), ECE().measure(Ranking([0.0, 0.0], [1, 1], [0, 0]))
    (0.0, 0.5)
    """

    bins: int = attrs.field(default=15, kw_only=False, validator=ge(1))
    larger_is_better: ClassVar[bool] = False
    logits: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """`ece@15`."""
        return f"ece@{self.bins}"

    def measure(self, ranking: Any) -> float:
        """The value over all rows, summed in float64; each bin is rounded once, so that the order of rows changes no digit."""
        chance = probabilities(ranking)
        place = np.minimum((chance * self.bins).astype(np.int64), self.bins - 1)
        order = np.argsort(place, kind="stable")
        gaps = np.split(
            (chance - ranking.labels)[order], np.cumsum(np.bincount(place, minlength=self.bins))[:-1]
        )
        return math.fsum(abs(math.fsum(gap.tolist())) for gap in gaps) / ranking.pairs
