"""What evaluation, comparison and run folders see of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lego.spec import Scorer

if TYPE_CHECKING:
    import numpy as np
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
