"""Chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np

from lego.scorer.base import Baseline, Fitted, Scores
from lego.spec import ge, operator

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store
    from lego.ragged import Ragged


@operator
class Random(Baseline):
    """Uniform chance: the true zero point of every ranking metric. Drawn from `seed`, the seed of the training unless given."""

    seed: int | None = attrs.field(default=None, validator=ge(0))

    def seeded(self, seed: int) -> Random:
        """With this seed, where it has none."""
        return Random(seed=seed) if self.seed is None else self

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        return _Random(self.seed or 0)


class _Random:
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, data: Store) -> None:
        """Nothing to learn."""

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """Uniform in [0, 1), the same for the same seed."""
        generator = np.random.default_rng(self.seed)
        return generator.random(len(impressions.candidates.values), dtype=np.float32)

    def against(self, histories: Ragged, new: pa.Table) -> Scores:
        """Uniform in [0, 1) for each user and item."""
        generator = np.random.default_rng(self.seed)
        return lambda rows: generator.random((len(histories), len(rows)), dtype=np.float32)
