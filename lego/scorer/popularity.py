"""What everybody took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lego.scorer.base import Baseline, Fitted, Scores
from lego.spec import operator

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store
    from lego.ragged import Ragged


@operator
class Popularity(Baseline):
    """log(1 + clicks of the item in the train part): what everybody took before. Reads no later part, so no future leaks."""

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        return _Popularity()


class _Popularity:
    blind = True
    """Nobody has taken a new item yet."""

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

    def against(self, histories: Ragged, new: pa.Table) -> Scores:
        """The same for every user; 0 for new items."""
        scores = np.log1p(np.concatenate([self.counts, np.zeros(new.num_rows, np.int64)])).astype(np.float32)
        return lambda rows: np.broadcast_to(scores[rows], (len(histories), len(rows))).copy()
