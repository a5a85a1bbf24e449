"""What shares rare words with what was read before (Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019).

The words of all items of a history are the query, a candidate is the document:

    score = Σ over words w of the query  n(w) · idf(w) · tf(w) / (tf(w) + k1 · (1 - b + b · length / mean length))

tf(w) counts w in the candidate and n(w) in the history; idf(w) = log(1 + (N - N_w + ½) / (N_w + ½)), where N_w of N items
have w. The library bm25s weighs the words of the items.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Self

import attrs
import numpy as np

from lego.errors import LegoError
from lego.ragged import Ragged, flat_positions
from lego.scorer.base import Baseline, Fitted, Scores
from lego.scorer.words import words_of
from lego.spec import between, ge, operator

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store

_PLACES: Final = 1 << 23
"""Places (users × words) of the queries that are held at a time."""


@operator
class BM25(Baseline):
    """BM25 of a candidate's words, the words of the history being the query; nothing is learned. A user without history scores 0.

    `reads` names the attributes whose words count, the source's unless given; a word is a run of letters and digits, in lower
    case. New items score 0. Wants the library bm25s: pip install 'legorec[bm25]'.
    """

    k1: float = attrs.field(default=1.5, validator=ge(0))
    b: float = attrs.field(default=0.75, validator=between(0, 1))
    reads: tuple[str, ...] | None = None

    def fitted(self) -> Fitted:
        """A fresh scorer."""
        return _BM25(self.k1, self.b, self.reads)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """With its defaults, where the library is installed."""
        return (cls(), cls(k1=0.9, b=0.4)) if importlib.util.find_spec("bm25s") else ()


class _BM25:
    blind = True
    """It knows nothing of new items."""

    def __init__(self, k1: float, b: float, reads: tuple[str, ...] | None) -> None:
        self.k1, self.b, self.attributes = k1, b, reads
        self.words = Ragged(np.empty(0, np.int64), np.zeros(1, np.int64))
        self.weights: NDArray[np.float32] = np.empty(0, np.float32)
        self.counted = self.words
        self.size = 1
        self.histories: Ragged | None = None

    def fit(self, data: Store) -> None:
        """Weighs the words of all items; no click is read."""
        library = _library()
        names = self.attributes or tuple(data.manifest["reads"])
        every, vocabulary = words_of(data, names)
        lengths = np.array([0, *map(len, every)])
        self.size = max(1, len(vocabulary))
        self.counted = Ragged.from_lengths(
            np.array([word for each in every for word in each], np.int64), lengths
        )
        self.histories = data.users.history
        self.words = Ragged(np.empty(0, np.int64), np.zeros(len(lengths) + 1, np.int64))
        if not vocabulary:
            return
        index = library.BM25(k1=self.k1, b=self.b, method="lucene")
        index.index(
            library.tokenization.Tokenized(ids=every, vocab=vocabulary),
            create_empty_token=False,
            show_progress=False,
        )
        # The library keeps the items of each word; scoring a few candidates asks for the words of each item.
        made = index.scores
        items, weights = made["indices"], made["data"]
        word = np.repeat(np.arange(len(made["indptr"]) - 1), np.diff(made["indptr"]))
        order = np.argsort(items, kind="stable")
        self.words = Ragged.from_lengths(word[order], np.bincount(items + 1, minlength=len(lengths)))
        self.weights = weights[order].astype(np.float32)

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """BM25 of each candidate for its impression's history."""
        assert self.histories is not None
        scores = np.zeros(len(impressions.candidates.values), np.float32)
        offsets = impressions.candidates.offsets
        step = max(1, _PLACES // self.size)
        for at in range(0, len(impressions), step):
            end = min(at + step, len(impressions))
            start = impressions.start[at:end]
            lengths = np.maximum(impressions.stop[at:end] - start, 0)
            queries = self._queries(
                Ragged.from_lengths(self.histories.values[flat_positions(start, lengths)], lengths)
            )
            owner = np.repeat(np.arange(end - at), impressions.candidates.lengths[at:end])
            rows = impressions.candidates.values[offsets[at] : offsets[end]].astype(np.int64)
            scores[offsets[at] : offsets[end]] = self._scores(queries, owner, rows)
        return scores

    def against(self, histories: Ragged, new: pa.Table) -> Scores:
        """The same for each history; 0 for new items."""
        count = len(self.words) - 1

        def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            found = np.zeros((len(histories), len(rows)), np.float32)
            old = np.flatnonzero(rows <= count)
            step = max(1, _PLACES // self.size)
            for at in range(0, len(histories), step):
                users = np.arange(at, min(at + step, len(histories)))
                owner = np.repeat(np.arange(len(users)), len(old))
                scores = self._scores(
                    self._queries(histories.take(users)), owner, np.tile(rows[old], len(users))
                )
                found[at : at + len(users), old] = scores.reshape(len(users), len(old))
            return found

        return score

    def _queries(self, histories: Ragged) -> NDArray[np.float32]:
        """(B, words): how often each word stands in the items of each history."""
        words = self.counted.take(histories.values.astype(np.int64))
        owner = np.repeat(np.repeat(np.arange(len(histories)), histories.lengths), words.lengths)
        counts = np.bincount(owner * self.size + words.values, minlength=len(histories) * self.size)
        return counts.reshape(len(histories), self.size).astype(np.float32)

    def _scores(
        self, queries: NDArray[np.float32], owner: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(pairs,): BM25 of the item at each of `rows` for the query of its `owner`."""
        lengths = self.words.lengths[rows]
        places = flat_positions(self.words.offsets[rows], lengths)
        pair = np.repeat(np.arange(len(rows)), lengths)
        products = queries[owner[pair], self.words.values[places]] * self.weights[places]
        return np.bincount(pair, products, minlength=len(rows)).astype(np.float32)


def _library() -> Any:
    try:
        return importlib.import_module("bm25s")
    except ImportError:
        raise LegoError("BM25 wants bm25s, which is not installed: pip install 'legorec[bm25]'.") from None
