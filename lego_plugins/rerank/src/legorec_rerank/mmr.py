"""Maximal marginal relevance (Carbonell and Goldstein 1998, https://doi.org/10.1145/290941.291025).

One item after the other is taken, S being what was taken before:

    argmax over i of  λ · relevance(i) − (1 − λ) · max over j in S of cos(i, j)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.contract import Lists
from lego.ragged import Ragged
from lego.spec import Rerank, ge, operator, within
from legorec_rerank.greedy import greedy, relevance


@operator
class MMR(Rerank):
    """Items that are liked, and unlike what stands above them: `balance` 1 is the order by score, 0 looks at variety alone.

    The relevance is the score, led to 0 … 1 within each list, since a cosine can only be weighed against what has a like range.
    `among` says of how many of the best items a recommendation of k is chosen, as a multiple of k. A zero vector is unlike all.
    """

    reads_vectors: ClassVar[bool] = True

    balance: float = attrs.field(default=0.7, kw_only=False, validator=within(0, 1))
    among: int = attrs.field(default=10, validator=ge(1))

    def pool(self, k: int) -> int:
        """So many times k."""
        return self.among * k

    def rerank(self, lists: Lists, k: int) -> Ragged:
        """Greedily, one place after the other, for all lists at once."""
        assert lists.vectors is not None  # `reads_vectors` asks for them
        scores, mask = relevance(lists)
        items, _ = lists.items.padded()
        wide = lists.vectors[items].astype(np.float64)  # (B, P, D)
        length = np.linalg.norm(wide, axis=2, keepdims=True)
        units = np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
        nearest = np.full(mask.shape, -1.0)  # the least that a cosine can be
        rows = np.arange(len(mask))

        def gain(step: int) -> NDArray[np.float64]:
            if step == 0:  # nothing stands above the first
                return scores
            return self.balance * scores - (1 - self.balance) * nearest

        def take(place: NDArray[np.int64], taken: NDArray[np.bool_]) -> None:
            likeness = np.einsum("bpd,bd->bp", units, units[rows, place])
            np.maximum(nearest, likeness, out=nearest, where=taken[:, None])

        return greedy(mask, k, gain, take)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Mostly by score, and mostly by variety."""
        return (cls(), cls(0.3, among=5))
