"""An item vector that also has to tell the item's topic: the news encoder of TANR (Wu et al. 2019, https://aclanthology.org/P19-1110).

Beside its task, training minimises λ · −(1/N) Σ_n log p(topic_n), p = softmax(W v + b) (sections 2.2 and 2.3; λ = 0.2 as
published).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import attrs
import torch
from torch import Tensor, nn

from lego import catalog
from lego.contract import Need, Needs, Out, Reads
from lego.spec import Content, Context, ge, operator


@operator
class TopicAware(Content):
    """`TopicAware(CNN())`: the vector is that of `op`; predicting the attribute `label` from it is a loss of the given weight.

    The log shows the loss as `topic`. Of several values each counts alike; an item without a value has no such loss.
    """

    op: Content = attrs.field(kw_only=False)
    label: str = "category"
    weight: float = attrs.field(default=0.2, validator=ge(0))

    @property
    def reads(self) -> Reads:
        """What `op` gives."""
        return Reads.PARTS

    @property
    def content_parts(self) -> Mapping[str, Content]:
        """The one operator."""
        return {"op": self.op}

    @property
    def item_needs(self) -> frozenset[Need]:
        """The label."""
        return frozenset({Need.ATTRIBUTES})

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """The label."""
        return (self.label,)

    @property
    def losses(self) -> tuple[str, ...]:
        """That of the topic, where it weighs anything, beside those of `op`."""
        return (*(("topic",) if self.weight else ()), *super().losses)

    @property
    def loss_attributes(self) -> tuple[str, ...]:
        """The label: scores go without it."""
        return (self.label,)

    def build_combiner(self, context: Context) -> nn.Module:
        """The torch of it: (N, 1, D), mask (N, 1) -> (N, D), with the loss."""
        return _TopicAware(context.width, context.item_vocabularies[self.label], self.label, self.weight)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances, for items that have genres."""
        load: Any = catalog.load
        return (cls(load("content", "CNN")(), label="genres"),)


class _TopicAware(nn.Module):
    def __init__(self, width: int, count: int, label: str, weight: float) -> None:
        super().__init__()
        self.label, self.weight = label, weight
        self.topic = nn.Linear(width, count)

    def forward(self, views: Tensor, mask: Tensor, needs: Needs) -> Out:
        """views (N, 1, D), mask (N, 1) -> (N, D)."""
        vectors = views.squeeze(1)
        if not self.training or not self.weight:
            return Out(vectors)
        codes = needs.items[self.label]  # (N, V)
        known = codes > 0
        # Code 0 is no topic: nothing is ever predicted to be it.
        logits = self.topic(vectors).float()
        logits = torch.cat([torch.full_like(logits[:, :1], torch.finfo(torch.float32).min), logits[:, 1:]], 1)
        likelihood = logits.log_softmax(-1).gather(1, codes).masked_fill(~known, 0)
        per_item = -likelihood.sum(1) / known.sum(1).clamp(min=1)
        labelled = known.any(1)
        return Out(vectors, losses={"topic": self.weight * per_item.sum() / labelled.sum().clamp(min=1)})
