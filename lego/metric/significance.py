"""Whether two models differ on the same groups: paired tests of the mean difference, intervals and effect sizes.

A group is an impression, mostly; its difference is that of the two models' values for it. The permutation test flips the signs of
differences at random (Smucker, Allan and Carterette 2007, https://doi.org/10.1145/1321440.1321528), the bootstrap draws groups
with replacement. Holm 1979 corrects p-values for their number. scipy does the drawing.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.errors import LegoError

Test = Literal["permutation", "bootstrap"]
TESTS: Final = ("permutation", "bootstrap")

WITHOUT_SCIPY: Final = "Tests want scipy, which is not installed: pip install 'legorec[compare]'"
_PLACES: Final = 1 << 22
"""Numbers that a draw holds at a time."""


@attrs.frozen(kw_only=True)
class Paired:
    """What a paired test found."""

    groups: int
    difference: float
    """The mean of first minus second."""
    interval: tuple[float, float]
    """Of the mean difference, by the percentiles of a bootstrap over groups."""
    effect: float | None
    """The mean difference over the standard deviation of the differences (Cohen's d for pairs); None where that is 0."""
    p: float
    """Two-sided."""


def available() -> bool:
    """Whether scipy is there."""
    try:
        importlib.import_module("scipy.stats")
    except ImportError:
        return False
    return True


def paired(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    generator: np.random.Generator,
    *,
    test: Test = "permutation",
    resamples: int = 9999,
    confidence: float = 0.95,
) -> Paired:
    """first, second (groups,): the values of two models for the same groups; where either is NaN the group is left out.

    LegoError where scipy is missing, or where fewer than two groups are left.
    """
    try:
        stats: Any = importlib.import_module("scipy.stats")
    except ImportError:
        raise LegoError(f"{WITHOUT_SCIPY}.") from None
    differences = first - second
    differences = differences[~np.isnan(differences)]
    count = len(differences)
    if count < 2:
        raise LegoError(f"A paired test wants two groups that count in both, and there are {count}.")
    batch = max(1, _PLACES // count)

    def mean(values: NDArray[np.float64], axis: int = -1) -> Any:
        return values.mean(axis)

    drawn = stats.bootstrap(
        (differences,),
        mean,
        n_resamples=resamples,
        batch=batch,
        confidence_level=confidence,
        method="percentile",
        rng=generator,
    )
    if test == "permutation":
        p = stats.permutation_test(
            (differences,),
            mean,
            permutation_type="samples",
            n_resamples=resamples,
            batch=batch,
            rng=generator,
        ).pvalue
    else:
        low = int((drawn.bootstrap_distribution <= 0).sum())
        high = int((drawn.bootstrap_distribution >= 0).sum())
        p = min(1.0, 2 * (min(low, high) + 1) / (resamples + 1))
    spread = float(differences.std(ddof=1))
    average = float(differences.mean())
    return Paired(
        groups=count,
        difference=average,
        interval=(float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)),
        effect=average / spread if spread > 0 else None,
        p=float(p),
    )


def student(confidence: float, freedom: int) -> float:
    """t with P(|T| < t) = confidence, for Student's distribution of so many degrees of freedom.

    The probability is the finite sum of Abramowitz and Stegun 1964 (26.7.3, 26.7.4), turned round by halving.

    >>> round(student(0.95, 2), 4)
    4.3027
    """

    def inside(t: float) -> float:
        angle = math.atan(t / math.sqrt(freedom))
        sine, cosine = math.sin(angle), math.cos(angle)
        odd = freedom % 2
        term, total = (cosine if odd else 1.0), 0.0
        for place in range(1 + odd, freedom, 2):
            total += term
            term *= cosine * cosine * place / (place + 1)
        return 2 / math.pi * (angle + sine * total) if odd else sine * total

    low, high = 0.0, 1.0
    while inside(high) < confidence:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < confidence else (low, middle)
    return high


def holm(values: Sequence[float]) -> list[float]:
    """p-values, each as it is once all are corrected for their number.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = [0.0] * len(values)
    largest = 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[at]))
        corrected[at] = largest
    return corrected
