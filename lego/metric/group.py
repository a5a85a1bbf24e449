"""What the metrics share that are a mean over groups."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lego.errors import DataError, Problem
from lego.metric.ranking import Ranking
from lego.spec import Metric


class GroupMetric(Metric):
    """A number for each group, and its mean over the groups for which it is defined, each group counted once."""

    @abstractmethod
    def values(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,), in the order of `ranking.ids`; NaN marks a group that is left out."""

    def measure(self, ranking: Any) -> float:
        """The mean over the groups that count, summed in float64; DataError where no group does."""
        return self.mean(self.values(ranking), ranking)

    def mean(self, values: NDArray[np.float64], ranking: Ranking) -> float:
        """values (groups,): the mean of those that are no NaN; DataError where none is, with why.

        The sum is rounded once, at its end, so that the order of the groups changes no digit.
        """
        counted = ~np.isnan(values)
        if not counted.any():
            what = f"none of the {ranking.groups} groups can be counted: {ranking.without_positive} have no positive"
            what += f", {ranking.single_class - ranking.without_positive} no negative"
            raise DataError(
                [Problem(self.name, what, "measure a part whose groups hold both positives and negatives")]
            )
        return math.fsum(values[counted].tolist()) / int(counted.sum())


def where_positive(ranking: Ranking, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """values (groups,), NaN for the groups without a positive."""
    return np.where(ranking.positives > 0, values, np.nan)
