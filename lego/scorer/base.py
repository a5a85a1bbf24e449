"""What evaluation, comparison and run folders see of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from lego.spec import Scorer

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store
    from lego.ragged import Ragged


class Fitted(Protocol):
    """Anything that can be fitted to the train part of prepared data and then scores candidates."""

    def fit(self, data: Store) -> None:
        """Learns from the train part (and the dev part, to stop early)."""
        ...

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """One score per candidate, in the flat order of `impressions.candidates.values`."""
        ...


Scores = Callable[[Any], Any]
"""Item rows (P,), ascending -> scores (B, P) of some users for them, a tensor or an array."""


class Recommending(Fitted, Protocol):
    """What a fitted scorer has that can recommend, which goes beyond the impressions of the data."""

    def against(self, histories: Ragged, new: pa.Table) -> Scores:
        """For B users with these histories (item rows, oldest first). Rows behind the catalog's are the lines of `new`."""
        ...


class Baseline(Scorer):
    """A scorer that needs no compilation: it is fitted as it is."""

    def seeded(self, seed: int) -> Baseline:
        """The same, drawing from `seed` where it draws and was given no seed; itself where there is nothing to seed."""
        return self

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        raise NotImplementedError
