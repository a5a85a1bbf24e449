"""Several metrics of the same scores, from one sort."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from numpy.typing import ArrayLike

from lego.metric.ranking import Ranking, Ties
from lego.spec import Metric

COUNTS: Final = ("pairs", "groups", "left_out", "without_positive", "tie_rate")
"""What `measure` gives beside the metrics."""


def measure(
    metrics: Iterable[Metric],
    scores: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    ties: Ties = "average",
    *,
    offsets: ArrayLike | None = None,
) -> dict[str, float]:
    """The value of each metric by its name, then the `COUNTS`.

    `pairs` and `groups` are all rows and all groups; `left_out` counts the groups of one class, which GAUC leaves out;
    `without_positive` those of them that the other group metrics leave out too; `tie_rate` is the share of groups with a tie.
    Arguments and errors are those of `Ranking`; DataError also where a metric is defined for no group.

    >>> from lego.metric.mrr import MRR
    >>> measure([MRR()], [0.2, 0.8, 0.5], [1, 0, 0], [4, 4, 9])
    {'mrr': 0.5, 'pairs': 3, 'groups': 2, 'left_out': 1, 'without_positive': 1, 'tie_rate': 0.0}
    """
    ranking = Ranking(scores, labels, groups, offsets=offsets, ties=ties)
    result: dict[str, float] = {metric.name: metric.measure(ranking) for metric in metrics}
    result |= {
        "pairs": ranking.pairs,
        "groups": ranking.groups,
        "left_out": ranking.single_class,
        "without_positive": ranking.without_positive,
        "tie_rate": ranking.tie_rate,
    }
    return result
