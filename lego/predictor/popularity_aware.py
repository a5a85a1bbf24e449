"""Popularity beside interest: PP-Rec's ranking score (Qi et al. 2021, https://arxiv.org/abs/2106.01300), sections 3.3 and 3.5.

score = (1 − η) · base + η · (w_c · c + w_p · p), η = σ(MLP(user)),
p = θ · MLP(item) + (1 − θ) · MLP(r), θ = σ(MLP([item; r])),

where c is how popular the item was before the impression and r the embedding of its age. Ages fall into buckets that double; in
the paper each hour has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Form, Need, Needs, Out
from lego.errors import SpecError
from lego.nn.gaps import BUCKETS, buckets
from lego.nn.masked import masked_mean, zero_padding
from lego.nn.mlp import MLP
from lego.nn.score import Score
from lego.predictor.dot import Dot
from lego.predictor.widths import widths
from lego.spec import Choice, Context, Predictor, operator


@operator
class PopularityAware(Predictor):
    """The scores of `base` and those of popularity, mixed for each user; data without times of impressions is refused.

    `popularity` and `recency` name numbers beside candidates (`lego.data.past`): `past_rate@24` is the click-through rate of the
    day before the impression, `past_clicks` suits drawn candidates, `past_age@published` is the age since an attribute of the
    items. What is no rate is read as log(1 + number), an age in seconds. `hidden` are the widths of each perceptron.
    """

    base: Predictor = attrs.field(default=Dot(), kw_only=False)
    popularity: str = "past_rate"
    recency: str = "past_age"
    hidden: tuple[int, ...] = attrs.field(default=(128, 64), validator=widths)

    @property
    def takes(self) -> frozenset[Form]:  # type: ignore[override]  # as wide as that of the base
        """What the base takes."""
        return self._base.takes

    @property
    def needs(self) -> frozenset[Need]:
        """CANDIDATE_SIGNALS, and what the base asks for."""
        return self._base.needs | {Need.CANDIDATE_SIGNALS}

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """Those of the base."""
        return self._base.item_attributes

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """Those of the base."""
        return self._base.user_attributes

    @property
    def signals(self) -> tuple[str, ...]:
        """Those of the base."""
        return self._base.signals

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """Its own and those of the base; all there are where the base reads all."""
        inner = self._base.candidate_signals
        if Need.CANDIDATE_SIGNALS in self._base.needs and not inner:
            return ()
        return tuple(dict.fromkeys((self.popularity, self.recency, *inner)))

    @property
    def _base(self) -> Predictor:
        if isinstance(self.base, Choice):
            raise SpecError.open_choice(repr(self))
        return self.base

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        beside_candidates = frozenset(
            form.shape.count(",") + 1 for form in self._base.takes if form & Form.PER_CANDIDATE
        )
        return _PopularityAware(
            self._base.build(context),
            context.width,
            self.hidden,
            self.popularity,
            self.recency,
            beside_candidates,
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(hidden=(6,)),
            cls(popularity="past_clicks@24", recency="past_age", hidden=()),
        )


class _PopularityAware(nn.Module):
    def __init__(
        self,
        base: nn.Module,
        width: int,
        hidden: tuple[int, ...],
        popularity: str,
        recency: str,
        beside_candidates: frozenset[int],
    ) -> None:
        super().__init__()
        self.base = base
        self.popularity = popularity
        self.recency = recency
        self.beside_candidates = beside_candidates
        self.ages = nn.Embedding(BUCKETS + 1, width)  # the last is of what is not known
        self.by_content = _Perceptron(width, hidden)
        self.by_recency = _Perceptron(width, hidden)
        self.gate = _Perceptron(2 * width, hidden)
        self.share = _Perceptron(width, hidden)
        self.weights = nn.Parameter(torch.ones(2))
        self.unknown = nn.Parameter(torch.zeros(()))

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Out:
        """user in a form of the base, candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        found = self.base(user, candidates, candidate_mask, needs)
        out = found if isinstance(found, Out) else Out(found)
        popular = self._popularity(candidates, candidate_mask, needs)
        share = torch.sigmoid(self.share(self._one(user)))
        share = share.unsqueeze(1) if share.ndim == 1 else share
        return attrs.evolve(out, tensor=(1 - share) * out.tensor + share * popular)

    def _popularity(self, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        """candidates (B, C, D) -> how popular each is, (B, C)."""
        items = zero_padding(candidates, candidate_mask)
        number, age = needs.candidate_signals[self.popularity], needs.candidate_signals[self.recency]
        known = ~number.isnan()
        number = number.nan_to_num(nan=0.0)
        number = number if self.popularity.startswith("past_rate") else number.clamp(min=0).log1p()
        number = torch.where(known, number, self.unknown)
        bucket = buckets(age.nan_to_num(nan=0.0).clamp(min=0).long())
        recency = self.ages(torch.where(age.isnan(), BUCKETS, bucket))
        gate = torch.sigmoid(self.gate(torch.cat([items, recency.to(items.dtype)], -1)))
        predicted = gate * self.by_content(items) + (1 - gate) * self.by_recency(recency)
        return self.weights[0] * number + self.weights[1] * predicted

    def _one(self, user: Out) -> Tensor:
        """A user in any form -> the mean of its vectors, (B, D), or (B, C, D) where it is seen from each candidate."""
        tensor = user.tensor
        kept = 2 if tensor.ndim in self.beside_candidates else 1
        if tensor.ndim == kept + 1:
            return tensor
        several = tensor.flatten(kept, -2)
        if user.mask is None:
            return several.mean(-2)
        return masked_mean(several, user.mask.expand(tensor.shape[:-1]).flatten(kept))


class _Perceptron(nn.Module):
    """To one number, in float32."""

    def __init__(self, width: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.deep = MLP(width, hidden, activation=nn.Tanh)
        self.score = Score(self.deep.width)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors (..., W) -> (...)."""
        scores: Tensor = self.score(self.deep(vectors))
        return scores
