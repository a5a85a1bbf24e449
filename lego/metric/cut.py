"""What the metrics share that look at the first k rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.metric.group import GroupMetric
from lego.metric.ranking import Ranking
from lego.spec import ge


@attrs.frozen(kw_only=True, repr=False, slots=False)
class CutMetric(GroupMetric):
    """A metric of the first k rows of each group."""

    k: int = attrs.field(kw_only=False, validator=ge(1))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Both ends of a short list."""
        return (cls(1), cls(5))

    @property
    def name(self) -> str:
        """The name of the class and k: `recall@5`."""
        return f"{type(self).__name__.lower()}@{self.k}"

    def found(self, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): positives at ranks up to k; of p in a run of n tied rows, m of which are inside, p · m / n are expected."""
        hits = ranking.hits
        inside = np.clip(self.k - hits.before, 0, hits.size)
        return ranking.sums(hits.positives * inside / hits.size)
