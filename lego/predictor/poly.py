"""A predictor for one user vector, asked once for each of several interests: the mean of its scores, or their maximum.

The mean over the vectors of a poly-attention; the maximum is how multi-interest retrieval scores (MIND, Li et al. 2019,
https://arxiv.org/abs/1904.08030).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import attrs
from torch import Tensor, nn

from lego.contract import Form, Need, Needs, Out
from lego.errors import SpecError
from lego.predictor.dnn import DNN
from lego.predictor.dot import Dot
from lego.spec import Choice, Context, Predictor, operator


@operator
class Poly(Predictor):
    """`base` is any predictor that takes a vector per candidate, as those that take a vector do."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.INTERESTS, Form.INTERESTS | Form.PER_CANDIDATE})

    base: Predictor = attrs.field(default=DNN(), kw_only=False)
    score: Literal["mean", "max"] = "mean"

    def __attrs_post_init__(self) -> None:
        """Refuses a base that wants another form."""
        for base in self.base.values if isinstance(self.base, Choice) else (self.base,):
            if not isinstance(base, Choice) and Form.PER_CANDIDATE not in base.takes:
                raise SpecError.wrong_value(
                    "Poly",
                    "base",
                    base,
                    f"a predictor that takes {Form.PER_CANDIDATE.label}, such as DNN()",
                )

    @property
    def needs(self) -> frozenset[Need]:
        """What the base asks for."""
        return self.base.needs

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.item_attributes

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.user_attributes

    @property
    def signals(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.signals

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.candidate_signals

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Poly(self.base.build(context), self.score)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(DNN(hidden=(6, 4))), cls(Dot(), score="max"))


class _Poly(nn.Module):
    def __init__(self, base: nn.Module, score: str) -> None:
        super().__init__()
        self.base = base
        self.score = score

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Out:
        """user (B, M, D) or (B, C, M, D), candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        interests = user.tensor if user.tensor.ndim == 4 else user.tensor.unsqueeze(1)
        count = interests.size(2)
        # Each pair of candidate and interest is a candidate with a user of its own, so all else that is asked for stays as it is.
        pairs = interests.expand(-1, candidates.size(1), -1, -1).flatten(1, 2)  # (B, C · M, D)
        out = self.base(
            Out(pairs),
            candidates.repeat_interleave(count, 1),
            candidate_mask.repeat_interleave(count, 1),
            attrs.evolve(
                needs,
                candidates={
                    name: each.repeat_interleave(count, 1) for name, each in needs.candidates.items()
                },
                candidate_signals={
                    name: each.repeat_interleave(count, 1) for name, each in needs.candidate_signals.items()
                },
            ),
        )
        if not isinstance(out, Out):
            out = Out(out)
        scores = out.tensor.view(-1, candidates.size(1), count)  # (B, C, M)
        return attrs.evolve(out, tensor=scores.mean(-1) if self.score == "mean" else scores.amax(-1))
