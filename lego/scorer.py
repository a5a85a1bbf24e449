"""What evaluation, comparison and run folders see of a model, and the baselines beside the Recommender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs
import numpy as np

from lego.spec import Scorer, ge, operator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store


class Fitted(Protocol):
    """Anything that can be fitted to the train part of prepared data and then scores candidates."""

    def fit(self, data: Store) -> None:
        """Learns from the train part (and the dev part, to stop early)."""
        ...

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """One score per candidate, in the flat order of `impressions.candidates.values`."""
        ...


class Baseline(Scorer):
    """A scorer that needs no compilation: it is fitted as it is."""

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        raise NotImplementedError


@operator
class Random(Baseline):
    """Uniform chance: the true zero point of every ranking metric."""

    seed: int = attrs.field(default=0, validator=ge(0))

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        return _Random(self.seed)


class _Random:
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, data: Store) -> None:
        """Nothing to learn."""

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """Uniform in [0, 1), the same for the same seed."""
        generator = np.random.default_rng(self.seed)
        return generator.random(len(impressions.candidates.values), dtype=np.float32)


@operator
class Popularity(Baseline):
    """log(1 + clicks of the item in the train part): what everybody took before. Reads no later part, so no future leaks."""

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        return _Popularity()


class _Popularity:
    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def fit(self, data: Store) -> None:
        """Counts clicks of the train part."""
        train = data.part("train")
        clicked = train.candidates.values[train.labels == 1]
        self.counts = np.bincount(clicked, minlength=data.items.num_rows + 1)

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """log(1 + clicks)."""
        scores: NDArray[np.float32] = np.log1p(self.counts[impressions.candidates.values]).astype(np.float32)
        return scores
