"""What everybody took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lego.scorer.base import Baseline, Fitted
from lego.spec import operator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store


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
