"""Scores that another system made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.scores import numbers, read_scores
from lego.data.table import flat
from lego.errors import DataError, Problem
from lego.scorer.base import Baseline, Fitted
from lego.spec import PATH, operator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store

_SHOWN = 5


@operator
class ScoreFile(Baseline):
    """The scores of any system, from a Parquet, CSV or TSV file with the columns `impression`, `item` and `score`.

    Ids are those of the data. Every candidate that is measured must have a row; others are not read. So a system from outside
    is run, measured and compared as a model of ours is.
    """

    path: str = attrs.field(kw_only=False, metadata=PATH)

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        return _ScoreFile(self.path)


class _ScoreFile:
    def __init__(self, path: str) -> None:
        self.path = path
        self.items: pa.Array = pa.array([], pa.string())
        self.pairs: NDArray[np.int64] = np.empty(0, np.int64)
        self.scores: NDArray[np.float32] = np.empty(0, np.float32)
        self.impressions: pa.Array = pa.array([], pa.string())

    def fit(self, data: Store) -> None:
        """Reads the file. DataError with all that is wrong in it."""
        table = read_scores(self.path, ("impression", "item", "score"))
        self.items = data.item_ids
        self.impressions = pc.unique(table["impression"].cast(pa.string()))
        ids = table["item"].cast(pa.string()).combine_chunks()
        pairs = self._pairs(table["impression"], data.item_rows(ids))
        known = np.flatnonzero(pairs >= 0)
        order = known[np.argsort(pairs[known], kind="stable")]
        self.pairs = pairs[order]
        self.scores = numbers(table["score"])[order].astype(np.float32)

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """The score of each candidate. DataError where the file lacks some, with the first of them."""
        owner = np.repeat(impressions.impression, impressions.candidates.lengths)
        wanted = self._pairs(pa.chunked_array([owner]), impressions.candidates.values)
        place = np.minimum(np.searchsorted(self.pairs, wanted), max(0, len(self.pairs) - 1))
        there = self.pairs[place] == wanted if len(self.pairs) else np.zeros(len(wanted), np.bool_)
        there &= wanted >= 0
        if not there.all():
            missing = np.flatnonzero(~there)
            shown = ", ".join(
                f"impression {owner[at]}, item {self.items[int(impressions.candidates.values[at]) - 1]}"
                for at in missing[:_SHOWN]
            )
            what = f"has no score for {len(missing)} of {len(wanted)} candidates ({shown})"
            raise DataError(
                [Problem(self.path, what, "score every candidate of the part, with the ids of the data")]
            )
        return self.scores[place]

    def _pairs(self, impression: pa.ChunkedArray, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """A whole number for each pair of an impression of the file and an item of the data; -1 where either is unknown."""
        found = flat(pc.fill_null(pc.index_in(impression.cast(pa.string()), self.impressions), -1)).astype(
            np.int64
        )
        pairs = found * (len(self.items) + 1) + rows
        return np.where((found >= 0) & (rows > 0), pairs, -1)
