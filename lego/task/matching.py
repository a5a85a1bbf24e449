"""Pick the clicked item among others: softmax cross-entropy over one positive and K negatives.

−log(exp(s⁺) / (exp(s⁺) + Σ_k exp(s⁻_k))), the training of NRMS and most neural news recommenders (Wu et al. 2019,
https://aclanthology.org/D19-1671, equation 12).

With the source `batch` the clicks of a batch are candidates of all its rows: as many negatives as the batch has room for, none of
which has to be encoded for its own sake. Popular items then are negatives more often than others and their scores suffer for it,
unless the log of how often an item is drawn is taken off its score in training, s − log q (Yi et al. 2019,
https://doi.org/10.1145/3298689.3346996).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from torch import Tensor, nn

from lego.contract import Candidates
from lego.nn.loss import cross_entropy
from lego.spec import Context, Task, ge, operator
from lego.task.negatives import Excluded, NegativeSource, check_correction, check_exclude, drawn


@operator
class Matching(Task):
    """A row for each click, with `negatives` items from `source`: 4 where none is said, with `batch` all there are.

    `impression`: shown beside the click and not clicked; `user`: shown to the same user at any time and not clicked;
    `uniform` and `popularity`: from the whole catalogue, evenly or as often as items are clicked; `batch`: the clicks of the
    batch's other rows. `correction=True`, with the last two, keeps popular items from losing by being drawn more often.
    All but the first leave out what the user clicked in the part, and with `exclude="history"` what the user clicked before, too.
    They are drawn anew in each epoch, by the training seed.
    """

    negatives: int | None = attrs.field(default=None, validator=ge(1))
    source: NegativeSource = "impression"
    correction: bool = False
    exclude: Excluded = "history"

    def __attrs_post_init__(self) -> None:
        """SpecError where `source` leaves nothing to correct, or nothing to exclude."""
        check_correction(self, self.source, self.correction)
        check_exclude(self, self.source, self.exclude)

    @property
    def candidates(self) -> Candidates:
        """One positive and its negatives."""
        return drawn(self.negatives, self.source, correction=self.correction, exclude=self.exclude)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Matching()

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (cls(), cls(negatives=2, source="popularity"), cls(source="batch", correction=True))


class _Matching(nn.Module):
    def forward(self, scores: Tensor, labels: Tensor, candidate_mask: Tensor) -> Tensor:
        """scores (B, C), labels (B, C), candidate_mask (B, C) -> the mean over rows that have a positive.

        The positive is where the label says. A row with several shares its target evenly among them.
        """
        return cross_entropy(scores, labels, candidate_mask)
